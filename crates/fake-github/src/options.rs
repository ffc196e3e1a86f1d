//! The options of the server.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::account::Account;

/// What a token may do with one kind of thing, as in a workflow's `permissions:`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Access {
    /// Read it.
    Read,
    /// Read and change it.
    Write,
}

/// The options of a server.
#[derive(Debug, Clone)]
pub struct Options {
    pub(super) token: String,
    pub(super) permissions: Option<BTreeMap<String, Access>>,
    pub(super) repository: Option<String>,
    /// Whether the owner of the repository is a user, and not an organization.
    pub(super) is_of_user: bool,
    pub(super) data: Option<PathBuf>,
    pub(super) account: Account,
}

impl Options {
    /// A server that accepts the token `token`, which may do everything, with any repository.
    pub fn new(token: &str) -> Self {
        Self {
            token: token.into(),
            permissions: None,
            repository: None,
            is_of_user: false,
            data: None,
            account: Account::default(),
        }
    }

    /// What the token may do, by the names of a workflow's `permissions:` (`security-events`,
    /// `issues`, `pull-requests`, `deployments`, `contents`, `artifact-metadata`); nothing else. Anything else is refused
    /// with 403, "Resource not accessible by integration".
    #[must_use]
    pub fn permissions(mut self, granted: &[(&str, Access)]) -> Self {
        let granted = granted
            .iter()
            .map(|(name, access)| ((*name).to_owned(), *access));
        self.permissions = Some(granted.collect());
        self
    }

    /// The only repository (`owner/name`); any other one is 404.
    #[must_use]
    pub fn repository(mut self, repository: &str) -> Self {
        self.repository = Some(repository.into());
        self
    }

    /// The owner of the repository is a user: there is no organization.
    #[must_use]
    pub fn of_user(mut self) -> Self {
        self.is_of_user = true;
        self
    }

    /// The account of the token; `github-actions[bot]` by default.
    #[must_use]
    pub fn account(mut self, account: Account) -> Self {
        self.account = account;
        self
    }

    /// The directory in which it stores its state, over restarts.
    #[must_use]
    pub fn data(mut self, directory: impl Into<PathBuf>) -> Self {
        self.data = Some(directory.into());
        self
    }
}
