//! The issue of what remains, when images could not be patched.

use fake_github::GitHub;
use github::RollingIssue;
use testkit::FakeDocker;

use crate::bench::exited;
use crate::step;

const ROW: &str = "| `worker:1-patched` | CVE-2099-0001 | `perl` | no update fixes it |";

#[tokio::test]
async fn an_issue_stays_open_for_an_image_that_could_not_be_patched() {
    let server = GitHub::start("t").await.unwrap();
    let http = http_client::Client::new().unwrap();
    let client = github::Client::new(http, &server.url(), "octo-org/app", "t").unwrap();
    let issues = client.issues();
    let rolling = RollingIssue {
        key: "copacetic-patch .github/workflows/ci.yml".into(),
        title: "Findings that no update fixes".into(),
    };
    let table = format!("| Image | Finding | Package | Reason |\n|---|---|---|---|\n{ROW}\n");
    let number = issues.roll(&rolling, |_| Some(table)).await.unwrap();

    let docker = FakeDocker::with("other:1");
    let step = step()
        .env("DOCKER_HOST", &docker.host())
        .env("GITHUB_API_URL", &server.url())
        .input("image", "app:1\nworker:1")
        .input("token", "t")
        .input("issue", "true");
    let ran = tokio::task::spawn_blocking(move || step.run()).await;
    let ran = ran.unwrap();
    exited(&ran, 2, "error");
    let message = format!(
        "issue #{} lists the remaining findings as far as they are known and stays open: 2 images could not be patched",
        number.unwrap()
    );
    assert!(ran.log.contains(&message), "{}", ran.log);

    let mut body = String::new();
    let read = |now: Option<&str>| {
        body = now.unwrap_or("it was closed").to_owned();
        now.map(ToOwned::to_owned)
    };
    issues.roll(&rolling, read).await.unwrap();
    assert!(body.contains(ROW), "{body}");
    let unknown = "The last run failed to patch `app:1`, `worker:1`, so the remaining findings there are unknown";
    assert!(body.contains(unknown), "{body}");
}
