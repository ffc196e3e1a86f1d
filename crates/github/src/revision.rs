//! The commit and the ref of an analysis.

use std::path::Path;

use actions_toolkit::GithubEnv;
use serde_json::Value;

use crate::checkout::{commit, head};

/// The commit and the ref that an upload is attributed to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revision {
    /// The commit, 40 hex digits.
    pub sha: String,
    /// The full ref.
    pub git_ref: String,
}

/// Why an upload cannot be attributed to a commit of the repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoRevision {
    /// Not a workflow run.
    #[error("this is not a workflow run: there is no commit and no ref to upload for")]
    NoRun,
    /// Another commit than the event's is checked out.
    #[error(
        "the checked-out commit belongs neither to the branch nor to the pull request of this run"
    )]
    Foreign,
    /// An entry of a merge queue: it may never be merged, and its branch is soon deleted.
    #[error(
        "an entry of a merge queue changes no branch; the push that merges it is uploaded by the run for `push`"
    )]
    MergeQueue,
}

/// The branch that the run's change goes into, without `refs/heads/`: the base of a pull request or of an entry of a
/// merge queue, otherwise the default branch of the repository.
pub fn base_branch(github: &GithubEnv<'_>) -> Option<String> {
    let event = github.event().unwrap_or_default();
    let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str);
    let queue = text("/merge_group/base_ref");
    let branch = github
        .base_ref()
        .or_else(|| text("/pull_request/base/ref"))
        .or_else(|| queue.map(|name| name.trim_start_matches("refs/heads/")))
        .or_else(|| text("/repository/default_branch"));
    branch.map(ToOwned::to_owned)
}

impl Revision {
    /// The commit and ref of the run whose checkout, if there is one, is in `workspace`.
    ///
    /// What is checked out counts: a pull request is analyzed as `refs/pull/N/merge` on its merge commit,
    /// and as `refs/pull/N/head` when another of its commits was checked out. In runs with the permissions of the
    /// default branch (`pull_request_target`, `workflow_run`), the findings of the pull request are not
    /// attributed to that branch. An entry of a merge queue has none: its base does not have it yet.
    ///
    /// # Errors
    /// [`NoRevision`], which does not fail the scan.
    pub fn from_run(github: &GithubEnv<'_>, workspace: &Path) -> Result<Self, NoRevision> {
        // An event that cannot be read is as good as none.
        let event = github.event().unwrap_or_default();
        Self::resolve(github, &event, head(workspace))
    }

    fn resolve(
        github: &GithubEnv<'_>,
        event: &Value,
        head: Option<String>,
    ) -> Result<Self, NoRevision> {
        let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str);
        let sha = github.sha().and_then(commit).ok_or(NoRevision::NoRun)?;
        let git_ref = github
            .git_ref()
            .filter(|name| name.starts_with("refs/"))
            .ok_or(NoRevision::NoRun)?;
        let revision = |sha: &str, git_ref: &str| {
            Ok(Self {
                sha: sha.to_owned(),
                git_ref: git_ref.to_owned(),
            })
        };
        let name = github.event_name().unwrap_or_default();
        if name == "merge_group" {
            return Err(NoRevision::MergeQueue);
        }
        let Some(head) = head.filter(|head| *head != sha) else {
            return revision(&sha, git_ref);
        };
        match name {
            "pull_request_target" => {
                let number = event.pointer("/pull_request/number");
                match number {
                    Some(number) if text("/pull_request/head/sha") == Some(&head) => {
                        revision(&head, &format!("refs/pull/{number}/head"))
                    }
                    _ => Err(NoRevision::Foreign),
                }
            }
            "workflow_run" => {
                let own = text("/workflow_run/head_repository/full_name") == github.repository();
                match text("/workflow_run/head_branch") {
                    Some(branch) if own && text("/workflow_run/head_sha") == Some(&head) => {
                        revision(&head, &format!("refs/heads/{branch}"))
                    }
                    _ => Err(NoRevision::Foreign),
                }
            }
            _ => match git_ref.strip_suffix("/merge") {
                Some(pull) if pull.starts_with("refs/pull/") => {
                    revision(&head, &format!("{pull}/head"))
                }
                _ => revision(&head, git_ref),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actions_toolkit::{Context, Env, Inputs, Log};
    use serde_json::json;

    static NOTHING: actions_toolkit::Action = actions_toolkit::Action {
        name: "nothing",
        about: "Nothing.",
        inputs: Vec::new,
        replaced: |_| None,
        outputs: &[],
        examples: &[],
    };

    const SHA: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const HEAD: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

    fn resolve(
        event: &str,
        git_ref: &str,
        payload: &Value,
        head: Option<&str>,
    ) -> Result<String, NoRevision> {
        let env = Env::from_pairs([
            ("GITHUB_SHA", SHA),
            ("GITHUB_REF", git_ref),
            ("GITHUB_EVENT_NAME", event),
            ("GITHUB_REPOSITORY", "octo-org/app"),
        ]);
        let inputs = Inputs::read(&NOTHING, &[], &env).unwrap();
        let (_, stop) = tokio::sync::watch::channel(None);
        let ctx = Context::new(env, inputs, Log::sink(), stop);
        Revision::resolve(&ctx.github(), payload, head.map(ToOwned::to_owned))
            .map(|revision| format!("{} {}", &revision.sha[..1], revision.git_ref))
    }

    type Case<'a> = (
        &'a str,
        &'a str,
        &'a Value,
        Option<&'a str>,
        Result<&'a str, NoRevision>,
    );

    #[test]
    fn every_event_has_its_commit_and_ref() {
        let none = json!({});
        let group = json!({"merge_group": {"base_ref": "refs/heads/main", "head_sha": SHA}});
        let pull = json!({"pull_request": {"number": 7, "head": {"sha": HEAD}}});
        let other = json!({"pull_request": {"number": 7, "head": {"sha": SHA}}});
        let run = |repository: &str| json!({"workflow_run": {"head_sha": HEAD, "head_branch": "topic", "head_repository": {"full_name": repository}}});
        let (own, fork) = (run("octo-org/app"), run("stranger/app"));
        let main = "refs/heads/main";
        let table: [Case; 14] = [
            ("push", main, &none, Some(SHA), Ok("a refs/heads/main")),
            ("push", main, &none, None, Ok("a refs/heads/main")),
            ("push", main, &none, Some(HEAD), Ok("b refs/heads/main")),
            ("schedule", main, &none, None, Ok("a refs/heads/main")),
            ("push", "main", &none, None, Err(NoRevision::NoRun)),
            (
                "pull_request",
                "refs/pull/7/merge",
                &pull,
                Some(SHA),
                Ok("a refs/pull/7/merge"),
            ),
            (
                "pull_request",
                "refs/pull/7/merge",
                &pull,
                Some(HEAD),
                Ok("b refs/pull/7/head"),
            ),
            (
                "merge_group",
                "refs/heads/gh-readonly-queue/main/pr-7-a",
                &group,
                Some(SHA),
                Err(NoRevision::MergeQueue),
            ),
            (
                "pull_request_target",
                main,
                &pull,
                Some(SHA),
                Ok("a refs/heads/main"),
            ),
            (
                "pull_request_target",
                main,
                &pull,
                Some(HEAD),
                Ok("b refs/pull/7/head"),
            ),
            (
                "pull_request_target",
                main,
                &other,
                Some(HEAD),
                Err(NoRevision::Foreign),
            ),
            (
                "workflow_run",
                main,
                &own,
                Some(HEAD),
                Ok("b refs/heads/topic"),
            ),
            (
                "workflow_run",
                main,
                &fork,
                Some(HEAD),
                Err(NoRevision::Foreign),
            ),
            (
                "workflow_run",
                main,
                &fork,
                Some(SHA),
                Ok("a refs/heads/main"),
            ),
        ];
        for (event, git_ref, payload, head, expected) in table {
            let revision = resolve(event, git_ref, payload, head);
            assert_eq!(
                revision.as_deref(),
                expected.as_ref().copied(),
                "{event} {head:?}"
            );
        }
    }
}
