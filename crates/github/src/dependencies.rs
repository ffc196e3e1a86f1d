//! The packages of a commit, for the dependency graph.
//!
//! API: docs.github.com/rest/dependency-graph/dependency-submission.

use std::collections::BTreeMap;

use anyhow::{Context as _, bail};
use octocrab::Octocrab;
use serde::{Deserialize, Serialize};

use crate::client;

/// The dependency graph of one repository.
pub struct Dependencies {
    crab: Octocrab,
    repository: String,
}

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
    /// The run, and what stays the same from run to run: the newest snapshot of a correlator counts.
    pub job: Job,
    /// Who found them.
    pub detector: Detector,
    /// When, RFC 3339.
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
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its page.
    pub url: String,
}

/// A file that names packages, or an image that has them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Manifest {
    /// Its name.
    pub name: String,
    /// Its packages, by package URL: two versions of one package are two.
    pub resolved: BTreeMap<String, Dependency>,
}

/// A package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Dependency {
    /// Its package URL, with version.
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
    /// The dependency graph of `repository` (`owner/name`) at the API `api_url`.
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

    /// Submit `snapshot`; false if the token may not.
    ///
    /// # Errors
    /// When GitHub fails, or takes the request and refuses the snapshot.
    pub async fn submit(&self, snapshot: &Snapshot) -> anyhow::Result<bool> {
        let route = format!("/repos/{}/dependency-graph/snapshots", self.repository);
        let receipt: Receipt = match self.crab.post(route, Some(snapshot)).await {
            Ok(receipt) => receipt,
            Err(error) if client::is_refusal(&error) => return Ok(false),
            Err(error) => {
                return Err(client::words(error))
                    .context("while submitting the packages to the dependency graph");
            }
        };
        // A refused snapshot is answered with 201 as well.
        if receipt.result == "INVALID" {
            bail!("GitHub refused the packages: {}", receipt.message);
        }
        Ok(true)
    }
}
