//! A rolling issue: one that is opened, rewritten and closed as what it reports comes and goes.
//!
//! Protocol: docs.github.com/rest/issues/issues. A marker in its body, which GitHub does not show, identifies it
//! among those that the token's account opened.

use anyhow::anyhow;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::account::Author;
use crate::client::Retry;
use crate::request_error::RequestError;
use crate::{Client, truncate};

/// Pages of open issues that are searched, a hundred each.
const PAGES: u32 = 10;
const NOTE: &str = "\n\n… cut: an issue takes no more; the reports of the run have all of it.\n";

/// Which issue it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RollingIssue {
    /// What distinguishes it from other issues.
    pub key: String,
    /// In plain text.
    pub title: String,
}

/// The issues of one repository.
pub struct Issues(pub(crate) Client);

#[derive(Deserialize)]
struct Issue {
    number: u64,
    #[serde(default)]
    body: Option<String>,
    #[serde(default)]
    user: Option<Author>,
    /// The list has pull requests, too.
    #[serde(default)]
    pull_request: Option<Value>,
}

impl Issues {
    /// Open, rewrite or close the issue, and return its number if it is open. `body` turns its body, if it is open,
    /// into the new one, in Markdown; `None` closes it.
    ///
    /// # Errors
    /// With GitHub's response.
    pub async fn roll(
        &self,
        issue: &RollingIssue,
        body: impl FnOnce(Option<&str>) -> Option<String>,
    ) -> anyhow::Result<Option<u64>> {
        let marker = format!("<!-- {} -->", issue.key.replace("--", "—"));
        let known = self.find(&marker).await?;
        let body = body(known.as_ref().and_then(|issue| issue.body.as_deref())).map(|body| {
            let end = format!("\n{marker}");
            let room = truncate::LIMIT - end.chars().count();
            format!("{}{end}", truncate::truncate(&body, room, NOTE))
        });
        match (known, body) {
            (None, None) => Ok(None),
            (None, Some(body)) => {
                let new = json!({"title": issue.title, "body": body});
                let created = self.0.post("issues", &new, Retry::RateLimit).await;
                let created: Issue = created.map_err(explain)?;
                Ok(Some(created.number))
            }
            (Some(known), Some(body)) => {
                if known.body.as_deref() != Some(&body) {
                    let change = json!({"title": issue.title, "body": body});
                    self.change(known.number, &change).await?;
                }
                Ok(Some(known.number))
            }
            (Some(known), None) => {
                let change = json!({"state": "closed", "state_reason": "completed"});
                self.change(known.number, &change).await?;
                Ok(None)
            }
        }
    }

    async fn change(&self, number: u64, change: &Value) -> anyhow::Result<()> {
        let changed: Result<Value, _> = self.0.patch(&format!("issues/{number}"), change).await;
        changed.map(drop).map_err(explain)
    }

    async fn find(&self, marker: &str) -> anyhow::Result<Option<Issue>> {
        for page in 1..=PAGES {
            let path = format!("issues?state=open&per_page=100&page={page}");
            let issues: Vec<Issue> = self.0.get(&path).await.map_err(explain)?;
            let count = issues.len();
            let is_marked = |issue: &Issue| {
                let body = issue.body.as_ref();
                issue.pull_request.is_none() && body.is_some_and(|body| body.contains(marker))
            };
            for issue in issues.into_iter().filter(is_marked) {
                if self.0.is_author(issue.user.as_ref()).await {
                    return Ok(Some(issue));
                }
            }
            if count < 100 {
                break;
            }
        }
        Ok(None)
    }
}

fn explain(error: RequestError) -> anyhow::Error {
    let hint = match error.status() {
        Some(401) => "; check the input `token`",
        Some(403) => {
            "; give the job `permissions: issues: write` (runs for forks and Dependabot cannot have it)"
        }
        Some(404) => "; the token has no access to the repository",
        Some(410) => "; the repository has issues turned off",
        _ => "",
    };
    anyhow!(
        "failed to write the issue: {:#}{hint}",
        anyhow::Error::new(error)
    )
}
