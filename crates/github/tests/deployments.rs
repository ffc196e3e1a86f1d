//! Deployments against the fake of GitHub.

#![expect(clippy::unwrap_used, reason = "in a test, a panic is the report")]

use fake_github::GitHub;
use github::{Client, DeploymentState, DeploymentStatus, Deployments};
use testkit::Fault;

const SHA: &str = "0123456789012345678901234567890123456789";

fn deployments(server: &GitHub) -> Deployments {
    let http = http_client::Client::new().unwrap();
    let client = Client::new(http, &server.url(), "octo-org/app", "t").unwrap();
    client.deployments()
}

#[tokio::test]
async fn a_deployment_goes_from_progress_to_success() {
    let server = GitHub::start("t").await.unwrap();
    let deployments = deployments(&server);
    let id = deployments.create(SHA, "production").await.unwrap();
    let mut status = DeploymentStatus {
        log_url: Some("https://github.com/octo-org/app/actions/runs/1".into()),
        description: "é".repeat(200),
        ..DeploymentStatus::default()
    };
    let set = async |state, status: &_| deployments.set(id, state, status).await.unwrap();
    set(DeploymentState::InProgress, &status).await;
    status.environment_url = Some("http://203.0.113.7".into());
    set(DeploymentState::Success, &status).await;
    let expected = ["in_progress", "success"].map(ToOwned::to_owned).to_vec();
    assert_eq!(server.deployments(), [("production".to_owned(), expected)]);
}

#[tokio::test]
async fn a_missing_permission_is_named() {
    let server = GitHub::start("t").await.unwrap();
    let refusal =
        r#"{"message": "Resource not accessible by integration", "documentation_url": "x"}"#;
    server.expect(Fault::new("/deployments", 403, refusal));
    let error = deployments(&server).create(SHA, "x").await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "GitHub responded with 403 (Resource not accessible by integration); give the job `permissions: deployments: write` (runs for forks and Dependabot cannot have it)"
    );
}
