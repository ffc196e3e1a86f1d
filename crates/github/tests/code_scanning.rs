//! The uploader against a server that answers as GitHub does.

#![allow(clippy::unwrap_used)] // in a test, a panic is the report

use github::{CodeScanning, Place, UploadError};
use testkit::{Fault, GitHub};

const SARIF: &str = r#"{"version": "2.1.0", "runs": [{"tool": {"driver": {"name": "Trivy", "rules": []}}, "results": []}]}"#;

async fn upload(server: &GitHub, token: &str, sarif: &str) -> Result<String, UploadError> {
    let http = actions_toolkit::http_client().unwrap();
    let scanning = CodeScanning::new(http, &server.url(), "octo-org/app", token).unwrap();
    let place = Place {
        sha: "0123456789abcdef0123456789abcdef01234567".into(),
        git_ref: "refs/heads/main".into(),
    };
    scanning
        .upload(sarif.as_bytes(), &place, "file:///github/workspace/")
        .await
}

#[tokio::test]
async fn a_good_file_lands_in_the_security_tab() {
    let server = GitHub::start("t").await.unwrap();
    upload(&server, "t", SARIF).await.unwrap();
    let uploads = server.uploads();
    assert_eq!(uploads[0]["ref"], "refs/heads/main");
    assert_eq!(
        uploads[0]["sarif"]["runs"][0]["tool"]["driver"]["name"],
        "Trivy"
    );
}

#[tokio::test(start_paused = true)]
async fn it_waits_until_the_file_is_processed() {
    let server = GitHub::start("t").await.unwrap();
    server.pending(3);
    upload(&server, "t", SARIF).await.unwrap();
    let asked = server
        .journal()
        .iter()
        .filter(|line| line.starts_with("GET "))
        .count();
    assert_eq!(asked, 4);
}

#[tokio::test]
async fn what_github_finds_wrong_is_quoted() {
    let server = GitHub::start("t").await.unwrap();
    let error = upload(&server, "t", &SARIF.replace("2.1.0", "9.9"))
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "GitHub refused the SARIF file: rejecting SARIF, as its version is not 2.1.0"
    );
}

#[tokio::test]
async fn each_answer_has_its_meaning() {
    let table = [
        (
            403,
            "Resource not accessible by integration",
            "the token may not upload",
        ),
        (
            403,
            "Code scanning is not enabled for this repository. Please enable it.",
            "code scanning is not enabled",
        ),
        (404, "Not Found", "GitHub answered 404"),
        (413, "too large", "GitHub refused the SARIF file"),
        (422, "Validation Failed", "GitHub refused the SARIF file"),
    ];
    for (status, message, meaning) in table {
        let server = GitHub::start("t").await.unwrap();
        server.expect(Fault::new(
            "/sarifs",
            status,
            &format!(r#"{{"message": "{message}", "documentation_url": "x"}}"#),
        ));
        let error = upload(&server, "t", SARIF).await.unwrap_err();
        assert!(
            format!("{error:#}").contains(meaning),
            "{status}: {error:#}"
        );
    }
    let server = GitHub::start("t").await.unwrap();
    let error = upload(&server, "wrong", SARIF).await.unwrap_err();
    assert!(
        error.to_string().contains("check the input `token`"),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_limit_of_the_rate_is_waited_for() {
    let server = GitHub::start("t").await.unwrap();
    let limit = Fault::new(
        "/sarifs",
        429,
        r#"{"message": "API rate limit exceeded", "documentation_url": "x"}"#,
    );
    server.expect(limit.header("retry-after", "7"));
    upload(&server, "t", SARIF).await.unwrap();
    assert_eq!(server.uploads().len(), 1);
}
