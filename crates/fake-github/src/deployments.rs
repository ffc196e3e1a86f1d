//! Deployments and their statuses.

use axum::Json;
use axum::extract::Query;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::handle::{Id, Outcome, Reply, find};
use super::links::{Links, bot};
use super::response::{Paging, now};
use super::state::Repository;

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

pub(super) fn list(
    repository: &mut Repository,
    links: &Links,
    (Query(filter), Query(paging)): (Query<Filter>, Query<Paging>),
) -> Reply {
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
    Reply::Listed {
        all: matches.map(|deployment| deployment.json(links)).collect(),
        paging,
        address: links.api("deployments"),
    }
}

pub(super) fn create(
    repository: &mut Repository,
    links: &Links,
    Json(request): Json<Request>,
) -> Reply {
    let deployment = Deployment {
        id: repository.next_number(),
        request,
        statuses: Vec::new(),
        created: now(),
    };
    let response = deployment.json(links);
    repository.deployments.push(deployment);
    Reply::Created(response)
}

pub(super) fn get(repository: &mut Repository, links: &Links, Id(id): Id<u64>) -> Outcome {
    let deployment = find(&mut repository.deployments, |one| one.id == id)?;
    Ok(Reply::Found(deployment.json(links)))
}

pub(super) fn statuses(
    repository: &mut Repository,
    links: &Links,
    (Id(id), Query(paging)): (Id<u64>, Query<Paging>),
) -> Outcome {
    let deployment = find(&mut repository.deployments, |one| one.id == id)?;
    let statuses = deployment.statuses.iter().rev();
    Ok(Reply::Listed {
        all: statuses
            .map(|status| deployment.status_json(status, links))
            .collect(),
        paging,
        address: format!("{}/statuses", deployment.address(links)),
    })
}

pub(super) fn add_status(
    repository: &mut Repository,
    links: &Links,
    (Id(id), Json(request)): (Id<u64>, Json<StatusRequest>),
) -> Outcome {
    let status = Status {
        id: repository.next_number(),
        request,
        created: now(),
    };
    let deployment = find(&mut repository.deployments, |one| one.id == id)?;
    let response = deployment.status_json(&status, links);
    deployment.statuses.push(status);
    Ok(Reply::Created(response))
}
