//! Whether the image is pushed.

use actions_toolkit::{BadInput, Context, Secret};
use github::{GitHubInputs, StorageRecordInputs};
use oci::ImageRef;
use registries::Registries;

use crate::action::Inputs;

/// Whether the image is pushed when every check has passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Push {
    No,
    Yes,
    /// Requested, but not in this run, for this reason.
    Skipped(String),
}

impl Push {
    /// Whether the run pushes images with `names`.
    pub(super) fn new(
        ctx: &Context,
        inputs: &Inputs,
        registries: &Registries,
        names: &[ImageRef],
    ) -> Self {
        if !inputs.push {
            return Self::No;
        }
        if ctx.github().is_pull_request_of_fork() {
            let reason = "the pull request is from a fork, whose runs have no credentials";
            return Self::Skipped(reason.to_owned());
        }
        if names.is_empty() {
            return Self::Skipped("no tag applies to this run".to_owned());
        }
        let mut hosts = names.iter().map(|name| name.in_registry().0);
        let without = hosts.find(|host| registries.without_secret.iter().any(|one| one == host));
        match without {
            Some(host) => Self::Skipped(format!("this run has no secret for `{host}`")),
            None => Self::Yes,
        }
    }
}

/// The token for recording on GitHub what is pushed; `None` if that is not requested.
///
/// # Errors
/// [`BadInput`] without a token.
pub(super) fn records(inputs: &Inputs) -> Result<Option<Secret>, BadInput> {
    if !inputs.records.storage_record {
        return Ok(None);
    }
    let Some(token) = &inputs.github.token else {
        let record = StorageRecordInputs::storage_record;
        let problem = format!("is required with `{record}`: `${{{{ github.token }}}}`");
        return Err(BadInput::new(GitHubInputs::token, problem));
    };
    Ok(Some(token.0.clone()))
}
