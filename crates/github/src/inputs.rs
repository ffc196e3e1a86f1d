//! The inputs of a step for GitHub, as the actions have them.

use actions_toolkit::{GitHubToken, inputs};

inputs! {
    /// What a step publishes on GitHub, and with which token.
    #[derive(Debug, Clone)]
    pub struct GitHubInputs {
        /// Upload the findings to the Security tab.
        upload: bool = "true",
        /// Write one comment on the pull request, and keep it up to date.
        comment: bool = "true",
        /// Token for GitHub with `security-events: write` for the Security tab and `pull-requests: write` for the comment.
        token: Option<GitHubToken>,
    }
}

inputs! {
    /// What a step records on GitHub of the images that it pushes.
    #[derive(Debug, Clone)]
    pub struct StorageRecordInputs {
        /// Record in the organization on GitHub which registry has each pushed image; requires `artifact-metadata: write`.
        storage_record: bool = "false",
    }
}
