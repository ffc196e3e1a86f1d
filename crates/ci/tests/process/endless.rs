//! Servers whose responses do not end.

use testkit::{Endless, FakeRunner};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "real: needs Docker"]
async fn a_github_that_sends_for_ever_is_cut_off() {
    let github = Endless::start(|_| None).await.unwrap();
    let step = FakeRunner::new(env!("CARGO_BIN_EXE_ci"))
        .file("Dockerfile", "FROM scratch\nCOPY Dockerfile /\n")
        .input("image", "endless:1")
        .input("test-target", "none")
        .input("health-path", "none")
        .input("static-analysis", "none")
        .input("token", "t")
        .env("GITHUB_API_URL", &format!("http://{}", github.host()))
        .env("GITHUB_EVENT_NAME", "pull_request");
    let event = r#"{"pull_request": {"number": 7, "head": {"sha": "0123456789abcdef0123456789abcdef01234567"}}}"#;
    std::fs::write(step.directory().join("event.json"), event).unwrap();
    github.is_cut_off(step);
}
