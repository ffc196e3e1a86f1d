//! A rolling issue: one that is opened, rewritten and closed as what it tells of comes and goes.
//!
//! Protocol: docs.github.com/rest/issues/issues. It is found again by a marker in its body, which a
//! person does not see.

use anyhow::{Context as _, anyhow};
use octocrab::Octocrab;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::fit;

/// Pages of a hundred open issues that are looked through.
const PAGES: u32 = 10;
const CUT: &str = "\n\n… cut: an issue takes no more; the reports of the run have all of it.\n";

/// Which issue it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RollingIssue {
    /// What tells it from other issues.
    pub key: String,
    /// Its title.
    pub title: String,
}

/// The issues of one repository.
pub struct Issues {
    crab: Octocrab,
    repository: String,
}

#[derive(Deserialize)]
struct Found {
    number: u64,
    #[serde(default)]
    body: Option<String>,
}

impl Issues {
    /// The issues of `repository` (`owner/name`) at the API `api_url`.
    ///
    /// # Errors
    /// When the repository or address is malformed.
    pub fn new(
        http: reqwest::Client,
        api_url: &str,
        repository: &str,
        token: &str,
    ) -> anyhow::Result<Self> {
        crate::client::owner_and_name(repository)?;
        let crab = Octocrab::builder()
            .base_uri(api_url)
            .context("while reading GITHUB_API_URL")?
            .personal_token(token.to_owned())
            .build_with_reqwest(http)
            .context("while preparing the client for GitHub")?;
        Ok(Self {
            crab,
            repository: repository.to_owned(),
        })
    }

    /// Open, rewrite or close the issue, and return its number if it is open. `body` makes its body, in Markdown, of
    /// the one that it has if it is open; `None` closes it.
    ///
    /// # Errors
    /// With what GitHub answered.
    pub async fn roll(
        &self,
        issue: &RollingIssue,
        body: impl FnOnce(Option<&str>) -> Option<String>,
    ) -> anyhow::Result<Option<u64>> {
        let marker = format!("<!-- {} -->", issue.key.replace("--", "—"));
        let known = self.find(&marker).await?;
        let body = body(known.as_ref().and_then(|issue| issue.body.as_deref())).map(|body| {
            let end = format!("\n{marker}");
            let room = fit::LIMIT - end.chars().count();
            format!("{}{end}", fit::within(&body, room, CUT))
        });
        let issues = format!("/repos/{}/issues", self.repository);
        match (known, body) {
            (None, None) => Ok(None),
            (None, Some(body)) => {
                let new = json!({"title": issue.title, "body": body});
                let made: Found = self.crab.post(&issues, Some(&new)).await.map_err(explain)?;
                Ok(Some(made.number))
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
        let path = format!("/repos/{}/issues/{number}", self.repository);
        let answer: Result<Value, _> = self.crab.patch(path, Some(change)).await;
        answer.map(drop).map_err(explain)
    }

    async fn find(&self, marker: &str) -> anyhow::Result<Option<Found>> {
        for page in 1..=PAGES {
            let path = format!(
                "/repos/{}/issues?state=open&per_page=100&page={page}",
                self.repository
            );
            let found: Vec<Found> = self.crab.get(path, None::<&()>).await.map_err(explain)?;
            let count = found.len();
            let is_ours = |issue: &Found| issue.body.as_ref().is_some_and(|b| b.contains(marker));
            if let Some(issue) = found.into_iter().find(is_ours) {
                return Ok(Some(issue));
            }
            if count < 100 {
                break;
            }
        }
        Ok(None)
    }
}

fn explain(error: octocrab::Error) -> anyhow::Error {
    let octocrab::Error::GitHub { source, .. } = &error else {
        return anyhow::Error::new(error).context("while writing the issue");
    };
    let cure = match source.status_code.as_u16() {
        401 => "; check the input `token`",
        403 => {
            "; give the job `permissions: issues: write` (runs for forks and Dependabot cannot have it)"
        }
        404 => "; the token may not see the repository",
        410 => "; the repository has issues turned off",
        _ => "",
    };
    anyhow!(
        "the issue could not be written: GitHub answered {} ({}){cure}",
        source.status_code.as_u16(),
        source.message
    )
}
