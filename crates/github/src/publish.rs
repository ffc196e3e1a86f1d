//! What the actions publish on GitHub, and what they log about it.
//!
//! A token without the permission, and a repository without the feature, are not a verdict on the code: they are logged,
//! and the step goes on.

use std::path::Path;

use actions_toolkit::{Context, Level, Secret};
use anyhow::Context as _;
use serde_json::Value;

use crate::request_error::RequestError;
use crate::{
    Analyses, AnalysisFilter, Client, Commented, CompressedSarif, NewestAnalysis, NoRevision,
    PullRequest, Revision, Uploaded, base_branch,
};

/// Publishes the results of one run.
pub struct Publisher<'a> {
    ctx: &'a Context,
    workspace: &'a Path,
    client: Client,
    analyses: Analyses,
}

impl<'a> Publisher<'a> {
    /// `None` without a token, or outside of a workflow run. `workspace` is the checkout, if there is one.
    ///
    /// # Errors
    /// When the runner names a malformed repository or address, or no HTTP client is available.
    pub fn new(
        ctx: &'a Context,
        token: Option<&Secret>,
        workspace: &'a Path,
    ) -> anyhow::Result<Option<Self>> {
        let Some(token) = token else {
            return Ok(None);
        };
        let client = Client::from_context(ctx, token)?;
        Ok(client.map(|client| Self {
            ctx,
            workspace,
            analyses: client.analyses(),
            client,
        }))
    }

    /// The client of the repository.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The analyses that were uploaded before this run.
    pub fn analyses(&self) -> &Analyses {
        &self.analyses
    }

    /// The commit and the ref of the run.
    ///
    /// # Errors
    /// [`NoRevision`], which does not fail the scan.
    pub fn revision(&self) -> Result<Revision, NoRevision> {
        Revision::from_run(&self.ctx.github(), self.workspace)
    }

    /// The pull request of the run, if there is one.
    pub fn pull_request(&self) -> Option<PullRequest> {
        let event = self.ctx.github().event().unwrap_or_default();
        let number = event.pointer("/pull_request/number");
        let number = number.and_then(Value::as_u64)?;
        Some(self.client.pull_request(number))
    }

    /// Upload `file` to the Security tab; `None` if the run or the repository does not permit it, which is logged at
    /// `level`.
    ///
    /// # Errors
    /// When GitHub fails or rejects the file.
    pub async fn upload(
        &self,
        file: &CompressedSarif,
        level: Level,
    ) -> anyhow::Result<Option<Uploaded>> {
        let log = self.ctx.log();
        let revision = match self.revision() {
            Ok(revision) => revision,
            Err(reason) => {
                log.notice(format!("the findings are not uploaded: {reason}"));
                return Ok(None);
            }
        };
        match self.client.code_scanning().upload(file, &revision).await {
            Err(error) if error.is_setting() => {
                let message = format!("the findings are not in the Security tab: {error}");
                log.annotate(level, None, message);
                Ok(None)
            }
            uploaded => {
                let uploaded = uploaded.context("failed to upload to the Security tab")?;
                if !uploaded.processed {
                    log.notice(
                        "the findings are uploaded; GitHub was still processing them at the end",
                    );
                }
                Ok(Some(uploaded))
            }
        }
    }

    /// Pass the newest analysis of `tool` in `category` to `read`: that of the ref that the run uploads for and, unless
    /// `read` returns `true`, that of the branch that the change goes into. Analyses with the run id `excluded_run_id` are
    /// skipped if there are others.
    ///
    /// Nothing is passed where the run uploads nothing, or the token may not read: it may not upload then either.
    ///
    /// # Errors
    /// When GitHub fails.
    pub async fn read_stored(
        &self,
        tool: &str,
        category: &str,
        excluded_run_id: &str,
        mut read: impl FnMut(&Value) -> bool,
    ) -> anyhow::Result<()> {
        let Ok(revision) = self.revision() else {
            return Ok(());
        };
        let mut refs = vec![revision.git_ref];
        let base = base_branch(&self.ctx.github());
        refs.extend(base.map(|branch| format!("refs/heads/{branch}")));
        refs.dedup();
        for git_ref in &refs {
            let filter = AnalysisFilter {
                tool,
                git_ref,
                category,
                excluded_run_id,
            };
            let sarif = match self.analyses.newest(&filter).await {
                Ok(
                    NewestAnalysis::Match { sarif, .. } | NewestAnalysis::OnlyExcluded { sarif },
                ) => sarif,
                Ok(NewestAnalysis::None { .. }) => continue,
                Ok(NewestAnalysis::Undecided { listed }) => {
                    self.ctx.log().notice(format!(
                        "none of the newest {listed} analyses of `{git_ref}` is of {category}: if an older one is, its alerts may be opened again"
                    ));
                    continue;
                }
                Err(error) if is_refusal(&error) => break,
                Err(error) => return Err(error),
            };
            if read(&sarif) {
                break;
            }
        }
        Ok(())
    }

    /// Keep one comment on the pull request of the run up to date, if there is one. `marker` identifies the comment;
    /// with `only_update`, no new one is written.
    ///
    /// What goes wrong is logged, and changes no verdict.
    pub async fn comment(&self, marker: &str, body: &str, only_update: bool) {
        let Some(pull_request) = self.pull_request() else {
            return;
        };
        let log = self.ctx.log();
        match pull_request.comment(marker, body, only_update).await {
            Ok(Commented::Created) => log.info("commented on the pull request"),
            Ok(Commented::Updated) => log.info("updated the comment on the pull request"),
            Ok(Commented::Unchanged | Commented::Skipped) => {}
            Ok(Commented::NotPermitted) => log.notice(
                "the pull request has no comment: the token may not write one; give the job `permissions: pull-requests: write`, or set `comment: false`",
            ),
            Err(error) => log.warning(format!("the pull request has no comment: {error:#}")),
        }
    }
}

fn is_refusal(error: &anyhow::Error) -> bool {
    let error = error.downcast_ref::<RequestError>();
    error.is_some_and(|error| error.is_refusal() && !error.is_rate_limit())
}
