//! The commit and the ref that an analysis is about.

use std::path::Path;

use actions_toolkit::GithubEnv;
use serde_json::Value;

use crate::checkout::{commit, head};

/// The commit and ref that an upload is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The commit, 40 hex digits.
    pub sha: String,
    /// The full ref.
    pub git_ref: String,
}

/// Why an upload is about no commit of the repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unplaced {
    /// There is no run of a workflow.
    #[error("this is no run of a workflow: there is no commit and no ref to upload for")]
    NoRun,
    /// Something else than the event's own commits is checked out.
    #[error(
        "the commit that is checked out belongs neither to the branch nor to the pull request of this run"
    )]
    Foreign,
}

impl Place {
    /// The commit and ref of the run whose checkout, if there is one, is in `workspace`.
    ///
    /// What is checked out counts: a pull request is analysed as `refs/pull/N/merge` on its merge commit,
    /// and as `refs/pull/N/head` when something else of it was checked out. Runs that have the rights of the
    /// default branch (`pull_request_target`, `workflow_run`) do not get their pull request's findings
    /// attributed to that branch. A merge group's own branch is gone soon: its base counts.
    ///
    /// # Errors
    /// [`Unplaced`], which is no failure of the scan.
    pub fn of(github: &GithubEnv<'_>, workspace: &Path) -> Result<Self, Unplaced> {
        // An event that cannot be read tells no more than none.
        let event = github.event().unwrap_or_default();
        Self::resolve(github, &event, head(workspace))
    }

    fn resolve(
        github: &GithubEnv<'_>,
        event: &Value,
        head: Option<String>,
    ) -> Result<Self, Unplaced> {
        let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str);
        let sha = github.sha().and_then(commit).ok_or(Unplaced::NoRun)?;
        let git_ref = github
            .git_ref()
            .filter(|name| name.starts_with("refs/"))
            .ok_or(Unplaced::NoRun)?;
        let of = |sha: &str, git_ref: &str| {
            Ok(Self {
                sha: sha.to_owned(),
                git_ref: git_ref.to_owned(),
            })
        };
        let name = github.event_name().unwrap_or_default();
        if let ("merge_group", Some(base)) = (name, text("/merge_group/base_ref")) {
            return of(&sha, base);
        }
        let Some(head) = head.filter(|head| *head != sha) else {
            return of(&sha, git_ref);
        };
        match name {
            "pull_request_target" => {
                let number = event.pointer("/pull_request/number");
                match number {
                    Some(number) if text("/pull_request/head/sha") == Some(&head) => {
                        of(&head, &format!("refs/pull/{number}/head"))
                    }
                    _ => Err(Unplaced::Foreign),
                }
            }
            "workflow_run" => {
                let own = text("/workflow_run/head_repository/full_name") == github.repository();
                match text("/workflow_run/head_branch") {
                    Some(branch) if own && text("/workflow_run/head_sha") == Some(&head) => {
                        of(&head, &format!("refs/heads/{branch}"))
                    }
                    _ => Err(Unplaced::Foreign),
                }
            }
            _ => match git_ref.strip_suffix("/merge") {
                Some(pull) if pull.starts_with("refs/pull/") => of(&head, &format!("{pull}/head")),
                _ => of(&head, git_ref),
            },
        }
    }
}

/// The category of an analysis of `name` by a scan of `kind`, where an author names none: the workflow, the
/// job, and what is scanned; nothing that changes from run to run.
pub fn category(github: &GithubEnv<'_>, kind: &str, name: &str) -> String {
    format!("{}/{kind}/{name}", family(github))
}

/// What all categories of one job start with.
pub fn family(github: &GithubEnv<'_>) -> String {
    let workflow = github.workflow_path().unwrap_or("local");
    format!("{workflow}:{}", github.job().unwrap_or("local"))
}

/// The two parts of the id of an analysis, `automationDetails.id`: all before the last `/` is the category, which
/// tells what closes what; what follows is the run id, which GitHub stores and does not use
/// (docs.github.com/code-security/reference/code-scanning/sarif-support-for-code-scanning, "runAutomationDetails object").
pub fn category_and_run_id(id: &str) -> (&str, &str) {
    id.rsplit_once('/').unwrap_or(("", id))
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
        outputs: &[],
    };

    const SHA: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const HEAD: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

    fn place(
        event: &str,
        git_ref: &str,
        payload: &Value,
        head: Option<&str>,
    ) -> Result<String, Unplaced> {
        let env = Env::from_pairs([
            ("GITHUB_SHA", SHA),
            ("GITHUB_REF", git_ref),
            ("GITHUB_EVENT_NAME", event),
            ("GITHUB_REPOSITORY", "octo-org/app"),
        ]);
        let inputs = Inputs::read(&NOTHING, &[], &env).unwrap();
        let (_, stop) = tokio::sync::watch::channel(None);
        let ctx = Context::new(env, inputs, Log::sink(), stop);
        Place::resolve(&ctx.github(), payload, head.map(ToOwned::to_owned))
            .map(|place| format!("{} {}", &place.sha[..1], place.git_ref))
    }

    type Case<'a> = (
        &'a str,
        &'a str,
        &'a Value,
        Option<&'a str>,
        Result<&'a str, Unplaced>,
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
            ("push", "main", &none, None, Err(Unplaced::NoRun)),
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
                Ok("a refs/heads/main"),
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
                Err(Unplaced::Foreign),
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
                Err(Unplaced::Foreign),
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
            let found = place(event, git_ref, payload, head);
            assert_eq!(
                found.as_deref(),
                expected.as_ref().copied(),
                "{event} {head:?}"
            );
        }
    }

    #[test]
    fn the_run_id_is_what_follows_the_last_slash() {
        // GitHub's own table.
        let table = [
            (
                "my-analysis/tool1/2021-02-01",
                ("my-analysis/tool1", "2021-02-01"),
            ),
            ("my-analysis/tool1/", ("my-analysis/tool1", "")),
            ("my-analysis for tool1", ("", "my-analysis for tool1")),
        ];
        for (id, parts) in table {
            assert_eq!(category_and_run_id(id), parts);
        }
    }
}
