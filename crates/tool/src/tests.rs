use super::*;

fn path() -> Env {
    Env::of([
        ("PATH", "/usr/bin:/bin"),
        ("ACTIONS_RUNTIME_TOKEN", "t"),
        ("INPUT_TOKEN", "t"),
    ])
}

#[tokio::test]
async fn a_child_sees_only_what_it_was_given() {
    let tool = Tool::new("env", &path()).env("TRIVY_CACHE_DIR", "/c");
    let done = tool.capture(&Log::sink(), "env").await.unwrap();
    let mut seen: Vec<_> = std::str::from_utf8(&done.stdout).unwrap().lines().collect();
    seen.sort_unstable();
    assert_eq!(seen, ["PATH=/usr/bin:/bin", "TRIVY_CACHE_DIR=/c"]);
}

#[tokio::test]
async fn an_exit_code_is_an_answer_and_the_last_lines_are_kept() {
    let tool = Tool::new("sh", &path()).args(["-c", "echo out; echo E: no package >&2; exit 100"]);
    let done = tool.capture(&Log::sink(), "sh").await.unwrap();
    assert_eq!(
        (done.code(), done.ending().as_str()),
        (Some(100), "exit code 100")
    );
    assert_eq!(done.tail, ["E: no package"]);
}

#[tokio::test]
async fn a_tool_that_hangs_is_stopped() {
    let tool = Tool::new("sleep", &path())
        .arg("60")
        .limit(Duration::from_millis(50));
    let error = tool.stream(&Log::sink(), "sleep").await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "`sleep` was still running after 0 s and was stopped"
    );
}

#[tokio::test]
async fn a_missing_tool_is_named() {
    let error = Tool::new("no-such-tool", &path())
        .stream(&Log::sink(), "x")
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "while starting `no-such-tool`: is it installed and in PATH?"
    );
}
