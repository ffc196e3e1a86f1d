//! Deployments: which commit runs in an environment, and its URL.
//!
//! Protocol: docs.github.com/rest/deployments.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::Client;
use crate::client::Retry;
use crate::request_error::RequestError;

/// Characters of a description (docs.github.com/rest/deployments/statuses).
const DESCRIPTION: usize = 140;

/// The state of a deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeploymentState {
    /// The rollout has started.
    InProgress,
    /// The environment runs this version.
    Success,
    /// The version was rejected and rolled back.
    Failure,
    /// No verdict was reached.
    Error,
}

impl DeploymentState {
    fn name(self) -> &'static str {
        match self {
            Self::InProgress => "in_progress",
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Error => "error",
        }
    }
}

/// The details of a status.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeploymentStatus {
    /// The URL of the log.
    pub log_url: Option<String>,
    /// The URL of the environment.
    pub environment_url: Option<String>,
    /// A sentence; it is truncated to GitHub's limit of 140 characters.
    pub description: String,
}

/// The deployments of one repository.
pub struct Deployments(pub(crate) Client);

#[derive(Deserialize)]
struct Created {
    id: u64,
}

impl Deployments {
    /// Create a deployment of the commit `sha` to `environment`, and return its id. GitHub creates the environment if
    /// it does not exist.
    ///
    /// # Errors
    /// With GitHub's response.
    pub async fn create(&self, sha: &str, environment: &str) -> anyhow::Result<u64> {
        // Merging the default branch, and waiting for other checks, are GitHub's defaults; what is
        // deployed here is this commit, now.
        let new = json!({
            "ref": sha, "environment": environment, "auto_merge": false, "required_contexts": [],
        });
        let created = self.0.post("deployments", &new, Retry::RateLimit).await;
        let created: Created = created.map_err(explain)?;
        Ok(created.id)
    }

    /// Set the state of the deployment `id`. After a success GitHub marks the earlier ones inactive.
    ///
    /// # Errors
    /// With GitHub's response.
    pub async fn set(
        &self,
        id: u64,
        state: DeploymentState,
        status: &DeploymentStatus,
    ) -> anyhow::Result<()> {
        let path = format!("deployments/{id}/statuses");
        let description: String = status.description.chars().take(DESCRIPTION).collect();
        let mut new = json!({"state": state.name(), "description": description});
        for (field, url) in [
            ("log_url", &status.log_url),
            ("environment_url", &status.environment_url),
        ] {
            if let Some(url) = url {
                new[field] = url.as_str().into();
            }
        }
        let created: Result<Value, _> = self.0.post(&path, &new, Retry::Transient).await;
        created.map(drop).map_err(explain)
    }
}

fn explain(error: RequestError) -> anyhow::Error {
    let refused = error.is_refusal();
    let error = anyhow::Error::new(error);
    if !refused {
        return error;
    }
    anyhow::anyhow!(
        "{error:#}; give the job `permissions: deployments: write` (runs for forks and Dependabot cannot have it)"
    )
}
