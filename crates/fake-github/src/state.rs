//! The state of the repository.

use std::path::PathBuf;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::account::Account;
use super::alerts::Dismissal;
use super::comments::Comment;
use super::deployments::Deployment;
use super::issues::Issue;
use super::options::Options;
use super::pulls::Pull;
use super::uploads::Uploaded;

#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Repository {
    pub(super) uploads: Vec<Uploaded>,
    pub(super) comments: Vec<Comment>,
    pub(super) issues: Vec<Issue>,
    pub(super) deployments: Vec<Deployment>,
    pub(super) pulls: Vec<Pull>,
    pub(super) dismissals: Vec<Dismissal>,
    /// Snapshots of the dependency graph, as they were sent.
    pub(super) snapshots: Vec<Value>,
    /// As they were sent, with the environment and the cluster; one for each deployment of a cluster.
    pub(super) deployment_records: Vec<Value>,
    /// As they were sent.
    pub(super) storage_records: Vec<Value>,
    last: u64,
    /// How many polls of an upload return `pending` before it is done.
    #[serde(skip)]
    pub(super) pending: u32,
    /// The account of the token.
    #[serde(skip)]
    pub(super) account: Account,
    #[serde(skip)]
    file: Option<PathBuf>,
}

impl Repository {
    pub(super) fn open(options: &Options) -> anyhow::Result<Self> {
        let account = options.account.clone();
        let Some(directory) = &options.data else {
            return Ok(Self {
                account,
                ..Self::default()
            });
        };
        std::fs::create_dir_all(directory).context("failed to create GitHub's directory")?;
        // Named after its shape: an earlier `github.json` has another one.
        let file = directory.join("repository.json");
        // What another version of this server wrote, with other fields, is not needed.
        let text = std::fs::read(&file).unwrap_or_default();
        let mut read: Self = serde_json::from_slice(&text).unwrap_or_default();
        read.file = Some(file);
        read.account = account;
        Ok(read)
    }

    pub(super) fn save(&self) {
        let Some(file) = &self.file else { return };
        let Ok(text) = serde_json::to_vec(self) else {
            return;
        };
        // The pages are a convenience: a full disk must not fail the caller's request, nor leave
        // half a file behind.
        let next = file.with_extension("next");
        if std::fs::write(&next, text).is_ok() {
            let _ = std::fs::rename(&next, file);
        }
    }

    /// The next number of an issue, a comment, a deployment, an analysis.
    pub(super) fn next_number(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    pub(super) fn comments_on(&self, number: u64) -> usize {
        self.comments
            .iter()
            .filter(|comment| comment.on == number)
            .count()
    }
}
