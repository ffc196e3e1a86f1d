//! The rolling issue against a server that answers as GitHub does.

#![allow(clippy::unwrap_used)] // in a test, a panic is the report

use github::{Issues, RollingIssue};
use testkit::{Fault, GitHub};

fn issues(server: &GitHub) -> Issues {
    let http = actions_toolkit::http_client().unwrap();
    Issues::new(http, &server.url(), "octo-org/app", "t").unwrap()
}

fn rolling(body: Option<&str>) -> RollingIssue {
    RollingIssue {
        key: "patch .github/workflows/patch.yml".into(),
        title: "Findings".into(),
        body: body.map(ToOwned::to_owned),
    }
}

#[tokio::test]
async fn one_issue_is_opened_rewritten_and_closed() {
    let server = GitHub::start("t").await.unwrap();
    let issues = issues(&server);
    assert_eq!(issues.roll(&rolling(None)).await.unwrap(), None);
    let number = issues.roll(&rolling(Some("a"))).await.unwrap();
    assert!(number.is_some());
    assert_eq!(issues.roll(&rolling(Some("a"))).await.unwrap(), number);
    assert_eq!(issues.roll(&rolling(Some("b"))).await.unwrap(), number);
    assert_eq!(issues.roll(&rolling(None)).await.unwrap(), None);
    let again = issues.roll(&rolling(Some("c"))).await.unwrap();
    assert_ne!(again, number);

    let journal = server.journal();
    let count = |method: &str| {
        journal
            .iter()
            .filter(|line| line.starts_with(method))
            .count()
    };
    // What says the same already is not written again.
    assert_eq!((count("POST "), count("PATCH ")), (2, 2));
}

#[tokio::test]
async fn what_the_token_may_not_is_named() {
    let server = GitHub::start("t").await.unwrap();
    let refusal =
        r#"{"message": "Resource not accessible by integration", "documentation_url": "x"}"#;
    server.expect(Fault::new("/issues", 403, refusal));
    let error = issues(&server).roll(&rolling(Some("a"))).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "the issue could not be written: GitHub answered 403 (Resource not accessible by integration); give the job `permissions: issues: write` (runs for forks and Dependabot cannot have it)"
    );
}
