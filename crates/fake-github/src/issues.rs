//! Issues.

use axum::Json;
use axum::extract::Query;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::account::Account;
use super::comments::check_body;
use super::handle::{Id, Outcome, Reply, find};
use super::links::{Links, user};
use super::response::{Paging, invalid, now};
use super::state::Repository;

#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Issue {
    pub(super) number: u64,
    pub(super) title: String,
    pub(super) body: Option<String>,
    pub(super) labels: Vec<String>,
    #[serde(default)]
    author: Account,
    assignees: Vec<String>,
    /// Why it is closed; open without it.
    closed_for: Option<String>,
    closed: Option<String>,
    created: String,
    updated: String,
}

impl Issue {
    pub(super) fn new(number: u64, author: Account, title: &str, body: &str) -> Self {
        Self {
            number,
            title: title.to_owned(),
            body: Some(body.to_owned()),
            labels: Vec::new(),
            author,
            assignees: Vec::new(),
            closed_for: None,
            closed: None,
            created: now(),
            updated: now(),
        }
    }

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
            "active_lock_reason": null, "comments": comments, "user": self.author.json(), "author_association": "NONE",
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

    fn check(&self) -> Result<(), Box<Response>> {
        if self.title().is_some_and(|title| title.trim().is_empty()) {
            return Err(invalid("Issue", "title", "missing_field", "").into());
        }
        check_body("Issue", self.body.as_deref().unwrap_or_default())
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

pub(super) fn list(
    repository: &mut Repository,
    links: &Links,
    (Query(filter), Query(paging)): (Query<Filter>, Query<Paging>),
) -> Reply {
    // The newest first.
    let matches = repository
        .issues
        .iter()
        .rev()
        .filter(|issue| filter.has(issue));
    Reply::Listed {
        all: matches
            .map(|issue| issue.json(links, repository.comments_on(issue.number)))
            .collect(),
        paging,
        address: links.api("issues"),
    }
}

pub(super) fn create(
    repository: &mut Repository,
    links: &Links,
    Json(written): Json<Written>,
) -> Outcome {
    written.check()?;
    let author = repository.account.clone();
    let title = written.title().unwrap_or_default();
    let issue = Issue {
        labels: written.labels().unwrap_or_default(),
        assignees: written.assignees.unwrap_or_default(),
        body: written.body,
        ..Issue::new(repository.next_number(), author, &title, "")
    };
    let response = issue.json(links, 0);
    repository.issues.push(issue);
    Ok(Reply::Created(response))
}

pub(super) fn get(repository: &mut Repository, links: &Links, Id(number): Id<u64>) -> Outcome {
    let comments = repository.comments_on(number);
    let issue = find(&mut repository.issues, |issue| issue.number == number)?;
    Ok(Reply::Found(issue.json(links, comments)))
}

pub(super) fn update(
    repository: &mut Repository,
    links: &Links,
    (Id(number), Json(written)): (Id<u64>, Json<Written>),
) -> Outcome {
    written.check()?;
    let comments = repository.comments_on(number);
    let issue = find(&mut repository.issues, |issue| issue.number == number)?;
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
    Ok(Reply::Changed(issue.json(links, comments)))
}
