//! Comments on issues and pull requests.

use axum::Json;
use axum::extract::Query;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::account::Account;
use super::handle::{Id, Outcome, Reply, find};
use super::links::Links;
use super::response::{Paging, invalid, now};
use super::state::Repository;

/// Characters of a body, of comments and of issues.
pub(super) const LIMIT: usize = 65_536;

#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Comment {
    pub(super) id: u64,
    /// The number of the issue or pull request.
    pub(super) on: u64,
    pub(super) body: String,
    #[serde(default)]
    pub(super) author: Account,
    pub(super) created: String,
    pub(super) updated: String,
}

impl Comment {
    pub(super) fn new(id: u64, on: u64, author: Account, body: &str) -> Self {
        Self {
            id,
            on,
            body: body.to_owned(),
            author,
            created: now(),
            updated: now(),
        }
    }

    fn json(&self, links: &Links) -> Value {
        json!({
            "id": self.id, "node_id": format!("IC_{}", self.id), "body": self.body, "user": self.author.json(),
            "url": links.api(&format!("issues/comments/{}", self.id)),
            "html_url": links.page(&format!("#comment-{}", self.id)),
            "issue_url": links.api(&format!("issues/{}", self.on)),
            "created_at": self.created, "updated_at": self.updated,
            "author_association": "NONE", "performed_via_github_app": null,
        })
    }
}

#[derive(Deserialize)]
pub(super) struct Written {
    body: String,
}

/// Refuse a text of a comment or an issue that is too long.
pub(super) fn check_body(resource: &str, body: &str) -> Result<(), Box<Response>> {
    // GitHub counts characters, not bytes.
    if body.chars().count() > LIMIT {
        let message = format!("body is too long (maximum is {LIMIT} characters)");
        return Err(invalid(resource, "body", "custom", &message).into());
    }
    Ok(())
}

impl Written {
    fn check(&self) -> Result<(), Box<Response>> {
        if self.body.trim().is_empty() {
            return Err(invalid("IssueComment", "body", "missing_field", "").into());
        }
        check_body("IssueComment", &self.body)
    }
}

pub(super) fn list(
    repository: &mut Repository,
    links: &Links,
    (Id(on), Query(paging)): (Id<u64>, Query<Paging>),
) -> Reply {
    let matches = repository
        .comments
        .iter()
        .filter(|comment| comment.on == on);
    Reply::Listed {
        all: matches.map(|comment| comment.json(links)).collect(),
        paging,
        address: links.api(&format!("issues/{on}/comments")),
    }
}

/// Any number may be a pull request's, so none is refused.
pub(super) fn create(
    repository: &mut Repository,
    links: &Links,
    (Id(on), Json(written)): (Id<u64>, Json<Written>),
) -> Outcome {
    written.check()?;
    let author = repository.account.clone();
    let comment = Comment::new(repository.next_number(), on, author, &written.body);
    let response = comment.json(links);
    repository.comments.push(comment);
    Ok(Reply::Created(response))
}

pub(super) fn get(repository: &mut Repository, links: &Links, Id(id): Id<u64>) -> Outcome {
    let comment = find(&mut repository.comments, |comment| comment.id == id)?;
    Ok(Reply::Found(comment.json(links)))
}

pub(super) fn update(
    repository: &mut Repository,
    links: &Links,
    (Id(id), Json(written)): (Id<u64>, Json<Written>),
) -> Outcome {
    written.check()?;
    let comment = find(&mut repository.comments, |comment| comment.id == id)?;
    comment.body = written.body;
    comment.updated = now();
    Ok(Reply::Changed(comment.json(links)))
}
