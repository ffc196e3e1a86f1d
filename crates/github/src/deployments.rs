//! Deployments: what runs in an environment, since when, and where it is reached.
//!
//! Protocol: docs.github.com/rest/deployments.

use anyhow::anyhow;
use octocrab::Octocrab;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::client;

/// Characters of a description (docs.github.com/rest/deployments/statuses).
const DESCRIPTION: usize = 140;

/// How a deployment stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeploymentState {
    /// It is under way.
    InProgress,
    /// The environment runs this version.
    Success,
    /// The version was refused.
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

/// What a status tells.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeploymentStatus {
    /// Where the log is.
    pub log_url: Option<String>,
    /// Where the environment is reached.
    pub environment_url: Option<String>,
    /// A sentence; it is cut at GitHub's limit.
    pub description: String,
}

/// The deployments of one repository.
pub struct Deployments {
    crab: Octocrab,
    repository: String,
}

#[derive(Deserialize)]
struct Made {
    id: u64,
}

impl Deployments {
    /// The deployments of `repository` (`owner/name`) at the API `api_url`.
    ///
    /// # Errors
    /// When the repository or address is malformed.
    pub fn new(
        http: reqwest::Client,
        api_url: &str,
        repository: &str,
        token: &str,
    ) -> anyhow::Result<Self> {
        client::owner_and_name(repository)?;
        Ok(Self {
            crab: client::new(http, api_url, token)?,
            repository: repository.to_owned(),
        })
    }

    /// Open a deployment of the commit `sha` to `environment`, and return its id. GitHub makes the
    /// environment if there is none.
    ///
    /// # Errors
    /// With what GitHub answered.
    pub async fn create(&self, sha: &str, environment: &str) -> anyhow::Result<u64> {
        let path = format!("/repos/{}/deployments", self.repository);
        // Merging the default branch, and waiting for other checks, are GitHub's defaults; what is
        // deployed here is this commit, now.
        let new = json!({
            "ref": sha, "environment": environment, "auto_merge": false, "required_contexts": [],
        });
        let made: Made = self.crab.post(path, Some(&new)).await.map_err(explain)?;
        Ok(made.id)
    }

    /// Say how the deployment `id` stands. After a success GitHub marks the earlier ones inactive.
    ///
    /// # Errors
    /// With what GitHub answered.
    pub async fn set(
        &self,
        id: u64,
        state: DeploymentState,
        status: &DeploymentStatus,
    ) -> anyhow::Result<()> {
        let path = format!("/repos/{}/deployments/{id}/statuses", self.repository);
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
        let answer: Result<Value, _> = self.crab.post(path, Some(&new)).await;
        answer.map(drop).map_err(explain)
    }
}

fn explain(error: octocrab::Error) -> anyhow::Error {
    let cure = if client::is_refusal(&error) {
        "; give the job `permissions: deployments: write` (runs for forks and Dependabot cannot have it)"
    } else {
        ""
    };
    anyhow!("{:#}{cure}", client::words(error))
}
