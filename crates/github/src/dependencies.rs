//! The packages of a commit, for the dependency graph.
//!
//! API: docs.github.com/rest/dependency-graph/dependency-submission.

use std::collections::BTreeMap;

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};

use crate::Client;
use crate::client::Retry;

/// The dependency graph of one repository.
pub struct Dependencies(pub(crate) Client);

/// The packages of a commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Snapshot {
    /// The version of the snapshot, not of the format: a whole number.
    pub version: u64,
    /// The commit, 40 hex digits.
    pub sha: String,
    /// The full ref.
    #[serde(rename = "ref")]
    pub git_ref: String,
    /// The run and its correlator: of each correlator, the newest snapshot counts.
    pub job: Job,
    /// The program that found them.
    pub detector: Detector,
    /// The time of the scan, RFC 3339.
    pub scanned: String,
    /// The packages, by the file that names them.
    pub manifests: BTreeMap<String, Manifest>,
}

/// A run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Job {
    /// The run's id.
    pub id: String,
    /// What stays the same from run to run.
    pub correlator: String,
}

/// A program that finds packages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Detector {
    /// As the graph shows it.
    pub name: String,
    /// Of the program.
    pub version: String,
    /// The home page.
    pub url: String,
}

/// A file that names packages, or an image that has them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Manifest {
    /// The file's path, or the image.
    pub name: String,
    /// The packages, by package URL: two versions of one package are two.
    pub resolved: BTreeMap<String, Dependency>,
}

/// A package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Dependency {
    /// With the version.
    pub package_url: String,
    /// `direct` or `indirect`; absent where unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub relationship: Option<&'static str>,
}

#[derive(Deserialize)]
struct Receipt {
    result: String,
    #[serde(default)]
    message: String,
}

impl Snapshot {
    /// A snapshot without packages.
    pub fn new(sha: &str, git_ref: &str, run: &str, correlator: &str, detector: Detector) -> Self {
        Self {
            version: 0,
            sha: sha.to_owned(),
            git_ref: git_ref.to_owned(),
            job: Job {
                id: run.to_owned(),
                correlator: correlator.to_owned(),
            },
            detector,
            scanned: String::new(),
            manifests: BTreeMap::new(),
        }
    }
}

impl Dependencies {
    /// Submit `snapshot`; false if the token may not.
    ///
    /// # Errors
    /// When GitHub fails, or accepts the request and rejects the snapshot.
    pub async fn submit(&self, snapshot: &Snapshot) -> anyhow::Result<bool> {
        let path = "dependency-graph/snapshots";
        let receipt: Receipt = match self.0.post(path, snapshot, Retry::Transient).await {
            Err(error) if error.is_refusal() => return Ok(false),
            sent => sent.context("failed to submit the packages to the dependency graph")?,
        };
        // A rejected snapshot has the status 201 as well.
        if receipt.result == "INVALID" {
            bail!("GitHub rejected the packages: {}", receipt.message);
        }
        Ok(true)
    }
}
