//! Comments on issues and pull requests.

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Shared;
use super::links::{Links, bot};
use super::response::{Paging, invalid, listed, not_found, now};

/// Characters of a body, of comments and of issues.
pub(super) const LIMIT: usize = 65_536;

#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Comment {
    pub(super) id: u64,
    /// The number of the issue or pull request.
    pub(super) on: u64,
    pub(super) body: String,
    pub(super) created: String,
    pub(super) updated: String,
}

impl Comment {
    fn json(&self, links: &Links) -> Value {
        json!({
            "id": self.id, "node_id": format!("IC_{}", self.id), "body": self.body, "user": bot(),
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

/// What is wrong with the text of a comment or an issue.
pub(super) fn refusal(resource: &str, body: &str) -> Option<Response> {
    // GitHub counts characters, not bytes.
    (body.chars().count() > LIMIT).then(|| {
        let message = format!("body is too long (maximum is {LIMIT} characters)");
        invalid(resource, "body", "custom", &message)
    })
}

fn refused(written: &Written) -> Option<Response> {
    if written.body.trim().is_empty() {
        return Some(invalid("IssueComment", "body", "missing_field", ""));
    }
    refusal("IssueComment", &written.body)
}

pub(super) async fn list(
    State(shared): State<Shared>,
    links: Links,
    Path((_, _, on)): Path<(String, String, u64)>,
    Query(paging): Query<Paging>,
) -> Response {
    let repository = shared.repository();
    let matches = repository
        .comments
        .iter()
        .filter(|comment| comment.on == on);
    let matches: Vec<_> = matches.map(|comment| comment.json(&links)).collect();
    listed(
        &matches,
        &paging,
        &links.api(&format!("issues/{on}/comments")),
    )
}

/// Any number may be a pull request's, so none is refused.
pub(super) async fn create(
    State(shared): State<Shared>,
    links: Links,
    Path((_, _, on)): Path<(String, String, u64)>,
    Json(written): Json<Written>,
) -> Response {
    if let Some(refusal) = refused(&written) {
        return refusal;
    }
    let mut repository = shared.repository();
    let comment = Comment {
        id: repository.next_number(),
        on,
        body: written.body,
        created: now(),
        updated: now(),
    };
    let response = comment.json(&links);
    repository.comments.push(comment);
    repository.save();
    (StatusCode::CREATED, Json(response)).into_response()
}

pub(super) async fn get(
    State(shared): State<Shared>,
    links: Links,
    Path((_, _, id)): Path<(String, String, u64)>,
) -> Response {
    let repository = shared.repository();
    match repository.comments.iter().find(|comment| comment.id == id) {
        Some(comment) => Json(comment.json(&links)).into_response(),
        None => not_found(),
    }
}

pub(super) async fn update(
    State(shared): State<Shared>,
    links: Links,
    Path((_, _, id)): Path<(String, String, u64)>,
    Json(written): Json<Written>,
) -> Response {
    if let Some(refusal) = refused(&written) {
        return refusal;
    }
    let mut repository = shared.repository();
    let Some(comment) = repository
        .comments
        .iter_mut()
        .find(|comment| comment.id == id)
    else {
        return not_found();
    };
    comment.body = written.body;
    comment.updated = now();
    let response = comment.json(&links);
    repository.save();
    Json(response).into_response()
}
