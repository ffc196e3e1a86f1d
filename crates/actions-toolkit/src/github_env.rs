//! The default variables of a workflow run and its event.

use std::path::PathBuf;

use anyhow::Context as _;

use crate::network::GITHUB_API;
use crate::{BadInput, Env};

/// What the runner reports about the run, as `GITHUB_*` variables
/// (docs.github.com/actions/reference/workflows-and-actions/variables).
#[derive(Debug, Clone)]
pub struct GithubEnv<'a>(pub(crate) &'a Env);

/// The service that has the caches of a repository.
#[derive(Clone, Copy)]
pub struct ActionsCache<'a> {
    /// Its address.
    pub url: &'a str,
    /// The token of the job for it.
    pub token: &'a str,
}

impl<'a> GithubEnv<'a> {
    /// The cache of GitHub Actions (version 2 of its service), which the runner gives to actions.
    pub fn cache(&self) -> Option<ActionsCache<'a>> {
        Some(ActionsCache {
            url: self.0.get("ACTIONS_RESULTS_URL")?,
            token: self.0.get("ACTIONS_RUNTIME_TOKEN")?,
        })
    }

    /// Owner and name of the repository, `octo-org/app`.
    pub fn repository(&self) -> Option<&'a str> {
        self.0.get("GITHUB_REPOSITORY")
    }

    /// The commit that triggered the run, 40 hex digits.
    pub fn sha(&self) -> Option<&'a str> {
        self.0.get("GITHUB_SHA")
    }

    /// The full ref, `refs/heads/main` or `refs/pull/7/merge`.
    pub fn git_ref(&self) -> Option<&'a str> {
        self.0.get("GITHUB_REF")
    }

    /// The branch that a pull request is to be merged into, without `refs/heads/`; of its events only.
    pub fn base_ref(&self) -> Option<&'a str> {
        self.0.get("GITHUB_BASE_REF")
    }

    /// The name of the event, `push`, `pull_request`, `schedule`.
    pub fn event_name(&self) -> Option<&'a str> {
        self.0.get("GITHUB_EVENT_NAME")
    }

    /// The base of the REST API: GitHub's own, or a server's.
    pub fn api_url(&self) -> &'a str {
        self.0.get("GITHUB_API_URL").unwrap_or(GITHUB_API)
    }

    /// The base of the web pages.
    pub fn server_url(&self) -> &'a str {
        self.0
            .get("GITHUB_SERVER_URL")
            .unwrap_or("https://github.com")
    }

    /// The path of the workflow file, from `GITHUB_WORKFLOW_REF`
    /// (`octo-org/app/.github/workflows/ci.yml@refs/heads/main`).
    pub fn workflow_path(&self) -> Option<&'a str> {
        let reference = self.0.get("GITHUB_WORKFLOW_REF")?;
        let path = reference
            .split_once('@')
            .map_or(reference, |(path, _)| path);
        path.splitn(3, '/').nth(2)
    }

    /// The key of the job in its workflow file; in a reusable workflow after the keys of the jobs that call it, `web/image`. What
    /// calls a workflow twice has two of them, where `GITHUB_JOB` is the same (github.com/actions/runner/issues/2577).
    ///
    /// A server whose runners do not set `ACTIONS_ORCHESTRATION_ID` (github.com/actions/runner/pull/4178) does not say what calls.
    pub fn job_path(&self) -> Option<String> {
        let job = self.0.get("GITHUB_JOB")?;
        let id = self.0.get("ACTIONS_ORCHESTRATION_ID").unwrap_or_default();
        // The run, the keys of the jobs, which have no dot, and the leg of the matrix, `__default` without one: it may have several
        // parts (github.com/DataDog/datadog-ci, packages/base/src/helpers/ci.ts).
        let parts: Vec<_> = id.split('.').collect();
        let keys = match &parts[..] {
            [_, keys @ .., _] => keys,
            _ => &[],
        };
        Some(match keys.iter().position(|key| *key == job) {
            Some(own) => keys[..=own].join("/"),
            None => job.to_owned(),
        })
    }

    /// The web page of the run.
    pub fn run_url(&self) -> Option<String> {
        let id = self.0.get("GITHUB_RUN_ID")?;
        Some(format!(
            "{}/{}/actions/runs/{id}",
            self.server_url(),
            self.repository()?
        ))
    }

    /// The directory of the checkout: `GITHUB_WORKSPACE`, or the current directory outside GitHub.
    ///
    /// # Errors
    /// [`BadInput`] when neither is available.
    pub fn workspace(&self) -> Result<PathBuf, BadInput> {
        match self.0.get("GITHUB_WORKSPACE").map(PathBuf::from) {
            Some(path) if path.is_dir() => Ok(path),
            // A step container may see the workspace only as its working directory.
            _ => std::env::current_dir()
                .map_err(|e| BadInput(format!("the current directory is unavailable: {e}"))),
        }
    }

    /// Whether the run is for a pull request whose code is in another repository: such a run has no secrets, and its token
    /// may only read. A fork that was deleted is one, too.
    pub fn is_pull_request_of_fork(&self) -> bool {
        let event = self.event().unwrap_or_default();
        let head = event.pointer("/pull_request/head");
        head.is_some_and(|head| {
            let name = head
                .pointer("/repo/full_name")
                .and_then(|name| name.as_str());
            name != self.repository()
        })
    }

    /// The webhook payload of the event; `null` outside GitHub.
    ///
    /// # Errors
    /// When the file is there but can't be read or is not JSON.
    pub fn event(&self) -> anyhow::Result<serde_json::Value> {
        let Some(path) = self.0.get("GITHUB_EVENT_PATH") else {
            return Ok(serde_json::Value::Null);
        };
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("failed to read the event `{path}`"))?;
        serde_json::from_str(&text).with_context(|| format!("failed to read the event `{path}`"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fork_is_another_repository() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("event.json");
        let table = [
            (
                r#"{"pull_request": {"head": {"repo": {"full_name": "me/app"}}}}"#,
                true,
            ),
            (r#"{"pull_request": {"head": {"repo": null}}}"#, true),
            (
                r#"{"pull_request": {"head": {"repo": {"full_name": "octo-org/app"}}}}"#,
                false,
            ),
            (r#"{"pull_request": {"number": 7}}"#, false),
            ("{}", false),
            ("not JSON", false),
        ];
        for (event, expected) in table {
            std::fs::write(&file, event).unwrap();
            let env = Env::from_pairs([
                ("GITHUB_REPOSITORY", "octo-org/app"),
                ("GITHUB_EVENT_PATH", file.to_str().unwrap()),
            ]);
            assert_eq!(
                GithubEnv(&env).is_pull_request_of_fork(),
                expected,
                "{event}"
            );
        }
    }

    #[test]
    fn two_calls_of_a_reusable_workflow_are_two_jobs() {
        let table = [
            (None, "image"),
            (Some(""), "image"),
            (Some("327d153d.image.__default"), "image"),
            (Some("327d153d.image._2"), "image"),
            (Some("327d153d.web.image.__default"), "web/image"),
            (Some("327d153d.worker.image._2"), "worker/image"),
            (Some("327d153d.all.web.image.__default"), "all/web/image"),
            (Some("327d153d.web.image.amd64.prod"), "web/image"),
            (Some("327d153d.image.image.amd64"), "image"),
            // Of another form, it is not trusted.
            (Some("327d153d.web.other.__default"), "image"),
            (Some("327d153d"), "image"),
        ];
        for (id, expected) in table {
            let id = id.map(|id| ("ACTIONS_ORCHESTRATION_ID", id));
            let pairs = [("GITHUB_JOB", "image")].into_iter().chain(id);
            let env = Env::from_pairs(pairs);
            let path = GithubEnv(&env).job_path();
            assert_eq!(path.as_deref(), Some(expected), "{id:?}");
        }
    }

    #[test]
    fn the_workflow_path_needs_no_call_to_the_api() {
        let env = Env::from_pairs([(
            "GITHUB_WORKFLOW_REF",
            "o/r/.github/workflows/ci.yml@refs/heads/a/b",
        )]);
        assert_eq!(
            GithubEnv(&env).workflow_path(),
            Some(".github/workflows/ci.yml")
        );
    }
}
