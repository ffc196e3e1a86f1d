//! What is published on GitHub, on the wire.

use fake_github::GitHub;
use serde_json::json;
use testkit::{FakeRunner, Fault, Ran};

use crate::step::step;

pub(crate) async fn with_github(
    server: &GitHub,
    change: impl FnOnce(FakeRunner) -> FakeRunner,
) -> Ran {
    let step = change(
        step()
            .input("token", "t")
            .env("GITHUB_API_URL", &server.url()),
    );
    tokio::task::spawn_blocking(move || step.run())
        .await
        .unwrap()
}

pub(crate) fn pull_request(step: FakeRunner) -> FakeRunner {
    let event = json!({"pull_request": {"number": 7, "head": {"sha": "b".repeat(40)}}});
    let path = step.directory().join("event.json");
    std::fs::write(&path, event.to_string()).unwrap();
    step.env("GITHUB_EVENT_NAME", "pull_request")
        .env("GITHUB_EVENT_PATH", &path.to_string_lossy())
        .env("GITHUB_REF", "refs/pull/7/merge")
        .env("GITHUB_BASE_REF", "main")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_security_tab_has_the_findings_and_takes_the_file() {
    let server = GitHub::start("t").await.unwrap();
    let ran = with_github(&server, |step| step).await;
    assert_eq!(ran.code, 0, "{}", ran.log);
    assert!(!ran.output("sarif-id").is_empty());
    let link = "[Security tab](https://github.com/octo-org/app/security/code-scanning)";
    assert!(ran.summary.contains(link));
    let id = &server.uploads()[0]["sarif"]["runs"][0]["automationDetails"]["id"];
    assert_eq!(id, ".github/workflows/ci.yml:scan/image/app/");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_suppressed_is_in_the_file_and_not_in_the_security_tab() {
    let server = GitHub::start("t").await.unwrap();
    let ran = with_github(&server, |step| step).await;
    assert_eq!((ran.code, ran.output("total")), (0, "3"), "{}", ran.log);
    let run = &server.uploads()[0]["sarif"]["runs"][0];
    let rules: Vec<_> = run["tool"]["driver"]["rules"]
        .as_array()
        .unwrap()
        .iter()
        .map(|rule| &rule["id"])
        .collect();
    assert_eq!(rules, ["CVE-2026-84782", "CVE-2026-00001"]);
    assert_eq!(run["results"].as_array().unwrap().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fork_is_told_and_not_failed() {
    let server = GitHub::start("t").await.unwrap();
    server.expect(Fault::new(
        "/sarifs",
        403,
        r#"{"message": "Resource not accessible by integration", "documentation_url": "x"}"#,
    ));
    let ran = with_github(&server, |step| step).await;
    assert_eq!((ran.code, ran.output("sarif-id")), (0, ""), "{}", ran.log);
    assert!(
        ran.log
            .contains("::warning::the findings are not in the Security tab"),
        "{}",
        ran.log
    );
    let place =
        "::warning file=app/Dockerfile,line=2,endLine=2::high: libssl3t64 3.5.7 has CVE-2026-84782";
    assert!(ran.log.contains(place), "{}", ran.log);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_file_is_red_and_the_summary_stands() {
    let server = GitHub::start("t").await.unwrap();
    server.expect(Fault::new(
        "/sarifs",
        422,
        r#"{"message": "invalid SARIF", "documentation_url": "x"}"#,
    ));
    let ran = with_github(&server, |step| step).await;
    assert_eq!(
        (ran.code, ran.output("result"), ran.output("total")),
        (2, "error", "3"),
        "{}",
        ran.log
    );
    assert!(
        ran.error()
            .contains("GitHub rejected the SARIF file: invalid SARIF"),
        "{}",
        ran.error()
    );
    assert!(ran.summary.contains("2 high, 1 low"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_request_has_one_comment_which_is_kept_up_to_date() {
    let server = GitHub::start("t").await.unwrap();
    let first = with_github(&server, pull_request).await;
    assert_eq!(first.code, 0, "{}", first.log);
    assert!(
        first.log.contains("commented on the pull request"),
        "{}",
        first.log
    );
    let comments = server.comments();
    insta::assert_snapshot!(comments[0]);
    let second = with_github(&server, |step| pull_request(step).input("scanners", "vuln")).await;
    assert_eq!(second.code, 0, "{}", second.log);
    assert_eq!(server.comments().len(), 1);
    let posts = server
        .journal()
        .iter()
        .filter(|line| line.starts_with("POST") && line.contains("/comments"))
        .count();
    assert_eq!(posts, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_may_not_comment_is_no_failure() {
    let server = GitHub::start("t").await.unwrap();
    server.expect(Fault::new(
        "/comments",
        403,
        r#"{"message": "Resource not accessible by integration", "documentation_url": "x"}"#,
    ));
    let ran = with_github(&server, pull_request).await;
    assert_eq!(ran.code, 0, "{}", ran.log);
    assert!(
        ran.log
            .contains("::notice::the pull request has no comment: the token may not write one"),
        "{}",
        ran.log
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn each_response_of_github_has_its_exit_code_and_hint() {
    let off =
        r#"{"message": "Code Security must be enabled for this repository to use code scanning."}"#;
    let table = [
        (
            401,
            r#"{"message": "Bad credentials"}"#,
            2,
            2,
            "::error::trivy-scan: failed to upload to the Security tab: GitHub rejected the token (Bad credentials); check the input `token`",
        ),
        (
            403,
            off,
            1,
            0,
            "::warning::the findings are not in the Security tab: code scanning is not enabled for this repository",
        ),
        (
            404,
            r#"{"message": "Not Found"}"#,
            2,
            2,
            "the repository does not exist for this token (Not Found)",
        ),
        (
            413,
            r#"{"message": "Payload too large"}"#,
            1,
            2,
            "the SARIF file is too large for GitHub (Payload too large)",
        ),
        (
            500,
            r#"{"message": "Server Error"}"#,
            1,
            0,
            "uploaded to the Security tab",
        ),
        (
            503,
            r#"{"message": "Unavailable"}"#,
            1,
            0,
            "uploaded to the Security tab",
        ),
    ];
    for (status, body, times, code, part) in table {
        let server = GitHub::start("t").await.unwrap();
        for _ in 0..times {
            server.expect(Fault::new("/sarifs", status, body));
        }
        let ran = with_github(&server, |step| step).await;
        assert_eq!(ran.code, code, "{status}: {}", ran.log);
        assert!(ran.log.contains(part), "{status}: {}", ran.log);
        assert!(ran.summary.contains("2 high, 1 low"), "{status}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rate_limit_is_waited_for_as_long_as_github_says() {
    let server = GitHub::start("t").await.unwrap();
    let busy = r#"{"message": "You have exceeded a secondary rate limit."}"#;
    server.expect(Fault::new("/sarifs", 429, busy).header("retry-after", "1"));
    let ran = with_github(&server, |step| step).await;
    assert_eq!(ran.code, 0, "{}", ran.log);
    server.expect(Fault::new("/sarifs", 429, busy).header("retry-after", "3600"));
    let ran = with_github(&server, |step| step).await;
    assert_eq!(ran.code, 2, "{}", ran.log);
    assert!(
        ran.error().contains("try again in 3600s"),
        "{}",
        ran.error()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_processing_refuses_is_quoted() {
    let server = GitHub::start("t").await.unwrap();
    server.expect(Fault::new(
        "/sarifs/",
        200,
        r#"{"processing_status": "failed", "analyses_url": null, "errors": ["rejecting delivery as the repository has too many logical alerts"]}"#,
    ));
    let ran = with_github(&server, |step| step).await;
    assert_eq!(
        (ran.code, ran.output("result")),
        (2, "error"),
        "{}",
        ran.log
    );
    assert!(ran.error().ends_with("GitHub rejected the SARIF file: rejecting delivery as the repository has too many logical alerts"), "{}", ran.error());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_not_there_is_an_error_and_the_files_stand() {
    let step = step()
        .input("token", "t")
        .env("GITHUB_API_URL", "http://127.0.0.1:9");
    let ran = tokio::task::spawn_blocking(move || {
        let ran = step.run();
        assert!(step.workspace().join("trivy-results.sarif").is_file());
        ran
    })
    .await
    .unwrap();
    assert_eq!((ran.code, ran.output("total")), (2, "3"), "{}", ran.log);
    assert!(
        ran.error().contains("GitHub is unavailable"),
        "{}",
        ran.error()
    );
}
