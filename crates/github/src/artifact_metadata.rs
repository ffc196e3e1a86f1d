//! Artifact metadata of an organization: which registry has an image, and where it runs.
//!
//! GitHub shows both on the organization's page of linked artifacts, and filters the alerts of an image by them
//! (`has:deployment`, `runtime-risk:internet-exposed`).
//!
//! API: docs.github.com/rest/orgs/artifact-metadata; the limits are those of github.com/github/rest-api-description. GitHub
//! Enterprise Server has no such API up to 3.19.

use http_client::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::Client;
use crate::client::{Call, Retry};
use crate::request_error::RequestError;

/// Characters of the name of a repository in a registry.
const REPOSITORY: usize = 128;

/// The artifact metadata of the organization that the repository belongs to.
pub struct ArtifactMetadata(pub(crate) Client);

/// An image that a registry has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredImage {
    /// The registry, with its port if it has one.
    pub host: String,
    /// The path in the registry.
    pub repository: String,
    /// `sha256:` and 64 hex digits.
    pub digest: String,
}

/// Where deployments run. A name of a deployment is unique in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeploymentPlace {
    /// The stage, such as `production`; at most 128 characters.
    pub logical_environment: String,
    /// The region or the data center, if it is known; at most 128 characters.
    pub physical_environment: Option<String>,
    /// At most 128 letters, digits, `.`, `_` and `-`.
    pub cluster: String,
}

/// What a deployment runs. GitHub has one record for each deployment: a new one replaces that of the previous image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DeploymentRecord {
    /// The image without tag and digest, `ghcr.io/octo-org/app`.
    pub name: String,
    /// `sha256:` and 64 hex digits.
    pub digest: String,
    /// Whether it runs.
    pub status: RecordStatus,
    /// Unique in its [`DeploymentPlace`], such as `namespace/workload/container`.
    pub deployment_name: String,
    /// `None` where they are unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runtime_risks: Option<Vec<RuntimeRisk>>,
}

/// Whether a deployment runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RecordStatus {
    /// It runs.
    Deployed,
    /// It was removed.
    Decommissioned,
}

/// A risk of where an image runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RuntimeRisk {
    /// It responds at a public address.
    InternetExposed,
}

/// A deployment that GitHub did not record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unrecorded {
    /// Of the record.
    pub deployment_name: String,
    /// GitHub's reason: `unauthorized`, `not_found`.
    pub cause: String,
}

/// Why nothing was recorded.
#[derive(Debug, thiserror::Error)]
pub enum NotRecorded {
    /// The repository belongs to a user.
    #[error("{0} belongs to a user, and GitHub has such records in organizations only")]
    NotOrganization(String),
    /// The token lacks the permission.
    #[error(
        "{0}; give the job `permissions: artifact-metadata: write` (runs for forks and Dependabot cannot have it)"
    )]
    NoPermission(String),
    /// The server has no such API, or does not know the repository.
    #[error("{0}; GitHub Enterprise Server has no artifact metadata up to 3.19")]
    NotServed(String),
    /// GitHub fails.
    #[error(transparent)]
    Failed(anyhow::Error),
}

#[derive(Serialize)]
struct Deployment<'a> {
    #[serde(flatten)]
    record: &'a DeploymentRecord,
    /// For an image without an attestation of its provenance, which names the repository that built it.
    github_repository: &'a str,
}

#[derive(Deserialize)]
struct Receipt {
    #[serde(default)]
    errors: Vec<DeploymentError>,
}

#[derive(Deserialize)]
struct DeploymentError {
    #[serde(default)]
    cause: String,
    #[serde(default)]
    deployment: ErrorDeployment,
}

#[derive(Default, Deserialize)]
struct ErrorDeployment {
    #[serde(default)]
    deployment_name: String,
}

#[derive(Deserialize)]
struct Repository {
    owner: Owner,
}

#[derive(Deserialize)]
struct Owner {
    #[serde(rename = "type")]
    kind: String,
}

impl StoredImage {
    /// Without the digest: `ghcr.io/octo-org/app`.
    pub fn name(&self) -> String {
        format!("{}/{}", self.host, self.repository)
    }
}

impl Client {
    /// The artifact metadata of the organization that the repository belongs to.
    pub fn artifact_metadata(&self) -> ArtifactMetadata {
        ArtifactMetadata(self.clone())
    }
}

impl ArtifactMetadata {
    /// Record that a registry has `image`.
    ///
    /// # Errors
    /// [`NotRecorded`].
    pub async fn store(&self, image: &StoredImage) -> Result<(), NotRecorded> {
        let mut record = json!({
            "name": image.name(), "digest": image.digest, "registry_url": format!("https://{}", image.host),
            "github_repository": self.0.name, "return_records": false,
        });
        // A longer one is in the name.
        if image.repository.chars().count() <= REPOSITORY {
            record["repository"] = image.repository.as_str().into();
        }
        // GitHub may have made the record before it failed.
        let stored: Result<Value, _> = self.post("storage-record", &record, Retry::RateLimit).await;
        match stored {
            Ok(_) => Ok(()),
            Err(error) => Err(self.explain(error).await),
        }
    }

    /// Record what runs in `place`: the deployments of `records`, each of them once. Returns those that GitHub did not record; the
    /// others are recorded.
    ///
    /// # Errors
    /// [`NotRecorded`].
    pub async fn deploy(
        &self,
        place: &DeploymentPlace,
        records: &[DeploymentRecord],
    ) -> Result<Vec<Unrecorded>, NotRecorded> {
        let github_repository = &self.0.name;
        let deployments = records.iter().map(|record| Deployment {
            record,
            github_repository,
        });
        let deployments: Vec<_> = deployments.collect();
        let mut request = json!({
            "logical_environment": place.logical_environment, "deployments": deployments,
            "partial_success": true, "return_records": false,
        });
        if let Some(physical) = &place.physical_environment {
            request["physical_environment"] = physical.as_str().into();
        }
        let path = format!("deployment-record/cluster/{}", place.cluster);
        let set: Result<Receipt, _> = self.post(&path, &request, Retry::Transient).await;
        match set {
            Ok(receipt) => Ok(receipt.errors.into_iter().map(Unrecorded::from).collect()),
            Err(error) => Err(self.explain(error).await),
        }
    }

    async fn post<T: serde::de::DeserializeOwned>(
        &self,
        path: &str,
        body: &Value,
        retry: Retry,
    ) -> Result<T, RequestError> {
        let client = &self.0;
        let url = format!(
            "{}/orgs/{}/artifacts/metadata/{path}",
            client.base(),
            client.owner
        );
        let call = client.call(Method::POST, url, body)?;
        client.send(&call, retry).await
    }

    // GitHub's response is the same without an organization and without such an API.
    async fn explain(&self, error: RequestError) -> NotRecorded {
        let client = &self.0;
        if error.is_refusal() && !error.is_rate_limit() {
            return NotRecorded::NoPermission(error.to_string());
        }
        if error.status() != Some(404) {
            return NotRecorded::Failed(error.into());
        }
        let name = format!("{}/{}", client.owner, client.name);
        let url = format!("{}/repos/{name}", client.base());
        let call = Call::get(url);
        match client.send::<Repository>(&call, Retry::Transient).await {
            Ok(repository) if repository.owner.kind == "User" => NotRecorded::NotOrganization(name),
            _ => NotRecorded::NotServed(error.to_string()),
        }
    }
}

impl From<DeploymentError> for Unrecorded {
    fn from(error: DeploymentError) -> Self {
        Self {
            deployment_name: error.deployment.deployment_name,
            cause: error.cause,
        }
    }
}
