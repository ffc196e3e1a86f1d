//! Uploads against the fake of GitHub.

#![expect(clippy::unwrap_used, reason = "in a test, a panic is the report")]

use std::time::Duration;

use actions_toolkit::Redactor;
use fake_github::GitHub;
use github::{Client, CodeScanning, CompressedSarif, Revision, UploadError, Uploaded};
use serde_json::json;
use testkit::Fault;

fn revision() -> Revision {
    Revision {
        sha: "0123456789abcdef0123456789abcdef01234567".into(),
        git_ref: "refs/heads/main".into(),
    }
}

fn compressed(uri: &str) -> CompressedSarif {
    let sarif = json!({
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {"name": "Trivy", "rules": []}},
            "automationDetails": {"id": "image/"},
            "results": [{
                "message": {"text": "m"},
                "locations": [{"physicalLocation": {"artifactLocation": {"uri": uri}, "region": {"startLine": 1}}}],
            }],
        }],
    });
    CompressedSarif::new(sarif.to_string().as_bytes(), &Redactor::default()).unwrap()
}

fn client(server: &GitHub, token: &str) -> CodeScanning {
    let http = http_client::Client::new().unwrap();
    // Milliseconds: the tests are about the order of the requests, not about the clock.
    Client::new(http, &server.url(), "octo-org/app", token)
        .unwrap()
        .with_retry_pause(Duration::from_millis(1))
        .code_scanning()
        .with_polling(Duration::from_millis(1), Duration::from_millis(40))
}

async fn upload(server: &GitHub) -> Result<Uploaded, UploadError> {
    client(server, "t")
        .upload(&compressed("Dockerfile"), &revision())
        .await
}

fn posts(server: &GitHub) -> usize {
    let journal = server.journal();
    journal.iter().filter(|r| r.starts_with("POST")).count()
}

#[tokio::test]
async fn an_upload_is_compressed_attributed_and_waited_for() {
    let server = GitHub::start("t").await.unwrap();
    server.pending(2);
    let done = upload(&server).await.unwrap();
    assert!(done.processed);
    let sent = &server.uploads()[0];
    assert_eq!(sent["ref"], "refs/heads/main");
    assert_eq!(
        sent["commit_sha"],
        "0123456789abcdef0123456789abcdef01234567"
    );
    assert_eq!(
        sent["sarif"]["runs"][0]["automationDetails"]["id"],
        "image/"
    );
    let polls: Vec<_> = server.journal().split_off(1);
    let poll = format!("GET /repos/octo-org/app/code-scanning/sarifs/{}", done.id);
    assert_eq!(polls, vec![poll; 3]);
}

#[tokio::test]
async fn endless_processing_is_not_a_failure() {
    let server = GitHub::start("t").await.unwrap();
    server.pending(u32::MAX);
    let done = upload(&server).await.unwrap();
    assert!(!done.processed && !done.id.is_empty());
}

#[tokio::test]
async fn a_failed_poll_is_repeated() {
    let server = GitHub::start("t").await.unwrap();
    server.expect(Fault::new("/sarifs/", 502, r#"{"message": "Bad Gateway"}"#));
    assert!(upload(&server).await.unwrap().processed);
}

#[tokio::test]
async fn an_error_of_the_processing_is_reported() {
    let server = GitHub::start("t").await.unwrap();
    let done = client(&server, "t")
        .upload(&compressed("git:x y"), &revision())
        .await;
    assert_eq!(
        done.unwrap_err().to_string(),
        "GitHub rejected the SARIF file: an invalid URI was provided as a SARIF location: git:x y"
    );
}

#[tokio::test]
async fn each_refusal_has_its_kind_and_its_number_of_attempts() {
    let off = "Advanced Security must be enabled for this repository to use code scanning.";
    let no = "Resource not accessible by integration";
    let table: [(u16, &str, &str, usize); 10] = [
        (401, "Bad credentials", "BadToken", 2),
        (403, off, "NotEnabled", 1),
        (
            403,
            "Code scanning is not enabled for this repository",
            "NotEnabled",
            1,
        ),
        (403, no, "NotPermitted", 1),
        (404, "Not Found", "NotFound", 2),
        (413, "Payload too large", "TooLarge", 1),
        (
            422,
            "ref 'refs/heads/x' not found in this repository",
            "Rejected",
            1,
        ),
        (400, "Invalid request", "Rejected", 1),
        (503, "Service unavailable", "Unavailable", 4),
        (429, "slow down", "RateLimited", 4),
    ];
    for (status, message, kind, attempts) in table {
        let server = GitHub::start("t").await.unwrap();
        for _ in 0..4 {
            let body = json!({"message": message, "documentation_url": "https://docs.github.com"});
            server.expect(Fault::new("/sarifs", status, &body.to_string()));
        }
        let error = upload(&server).await.unwrap_err();
        assert!(format!("{error:?}").starts_with(kind), "{error:?}");
        assert!(error.to_string().contains(message), "{error}");
        assert_eq!(posts(&server), attempts, "{status} {message}");
        assert_eq!(error.is_setting(), attempts == 1 && status == 403);
    }
}

#[tokio::test]
async fn a_transient_failure_is_retried() {
    for fault in [
        Fault::new("/sarifs", 503, r#"{"message": "unavailable"}"#),
        Fault::new("/sarifs", 502, "<html>not from GitHub</html>"),
        Fault::new("/sarifs", 401, r#"{"message": "Bad credentials"}"#),
        Fault::new("/sarifs", 429, r#"{"message": "slow down"}"#).header("retry-after", "0"),
        Fault::new(
            "/sarifs",
            403,
            r#"{"message": "You have exceeded a secondary rate limit"}"#,
        )
        .header("retry-after", "0"),
    ] {
        let server = GitHub::start("t").await.unwrap();
        server.expect(fault.clone());
        assert!(upload(&server).await.unwrap().processed, "{fault:?}");
        assert_eq!(posts(&server), 2, "{fault:?}");
    }
}

#[tokio::test]
async fn a_long_rate_limit_is_not_waited_for() {
    let server = GitHub::start("t").await.unwrap();
    let fault = Fault::new("/sarifs", 429, r#"{"message": "API rate limit exceeded"}"#);
    server.expect(fault.header("retry-after", "900"));
    let error = upload(&server).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "GitHub's rate limit is exhausted (API rate limit exceeded); try again in 900s"
    );
}

#[tokio::test]
async fn a_wrong_token_and_a_dead_address_are_distinguished() {
    let server = GitHub::start("t").await.unwrap();
    let refused = client(&server, "x")
        .upload(&compressed("a"), &revision())
        .await;
    assert!(matches!(refused, Err(UploadError::BadToken(_))));
    let dead = client(&server, "t");
    drop(server);
    let error = dead
        .upload(&compressed("a"), &revision())
        .await
        .unwrap_err();
    assert!(matches!(error, UploadError::Unavailable(_)), "{error:?}");
    assert!(!error.to_string().contains("Bearer"), "{error}");
}

#[tokio::test]
async fn an_enterprise_server_keeps_its_path() {
    let server = GitHub::start("t").await.unwrap();
    let http = http_client::Client::new().unwrap();
    let url = format!("{}/api/v3", server.url());
    let refused = Client::new(http, &url, "octo-org/app", "t")
        .unwrap()
        .with_retry_pause(Duration::from_millis(1))
        .code_scanning()
        .upload(&compressed("a"), &revision())
        .await;
    assert!(refused.is_err(), "the fake has no such path");
    assert_eq!(
        server.journal()[0],
        "POST /api/v3/repos/octo-org/app/code-scanning/sarifs"
    );
}

#[test]
fn a_file_over_ten_megabytes_compressed_is_not_sent() {
    assert!(compressed("a").fits());
    // Noise does not compress.
    let mut state = 1_u64;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 56) as u8
    })
    .take(11 * 1024 * 1024)
    .collect();
    assert!(
        !CompressedSarif::new(&noise, &Redactor::default())
            .unwrap()
            .fits()
    );
}
