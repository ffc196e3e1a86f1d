//! One sticky comment on a pull request: written once, then updated in place.
//!
//! API: docs.github.com/rest/issues/comments.

use anyhow::Context as _;
use serde::Deserialize;
use serde_json::json;

use crate::account::Author;
use crate::client::Retry;
use crate::request_error::RequestError;
use crate::{Client, truncate};

const PAGE: usize = 100;
/// Pages of comments that are searched.
const PAGES: usize = 100;

/// The conversation of a pull request.
pub struct PullRequest {
    pub(crate) client: Client,
    pub(crate) number: u64,
}

/// What became of a comment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Commented {
    /// A new comment was written.
    Created,
    /// The earlier comment was changed.
    Updated,
    /// The earlier comment has the same text.
    Unchanged,
    /// There is no earlier comment, and only an update was due.
    Skipped,
    /// The token may not comment: a fork, Dependabot, or no `pull-requests: write`.
    NotPermitted,
}

#[derive(Deserialize)]
struct Comment {
    id: u64,
    #[serde(default)]
    body: Option<String>,
    #[serde(default)]
    user: Option<Author>,
}

impl PullRequest {
    /// Write `body` into the one comment of the token's account that carries `marker`, which names the action and the job. With
    /// `only_update`, no comment is made if there is none.
    ///
    /// # Errors
    /// When GitHub fails; a token without the permission is [`Commented::NotPermitted`].
    pub async fn comment(
        &self,
        marker: &str,
        body: &str,
        only_update: bool,
    ) -> anyhow::Result<Commented> {
        match self.create_or_update(marker, body, only_update).await {
            Err(error) if error.is_refusal() => Ok(Commented::NotPermitted),
            done => {
                done.with_context(|| format!("failed to comment on pull request {}", self.number))
            }
        }
    }

    async fn create_or_update(
        &self,
        marker: &str,
        body: &str,
        only_update: bool,
    ) -> Result<Commented, RequestError> {
        let body = marked(marker, body);
        let sent = json!({"body": body});
        match self.find(marker).await? {
            Some(comment) if comment.body.as_deref() == Some(&body) => Ok(Commented::Unchanged),
            Some(comment) => {
                let path = format!("issues/comments/{}", comment.id);
                let _: Comment = self.client.patch(&path, &sent).await?;
                Ok(Commented::Updated)
            }
            None if only_update => Ok(Commented::Skipped),
            None => {
                let path = self.comments();
                let _: Comment = self.client.post(&path, &sent, Retry::RateLimit).await?;
                Ok(Commented::Created)
            }
        }
    }

    fn comments(&self) -> String {
        format!("issues/{}/comments", self.number)
    }

    async fn find(&self, marker: &str) -> Result<Option<Comment>, RequestError> {
        let tag = tag(marker);
        for page in 1..=PAGES {
            let path = format!("{}?per_page={PAGE}&page={page}", self.comments());
            let comments: Vec<Comment> = self.client.get(&path).await?;
            let last = comments.len() < PAGE;
            let is_marked =
                |comment: &Comment| comment.body.as_ref().is_some_and(|b| b.starts_with(&tag));
            for comment in comments.into_iter().filter(is_marked) {
                if self.client.is_author(comment.user.as_ref()).await {
                    return Ok(Some(comment));
                }
            }
            if last {
                break;
            }
        }
        Ok(None)
    }
}

// The first line, which GitHub does not show, identifies the comment.
fn tag(marker: &str) -> String {
    format!("<!-- {} -->\n", marker.replace("--", "- -"))
}

fn marked(marker: &str, body: &str) -> String {
    const NOTE: &str = "\n\n… cut: the whole report is in the summary of the run.\n";
    let text = format!("{}{body}", tag(marker));
    truncate::truncate(&text, truncate::LIMIT, NOTE).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_comment_is_truncated_between_two_lines() {
        let body = "| ü row |\n".repeat(10_000);
        let text = marked("a--b", &body);
        assert!(text.starts_with("<!-- a- -b -->\n| ü row |\n"));
        assert!(
            text.chars().count() <= truncate::LIMIT && text.contains("row |\n\n… cut"),
            "{}",
            text.len()
        );
        assert_eq!(marked("a", "b"), "<!-- a -->\nb");
    }
}
