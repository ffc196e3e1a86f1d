//! Records of what is stored and of what runs, against the fake of GitHub.

#![expect(clippy::unwrap_used, reason = "in a test, a panic is the report")]

use fake_github::{Access, GitHub, Options, Refusal};
use github::{
    ArtifactMetadata, Client, DeploymentPlace, DeploymentRecord, NotRecorded, RecordStatus,
    RuntimeRisk, StoredImage, Unrecorded,
};
use serde_json::json;
use testkit::Fault;

const DIGEST: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

async fn server(change: impl FnOnce(Options) -> Options) -> GitHub {
    let options = change(Options::new("t").repository("octo-org/app"));
    let address = ([127, 0, 0, 1], 0).into();
    GitHub::with(address, options).await.unwrap()
}

fn metadata(server: &GitHub) -> ArtifactMetadata {
    let http = http_client::Client::new().unwrap();
    let client = Client::new(http, &server.url(), "octo-org/app", "t").unwrap();
    client.artifact_metadata()
}

fn image(repository: &str) -> StoredImage {
    StoredImage {
        host: "ghcr.io".into(),
        repository: repository.into(),
        digest: DIGEST.into(),
    }
}

fn place() -> DeploymentPlace {
    DeploymentPlace {
        logical_environment: "production".into(),
        physical_environment: Some("westeurope".into()),
        cluster: "seaworthy".into(),
    }
}

fn web(status: RecordStatus, risks: Option<Vec<RuntimeRisk>>) -> DeploymentRecord {
    DeploymentRecord {
        name: "ghcr.io/octo-org/app".into(),
        digest: DIGEST.into(),
        status,
        deployment_name: "shop/web/app".into(),
        runtime_risks: risks,
    }
}

#[tokio::test]
async fn a_stored_image_has_its_registry_and_its_repositories() {
    let server = server(|options| options).await;
    let metadata = metadata(&server);
    metadata.store(&image("octo-org/app")).await.unwrap();
    let name = "ghcr.io/octo-org/app";
    let expected = json!({
        "name": name, "digest": DIGEST, "registry_url": "https://ghcr.io", "repository": "octo-org/app",
        "github_repository": "app",
    });
    assert_eq!(server.storage_records(), [expected]);
    // GitHub takes 128 characters of it.
    metadata.store(&image(&"a".repeat(129))).await.unwrap();
    let record = &server.storage_records()[1];
    assert!(record.get("repository").is_none(), "{record}");
}

#[tokio::test]
async fn a_deployment_is_recorded_until_it_is_removed() {
    let server = server(|options| options).await;
    let metadata = metadata(&server);
    let exposed = web(
        RecordStatus::Deployed,
        Some(vec![RuntimeRisk::InternetExposed]),
    );
    let removed = web(RecordStatus::Decommissioned, None);
    let mut expected = json!({
        "logical_environment": "production", "physical_environment": "westeurope", "cluster": "seaworthy",
        "name": "ghcr.io/octo-org/app", "digest": DIGEST, "status": "deployed",
        "deployment_name": "shop/web/app", "runtime_risks": ["internet-exposed"], "github_repository": "app",
    });
    let set = async |record| metadata.deploy(&place(), &[record]).await.unwrap();
    assert!(set(exposed).await.is_empty());
    assert_eq!(server.deployment_records(), [expected.clone()]);
    assert!(set(removed).await.is_empty());
    expected["status"] = "decommissioned".into();
    expected.as_object_mut().unwrap().remove("runtime_risks");
    assert_eq!(server.deployment_records(), [expected]);
}

#[tokio::test]
async fn what_github_does_not_record_is_returned() {
    let server = server(|options| options).await;
    let rejected = json!({"total_count": 0, "errors": [
        {"cause": "not_found", "deployment": {"name": "ghcr.io/octo-org/app", "deployment_name": "shop/web/app"}},
    ]});
    server.expect(Fault::new("/cluster/seaworthy", 207, &rejected.to_string()));
    let deployed = web(RecordStatus::Deployed, None);
    let unrecorded = metadata(&server).deploy(&place(), &[deployed]).await;
    let expected = Unrecorded {
        deployment_name: "shop/web/app".into(),
        cause: "not_found".into(),
    };
    assert_eq!(unrecorded.unwrap(), [expected]);
}

#[tokio::test]
async fn a_repository_of_a_user_has_no_records() {
    let server = server(Options::of_user).await;
    let error = metadata(&server).store(&image("octo-org/app")).await;
    assert_eq!(
        error.unwrap_err().to_string(),
        "octo-org/app belongs to a user, and GitHub has such records in organizations only"
    );
}

#[tokio::test]
async fn a_missing_permission_is_named() {
    let server = server(|options| options.permissions(&[("contents", Access::Read)])).await;
    let deployed = web(RecordStatus::Deployed, None);
    let error = metadata(&server).deploy(&place(), &[deployed]).await;
    assert_eq!(
        error.unwrap_err().to_string(),
        "GitHub responded with 403 (Resource not accessible by integration); give the job `permissions: artifact-metadata: write` (runs for forks and Dependabot cannot have it)"
    );
}

#[tokio::test]
async fn an_older_server_is_not_one_that_fails() {
    let server = server(|options| options).await;
    let store = async || metadata(&server).store(&image("octo-org/app")).await;
    server.expect(Refusal::NotFound.fault("/storage-record"));
    let error = store().await.unwrap_err();
    assert!(matches!(error, NotRecorded::NotServed(_)), "{error}");
    assert_eq!(
        error.to_string(),
        "GitHub responded with 404 (Not Found); GitHub Enterprise Server has no artifact metadata up to 3.19"
    );
    server.expect(Refusal::Unavailable.fault("/storage-record"));
    let error = store().await.unwrap_err();
    assert!(matches!(error, NotRecorded::Failed(_)), "{error}");
    // It is not certain that there is none.
    assert_eq!(server.storage_records(), Vec::<serde_json::Value>::new());
    let posts = server.journal();
    let posts = posts.iter().filter(|line| line.starts_with("POST"));
    assert_eq!(posts.count(), 2);
}
