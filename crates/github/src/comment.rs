//! One comment on a pull request, kept up to date.
//!
//! API: docs.github.com/rest/issues/comments.

use anyhow::Context as _;
use octocrab::Octocrab;
use serde::Deserialize;
use serde_json::json;

use crate::{client, fit};

const PAGE: usize = 100;

/// The conversation of a pull request.
pub struct PullRequest {
    crab: Octocrab,
    repository: String,
    number: u64,
}

/// What became of a comment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Commented {
    /// It is new.
    Created,
    /// An earlier one was changed.
    Updated,
    /// The earlier one said the same.
    Unchanged,
    /// The token may not comment: a fork, Dependabot, or no `pull-requests: write`.
    NotPermitted,
}

#[derive(Deserialize)]
struct Comment {
    id: u64,
    #[serde(default)]
    body: Option<String>,
}

impl PullRequest {
    /// Pull request `number` of `repository` (`owner/name`) at the API `api_url`.
    ///
    /// # Errors
    /// When the repository or address is malformed.
    pub fn new(
        http: reqwest::Client,
        api_url: &str,
        repository: &str,
        token: &str,
        number: u64,
    ) -> anyhow::Result<Self> {
        client::owner_and_name(repository)?;
        Ok(Self {
            crab: client::new(http, api_url, token)?,
            repository: repository.to_owned(),
            number,
        })
    }

    /// Have one comment that carries `marker`, a word of ours, and says `body`: the earlier one is changed. With
    /// `only_update`, there is none if there was none.
    ///
    /// # Errors
    /// When GitHub fails; a token without the right is none.
    pub async fn keep(
        &self,
        marker: &str,
        body: &str,
        only_update: bool,
    ) -> anyhow::Result<Option<Commented>> {
        let body = marked(marker, body);
        let attempt = async {
            let earlier = self.find(marker).await?;
            let done = match earlier {
                Some(comment) if comment.body.as_deref() == Some(&body) => Commented::Unchanged,
                Some(comment) => {
                    let route =
                        format!("/repos/{}/issues/comments/{}", self.repository, comment.id);
                    let sent = Some(json!({"body": body}));
                    let _: Comment = self.crab.patch(route, sent.as_ref()).await?;
                    Commented::Updated
                }
                None if only_update => return Ok(None),
                None => {
                    let sent = Some(json!({"body": body}));
                    let _: Comment = self.crab.post(self.route(), sent.as_ref()).await?;
                    Commented::Created
                }
            };
            Ok(Some(done))
        };
        match attempt.await {
            Err(error) if client::is_refusal(&error) => Ok(Some(Commented::NotPermitted)),
            Err(error) => Err(client::words(error))
                .with_context(|| format!("while commenting on pull request {}", self.number)),
            Ok(done) => Ok(done),
        }
    }

    fn route(&self) -> String {
        format!("/repos/{}/issues/{}/comments", self.repository, self.number)
    }

    async fn find(&self, marker: &str) -> octocrab::Result<Option<Comment>> {
        let tag = tag(marker);
        for page in 1.. {
            let route = format!("{}?per_page={PAGE}&page={page}", self.route());
            let comments: Vec<Comment> = self.crab.get(route, None::<&()>).await?;
            let last = comments.len() < PAGE;
            let ours =
                |comment: &Comment| comment.body.as_ref().is_some_and(|b| b.starts_with(&tag));
            if let Some(comment) = comments.into_iter().find(ours) {
                return Ok(Some(comment));
            }
            if last {
                break;
            }
        }
        Ok(None)
    }
}

// The first line, which is not shown, says whose comment it is.
fn tag(marker: &str) -> String {
    format!("<!-- {} -->\n", marker.replace("--", "- -"))
}

fn marked(marker: &str, body: &str) -> String {
    const CUT: &str = "\n\n… cut: the whole report is in the summary of the run.\n";
    let text = format!("{}{body}", tag(marker));
    fit::within(&text, fit::LIMIT, CUT).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_comment_is_cut_between_two_lines() {
        let body = "| ü row |\n".repeat(10_000);
        let text = marked("a--b", &body);
        assert!(text.starts_with("<!-- a- -b -->\n| ü row |\n"));
        assert!(
            text.chars().count() <= fit::LIMIT && text.contains("row |\n\n… cut"),
            "{}",
            text.len()
        );
        assert_eq!(marked("a", "b"), "<!-- a -->\nb");
    }
}
