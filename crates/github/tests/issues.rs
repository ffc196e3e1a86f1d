//! The rolling issue against the fake of GitHub.

#![expect(clippy::unwrap_used, reason = "in a test, a panic is the report")]

use std::time::Duration;

use fake_github::GitHub;
use github::{Client, Issues, RollingIssue};
use testkit::Fault;

fn issues(server: &GitHub) -> Issues {
    let http = http_client::Client::new().unwrap();
    let client = Client::new(http, &server.url(), "octo-org/app", "t").unwrap();
    client.issues()
}

fn rolling() -> RollingIssue {
    RollingIssue {
        key: "patch .github/workflows/patch.yml".into(),
        title: "Findings".into(),
    }
}

// Its earlier text does not matter.
fn write(body: &'static str) -> impl FnOnce(Option<&str>) -> Option<String> {
    |_| Some(body.to_owned())
}

#[tokio::test]
async fn one_issue_is_opened_rewritten_and_closed() {
    let server = GitHub::start("t").await.unwrap();
    let issues = issues(&server);
    assert_eq!(issues.roll(&rolling(), |_| None).await.unwrap(), None);
    let number = issues.roll(&rolling(), write("a")).await.unwrap();
    assert!(number.is_some());
    assert_eq!(issues.roll(&rolling(), write("a")).await.unwrap(), number);
    assert_eq!(issues.roll(&rolling(), write("b")).await.unwrap(), number);
    assert_eq!(issues.roll(&rolling(), |_| None).await.unwrap(), None);
    let again = issues.roll(&rolling(), write("c")).await.unwrap();
    assert_ne!(again, number);

    let journal = server.journal();
    let count = |method: &str| {
        journal
            .iter()
            .filter(|line| line.starts_with(method))
            .count()
    };
    // The same text is not written again.
    assert_eq!((count("POST /repos/"), count("PATCH ")), (2, 2));
}

#[tokio::test]
async fn the_new_body_is_made_from_the_old_one() {
    let server = GitHub::start("t").await.unwrap();
    let issues = issues(&server);
    let mut seen = Vec::new();
    for _ in 0..2 {
        let next = |before: Option<&str>| {
            seen.push(before.map(ToOwned::to_owned));
            Some(format!("one more\n{}", before.unwrap_or_default()))
        };
        issues.roll(&rolling(), next).await.unwrap();
    }
    let marker = "<!-- patch .github/workflows/patch.yml -->";
    assert_eq!(seen, [None, Some(format!("one more\n\n{marker}"))]);
}

#[tokio::test]
async fn a_body_that_is_too_long_is_truncated_and_says_so() {
    let server = GitHub::start("t").await.unwrap();
    let issues = issues(&server);
    let row = "| ü row |\n";
    let long = row.repeat(10_000);
    issues.roll(&rolling(), |_| Some(long)).await.unwrap();
    let mut written = String::new();
    let read = |body: Option<&str>| {
        written = body.unwrap_or_default().to_owned();
        None
    };
    issues.roll(&rolling(), read).await.unwrap();
    let (rows, end) = written.split_once("\n\n… cut: ").unwrap();
    assert!(format!("{rows}\n").replace(row, "").is_empty());
    assert_eq!(
        end,
        "an issue takes no more; the reports of the run have all of it.\n\n<!-- patch .github/workflows/patch.yml -->"
    );
    let count = written.chars().count();
    assert!(count <= 65_536 && count > 65_500, "{count}");
}

#[tokio::test]
async fn a_transient_failure_is_retried_unless_that_could_open_a_second_issue() {
    let server = GitHub::start("t").await.unwrap();
    let http = http_client::Client::new().unwrap();
    let client = Client::new(http, &server.url(), "octo-org/app", "t").unwrap();
    let issues = client.with_retry_pause(Duration::from_millis(1)).issues();
    let fault = |line: &str| Fault::new(line, 502, r#"{"message": "Server Error"}"#);
    server.expect(fault("GET /repos/octo-org/app/issues"));
    assert_eq!(issues.roll(&rolling(), |_| None).await.unwrap(), None);
    server.expect(fault("POST /repos/octo-org/app/issues"));
    assert!(issues.roll(&rolling(), write("a")).await.is_err());
    assert!(server.issues().is_empty());
}

#[tokio::test]
async fn a_missing_permission_is_named() {
    let server = GitHub::start("t").await.unwrap();
    let refusal =
        r#"{"message": "Resource not accessible by integration", "documentation_url": "x"}"#;
    server.expect(Fault::new("/issues", 403, refusal));
    let error = issues(&server)
        .roll(&rolling(), write("a"))
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "failed to write the issue: GitHub responded with 403 (Resource not accessible by integration); give the job `permissions: issues: write` (runs for forks and Dependabot cannot have it)"
    );
}
