//! Issues.

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Shared;
use super::comments::refusal;
use super::links::{Links, bot, user};
use super::response::{Paging, invalid, listed, not_found, now};

#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Issue {
    pub(super) number: u64,
    pub(super) title: String,
    pub(super) body: Option<String>,
    pub(super) labels: Vec<String>,
    assignees: Vec<String>,
    /// Why it is closed; open without it.
    closed_for: Option<String>,
    closed: Option<String>,
    created: String,
    updated: String,
}

impl Issue {
    pub(super) fn state(&self) -> &'static str {
        if self.closed.is_some() {
            "closed"
        } else {
            "open"
        }
    }

    fn json(&self, links: &Links, comments: usize) -> Value {
        let url = links.api(&format!("issues/{}", self.number));
        let label = |(at, name): (usize, &String)| {
            json!({
                "id": at + 1, "node_id": format!("LA_{at}"), "name": name, "color": "ededed", "default": false,
                "url": links.api(&format!("labels/{name}")), "description": null,
            })
        };
        let assignees: Vec<_> = self
            .assignees
            .iter()
            .map(|login| user(login, 1, "User"))
            .collect();
        json!({
            "id": self.number, "node_id": format!("I_{}", self.number), "number": self.number,
            "title": self.title, "body": self.body, "state": self.state(), "state_reason": self.closed_for,
            "labels": self.labels.iter().enumerate().map(label).collect::<Vec<_>>(),
            "assignee": assignees.first(), "assignees": assignees, "milestone": null, "locked": false,
            "active_lock_reason": null, "comments": comments, "user": bot(), "author_association": "NONE",
            "created_at": self.created, "updated_at": self.updated, "closed_at": self.closed, "closed_by": null,
            "url": url, "repository_url": links.root(), "labels_url": format!("{url}/labels{{/name}}"),
            "comments_url": format!("{url}/comments"), "events_url": format!("{url}/events"),
            "html_url": links.page(&format!("#issue-{}", self.number)),
        })
    }
}

#[derive(Deserialize)]
pub(super) struct Filter {
    state: Option<String>,
    labels: Option<String>,
}

impl Filter {
    fn has(&self, issue: &Issue) -> bool {
        let state = self.state.as_deref().unwrap_or("open");
        let labels = self.labels.as_deref().unwrap_or_default();
        let mut labels = labels.split(',').filter(|label| !label.is_empty());
        (state == "all" || state == issue.state())
            && labels.all(|filter| issue.labels.iter().any(|l| l.eq_ignore_ascii_case(filter)))
    }
}

/// The fields of a request that are taken; the schema has checked their types.
#[derive(Deserialize)]
pub(super) struct Written {
    title: Option<Value>,
    body: Option<String>,
    labels: Option<Vec<Value>>,
    assignees: Option<Vec<String>>,
    state: Option<String>,
    state_reason: Option<String>,
}

impl Written {
    fn title(&self) -> Option<String> {
        match self.title.as_ref()? {
            Value::String(title) => Some(title.clone()),
            other => Some(other.to_string()),
        }
    }

    fn refusal(&self) -> Option<Response> {
        if self.title().is_some_and(|title| title.trim().is_empty()) {
            return Some(invalid("Issue", "title", "missing_field", ""));
        }
        refusal("Issue", self.body.as_deref().unwrap_or_default())
    }

    fn labels(&self) -> Option<Vec<String>> {
        let name = |label: &Value| {
            label
                .as_str()
                .or_else(|| label["name"].as_str())
                .map(ToOwned::to_owned)
        };
        Some(self.labels.as_ref()?.iter().filter_map(name).collect())
    }
}

pub(super) async fn list(
    State(shared): State<Shared>,
    links: Links,
    Query(filter): Query<Filter>,
    Query(paging): Query<Paging>,
) -> Response {
    let repository = shared.repository();
    // The newest first.
    let matches = repository
        .issues
        .iter()
        .rev()
        .filter(|issue| filter.has(issue));
    let matches: Vec<_> = matches
        .map(|issue| issue.json(&links, repository.comments_on(issue.number)))
        .collect();
    listed(&matches, &paging, &links.api("issues"))
}

pub(super) async fn create(
    State(shared): State<Shared>,
    links: Links,
    Json(written): Json<Written>,
) -> Response {
    if let Some(refusal) = written.refusal() {
        return refusal;
    }
    let mut repository = shared.repository();
    let issue = Issue {
        number: repository.next_number(),
        title: written.title().unwrap_or_default(),
        labels: written.labels().unwrap_or_default(),
        body: written.body,
        assignees: written.assignees.unwrap_or_default(),
        closed_for: None,
        closed: None,
        created: now(),
        updated: now(),
    };
    let response = issue.json(&links, 0);
    repository.issues.push(issue);
    repository.save();
    (StatusCode::CREATED, Json(response)).into_response()
}

pub(super) async fn get(
    State(shared): State<Shared>,
    links: Links,
    Path((_, _, number)): Path<(String, String, u64)>,
) -> Response {
    let repository = shared.repository();
    match repository
        .issues
        .iter()
        .find(|issue| issue.number == number)
    {
        Some(issue) => Json(issue.json(&links, repository.comments_on(number))).into_response(),
        None => not_found(),
    }
}

pub(super) async fn update(
    State(shared): State<Shared>,
    links: Links,
    Path((_, _, number)): Path<(String, String, u64)>,
    Json(written): Json<Written>,
) -> Response {
    if let Some(refusal) = written.refusal() {
        return refusal;
    }
    let mut repository = shared.repository();
    let comments = repository.comments_on(number);
    let Some(issue) = repository
        .issues
        .iter_mut()
        .find(|issue| issue.number == number)
    else {
        return not_found();
    };
    if let Some(title) = written.title() {
        issue.title = title;
    }
    if let Some(labels) = written.labels() {
        issue.labels = labels;
    }
    match written.state.as_deref() {
        Some("closed") => {
            issue.closed = Some(now());
            issue.closed_for = Some(written.state_reason.unwrap_or_else(|| "completed".into()));
        }
        Some(_) if issue.closed.is_some() => {
            (issue.closed, issue.closed_for) = (None, Some("reopened".into()));
        }
        _ => {}
    }
    issue.body = written.body.or(issue.body.take());
    issue.assignees = written
        .assignees
        .unwrap_or_else(|| std::mem::take(&mut issue.assignees));
    issue.updated = now();
    let response = issue.json(&links, comments);
    repository.save();
    Json(response).into_response()
}
