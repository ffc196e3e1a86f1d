//! How the server is set up.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// What a token may do with one kind of thing, as `permissions:` of a workflow says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Access {
    /// Look at it.
    Read,
    /// Look at it and change it.
    Write,
}

/// How a server is set up.
#[derive(Debug, Clone)]
pub struct Options {
    pub(super) token: String,
    pub(super) permissions: Option<BTreeMap<String, Access>>,
    pub(super) repository: Option<String>,
    pub(super) data: Option<PathBuf>,
}

impl Options {
    /// A server that takes the token `token`, which may do everything, with any repository.
    pub fn new(token: &str) -> Self {
        Self {
            token: token.into(),
            permissions: None,
            repository: None,
            data: None,
        }
    }

    /// What the token may do, by the names of a workflow's `permissions:` (`security-events`,
    /// `issues`, `pull-requests`, `deployments`, `contents`); nothing else. For anything else the answer is 403,
    /// "Resource not accessible by integration".
    #[must_use]
    pub fn permissions(mut self, granted: &[(&str, Access)]) -> Self {
        let granted = granted
            .iter()
            .map(|(name, access)| ((*name).to_owned(), *access));
        self.permissions = Some(granted.collect());
        self
    }

    /// The only repository that there is (`owner/name`); any other one is 404.
    #[must_use]
    pub fn repository(mut self, repository: &str) -> Self {
        self.repository = Some(repository.into());
        self
    }

    /// The folder in which it keeps what it is told, over restarts.
    #[must_use]
    pub fn data(mut self, folder: impl Into<PathBuf>) -> Self {
        self.data = Some(folder.into());
        self
    }
}
