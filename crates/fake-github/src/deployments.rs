//! Deployments and their statuses.

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Shared;
use super::links::{Links, bot};
use super::response::{Paging, listed, not_found, now};

#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Deployment {
    pub(super) id: u64,
    pub(super) request: Request,
    pub(super) statuses: Vec<Status>,
    created: String,
}

#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Request {
    #[serde(rename = "ref")]
    pub(super) git_ref: String,
    task: Option<String>,
    payload: Option<Value>,
    pub(super) environment: Option<String>,
    description: Option<String>,
    transient_environment: Option<bool>,
    production_environment: Option<bool>,
}

#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Status {
    id: u64,
    pub(super) request: StatusRequest,
    created: String,
}

#[derive(Clone, Serialize, Deserialize)]
pub(super) struct StatusRequest {
    pub(super) state: String,
    target_url: Option<String>,
    log_url: Option<String>,
    description: Option<String>,
    environment: Option<String>,
    pub(super) environment_url: Option<String>,
}

impl Deployment {
    pub(super) fn environment(&self) -> &str {
        self.request.environment.as_deref().unwrap_or("production")
    }

    fn address(&self, links: &Links) -> String {
        links.api(&format!("deployments/{}", self.id))
    }

    fn json(&self, links: &Links) -> Value {
        let url = self.address(links);
        let request = &self.request;
        let is_sha =
            request.git_ref.len() == 40 && request.git_ref.bytes().all(|b| b.is_ascii_hexdigit());
        // The commit of a branch is not known here.
        let sha = if is_sha {
            request.git_ref.clone()
        } else {
            "0".repeat(40)
        };
        let production = request
            .production_environment
            .unwrap_or(self.environment() == "production");
        json!({
            "id": self.id, "node_id": format!("DE_{}", self.id), "sha": sha, "ref": request.git_ref,
            "task": request.task.as_deref().unwrap_or("deploy"), "payload": request.payload.clone().unwrap_or_else(|| json!({})),
            "original_environment": self.environment(), "environment": self.environment(),
            "description": request.description, "creator": bot(), "created_at": self.created,
            "updated_at": self.statuses.last().map_or(&self.created, |status| &status.created),
            "statuses_url": format!("{url}/statuses"), "repository_url": links.root(), "url": url,
            "transient_environment": request.transient_environment.unwrap_or(false), "production_environment": production,
        })
    }

    fn status_json(&self, status: &Status, links: &Links) -> Value {
        let url = self.address(links);
        let request = &status.request;
        let log = request.log_url.as_ref().or(request.target_url.as_ref());
        json!({
            "id": status.id, "node_id": format!("DES_{}", status.id), "state": request.state, "creator": bot(),
            "description": request.description.as_deref().unwrap_or_default(),
            "environment": request.environment.as_deref().unwrap_or(self.environment()),
            "environment_url": request.environment_url.as_deref().unwrap_or_default(),
            "target_url": log.map_or("", String::as_str), "log_url": log.map_or("", String::as_str),
            "created_at": status.created, "updated_at": status.created, "deployment_url": url,
            "repository_url": links.root(), "url": format!("{url}/statuses/{}", status.id),
        })
    }
}

#[derive(Deserialize)]
pub(super) struct Filter {
    environment: Option<String>,
    #[serde(rename = "ref")]
    git_ref: Option<String>,
}

pub(super) async fn list(
    State(shared): State<Shared>,
    links: Links,
    Query(filter): Query<Filter>,
    Query(paging): Query<Paging>,
) -> Response {
    let repository = shared.repository();
    // The newest first.
    let matches = repository.deployments.iter().rev().filter(|deployment| {
        filter
            .environment
            .as_ref()
            .is_none_or(|e| e == deployment.environment())
            && filter
                .git_ref
                .as_ref()
                .is_none_or(|git_ref| *git_ref == deployment.request.git_ref)
    });
    let matches: Vec<_> = matches.map(|deployment| deployment.json(&links)).collect();
    listed(&matches, &paging, &links.api("deployments"))
}

pub(super) async fn create(
    State(shared): State<Shared>,
    links: Links,
    Json(request): Json<Request>,
) -> Response {
    let mut repository = shared.repository();
    let deployment = Deployment {
        id: repository.next_number(),
        request,
        statuses: Vec::new(),
        created: now(),
    };
    let response = deployment.json(&links);
    repository.deployments.push(deployment);
    repository.save();
    (StatusCode::CREATED, Json(response)).into_response()
}

pub(super) async fn get(
    State(shared): State<Shared>,
    links: Links,
    Path((_, _, id)): Path<(String, String, u64)>,
) -> Response {
    let repository = shared.repository();
    match repository
        .deployments
        .iter()
        .find(|deployment| deployment.id == id)
    {
        Some(deployment) => Json(deployment.json(&links)).into_response(),
        None => not_found(),
    }
}

pub(super) async fn statuses(
    State(shared): State<Shared>,
    links: Links,
    Path((_, _, id)): Path<(String, String, u64)>,
    Query(paging): Query<Paging>,
) -> Response {
    let repository = shared.repository();
    let Some(of) = repository
        .deployments
        .iter()
        .find(|deployment| deployment.id == id)
    else {
        return not_found();
    };
    let matches = of.statuses.iter().rev();
    let matches: Vec<_> = matches
        .map(|status| of.status_json(status, &links))
        .collect();
    listed(
        &matches,
        &paging,
        &format!("{}/statuses", of.address(&links)),
    )
}

pub(super) async fn add_status(
    State(shared): State<Shared>,
    links: Links,
    Path((_, _, id)): Path<(String, String, u64)>,
    Json(request): Json<StatusRequest>,
) -> Response {
    let mut repository = shared.repository();
    let status = Status {
        id: repository.next_number(),
        request,
        created: now(),
    };
    let Some(of) = repository
        .deployments
        .iter_mut()
        .find(|deployment| deployment.id == id)
    else {
        return not_found();
    };
    let response = of.status_json(&status, &links);
    of.statuses.push(status);
    repository.save();
    (StatusCode::CREATED, Json(response)).into_response()
}
