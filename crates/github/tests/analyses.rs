//! The list of analyses against the fake of GitHub.

#![expect(clippy::unwrap_used, reason = "in a test, a panic is the report")]

use std::collections::BTreeSet;

use fake_github::GitHub;
use github::{AnalysisFilter, Client, NewestAnalysis};
use serde_json::json;
use testkit::Fault;

const FILTER: AnalysisFilter<'_> = AnalysisFilter {
    tool: "Trivy",
    git_ref: "refs/heads/main",
    category: "scan/image/app",
    excluded_run_id: "patched",
};

/// The response to the next list: `count` analyses of another category.
fn page(server: &GitHub, count: usize) {
    let analyses: Vec<_> = (0..count)
        .map(|id| json!({"id": id, "category": "scan/image/web/"}))
        .collect();
    let body = json!(analyses).to_string();
    server.expect(Fault::new("/code-scanning/analyses?", 200, &body));
}

async fn newest(server: &GitHub) -> NewestAnalysis {
    let http = http_client::Client::new().unwrap();
    let client = Client::new(http, &server.url(), "octo-org/app", "t").unwrap();
    client.analyses().newest(&FILTER).await.unwrap()
}

#[tokio::test]
async fn a_category_is_absent_only_if_the_list_was_read_to_its_end() {
    let server = GitHub::start("t").await.unwrap();
    for _ in 0..6 {
        page(&server, 100);
    }
    page(&server, 99);
    let others = BTreeSet::from(["scan/image/web/".to_owned()]);
    assert_eq!(newest(&server).await, NewestAnalysis::None { others });
    assert_eq!(server.journal().len(), 7);
}

#[tokio::test]
async fn a_page_is_requested_once_for_all_categories() {
    let server = GitHub::start("t").await.unwrap();
    page(&server, 100);
    page(&server, 20);
    let http = http_client::Client::new().unwrap();
    let client = Client::new(http, &server.url(), "octo-org/app", "t").unwrap();
    let analyses = client.analyses();
    for category in ["scan/image/app", "scan/image/db"] {
        let filter = AnalysisFilter { category, ..FILTER };
        let newest = analyses.newest(&filter).await.unwrap();
        assert!(matches!(newest, NewestAnalysis::None { .. }), "{newest:?}");
    }
    assert_eq!(server.journal().len(), 2);
}

#[tokio::test]
async fn a_list_without_an_end_is_undecided() {
    let server = GitHub::start("t").await.unwrap();
    for _ in 0..50 {
        page(&server, 100);
    }
    let undecided = NewestAnalysis::Undecided { listed: 5000 };
    assert_eq!(newest(&server).await, undecided);
    assert_eq!(server.journal().len(), 50);
}
