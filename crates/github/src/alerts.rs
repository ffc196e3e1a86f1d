//! Alerts that a person has dismissed.
//!
//! API: docs.github.com/rest/code-scanning/code-scanning, "List code scanning alerts for a repository".

use anyhow::Context as _;
use serde::Deserialize;

use crate::Client;

const PAGE: usize = 100;
/// Pages that are read.
const PAGES: usize = 100;

/// The alerts of a repository.
pub struct Alerts(pub(crate) Client);

/// An alert that a person has dismissed.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct DismissedAlert {
    /// Its number, which results of stored analyses have in `github/alertNumber`.
    pub number: u64,
    #[serde(default)]
    dismissed_by: Option<User>,
    #[serde(default)]
    dismissed_reason: Option<String>,
    #[serde(default)]
    dismissed_comment: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct User {
    login: String,
}

impl DismissedAlert {
    /// The person who dismissed it; empty if the account is gone.
    pub fn by(&self) -> &str {
        self.dismissed_by.as_ref().map_or("", |user| &user.login)
    }

    /// GitHub's reason, `won't fix`; empty if there is none.
    pub fn reason(&self) -> &str {
        self.dismissed_reason.as_deref().unwrap_or_default()
    }

    /// What the person wrote; may be empty.
    pub fn comment(&self) -> &str {
        self.dismissed_comment.as_deref().unwrap_or_default()
    }
}

impl Alerts {
    /// The dismissed alerts of `tool` on `git_ref`; `None` if the token may not read them.
    ///
    /// # Errors
    /// When GitHub fails.
    pub async fn dismissed(
        &self,
        tool: &str,
        git_ref: &str,
    ) -> anyhow::Result<Option<Vec<DismissedAlert>>> {
        let mut alerts = Vec::new();
        for page in 1..=PAGES {
            let query: String = url::form_urlencoded::Serializer::new(String::new())
                .append_pair("tool_name", tool)
                .append_pair("ref", git_ref)
                .append_pair("state", "dismissed")
                .append_pair("per_page", &PAGE.to_string())
                .append_pair("page", &page.to_string())
                .finish();
            let path = format!("code-scanning/alerts?{query}");
            let listed: Vec<DismissedAlert> = match self.0.get(&path).await {
                // GitHub's response where nothing was ever analyzed.
                Err(error) if error.status() == Some(404) => return Ok(Some(alerts)),
                Err(error) if error.is_refusal() && !error.is_rate_limit() => return Ok(None),
                listed => listed.with_context(|| {
                    format!("failed to list the dismissed alerts of `{git_ref}`")
                })?,
            };
            let is_last = listed.len() < PAGE;
            alerts.extend(listed);
            if is_last {
                break;
            }
        }
        Ok(Some(alerts))
    }
}
