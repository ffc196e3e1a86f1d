//! GitHub's REST API: the part that the actions use.
//!
//! Source: the OpenAPI description of api.github.com (`code-scanning/upload-sarif`,
//! `code-scanning/get-sarif`, `issues/*-comment`, `issues/*`, `repos/create-deployment*`).

mod page;
mod sarif;
mod state;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Json;
use axum::Router;
use axum::extract::{DefaultBodyLimit, Path as UrlPath, Query, Request, State};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{Html, IntoResponse as _, Response};
use axum::routing::{get, patch, post};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::http::{Desk, Fault, Server, start, watched};
use state::Repository;

const COMMENT_LIMIT: usize = 65_536;

/// The server.
pub struct GitHub {
    server: Server,
    shared: Shared,
    desk: Desk,
}

#[derive(Clone)]
struct Shared {
    token: String,
    repository: Arc<Mutex<Repository>>,
}

impl Shared {
    fn repository(&self) -> MutexGuard<'_, Repository> {
        self.repository
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl GitHub {
    /// A server for a test, which takes the token `token`.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn start(token: &str) -> anyhow::Result<Self> {
        Self::at(([127, 0, 0, 1], 0).into(), token, None).await
    }

    /// A server at `address` that keeps what it is told in `data`.
    ///
    /// # Errors
    /// When the port is taken.
    pub async fn at(address: SocketAddr, token: &str, data: Option<&Path>) -> anyhow::Result<Self> {
        let shared = Shared {
            token: token.into(),
            repository: Arc::new(Mutex::new(Repository::open(data)?)),
        };
        let desk = Desk::default();
        let server = start(address, watched(router(&shared), &desk)).await?;
        Ok(Self {
            server,
            shared,
            desk,
        })
    }

    /// The base of the API.
    pub fn url(&self) -> String {
        format!("http://{}", self.server.address)
    }

    /// Give this answer once.
    pub fn expect(&self, fault: Fault) {
        self.desk.expect(fault);
    }

    /// `METHOD /path?query` of every request so far.
    pub fn journal(&self) -> Vec<String> {
        self.desk.journal()
    }

    /// Every SARIF file that was uploaded, with the request's other fields beside it.
    pub fn uploads(&self) -> Vec<Value> {
        self.shared
            .repository()
            .uploads
            .iter()
            .map(|upload| upload.request.clone())
            .collect()
    }

    /// How often an upload answers `pending` before it is done.
    pub fn pending(&self, times: u32) {
        self.shared.repository().pending = times;
    }

    /// The bodies of all comments.
    pub fn comments(&self) -> Vec<String> {
        let comments = &self.shared.repository().comments;
        comments
            .iter()
            .filter_map(|c| c["body"].as_str().map(ToOwned::to_owned))
            .collect()
    }
}

fn router(shared: &Shared) -> Router {
    let api = Router::new()
        .route("/repos/{owner}/{repo}/code-scanning/sarifs", post(upload))
        .route(
            "/repos/{owner}/{repo}/code-scanning/sarifs/{id}",
            get(uploaded),
        )
        .route("/repos/{owner}/{repo}/code-scanning/alerts", get(alerts))
        .route("/repos/{owner}/{repo}/issues", get(issues).post(new_issue))
        .route("/repos/{owner}/{repo}/issues/{number}", patch(change_issue))
        .route(
            "/repos/{owner}/{repo}/issues/{number}/comments",
            get(comments).post(comment),
        )
        .route(
            "/repos/{owner}/{repo}/issues/comments/{id}",
            patch(change_comment),
        )
        .route("/repos/{owner}/{repo}/deployments", post(deploy))
        .route(
            "/repos/{owner}/{repo}/deployments/{id}/statuses",
            post(deployment_status),
        )
        .layer(from_fn_with_state(shared.clone(), authenticated));
    Router::new()
        .route("/", get(home))
        .route("/security", get(security))
        .merge(api)
        .layer(DefaultBodyLimit::max(64 * 1024 * 1024))
        .with_state(shared.clone())
}

fn refused(status: StatusCode, message: &str) -> Response {
    let body = json!({"message": message, "documentation_url": "https://docs.github.com/rest", "status": status.as_str()});
    (status, Json(body)).into_response()
}

fn invalid(resource: &str, field: &str, code: &str) -> Response {
    let body = json!({
        "message": "Validation Failed",
        "errors": [{"resource": resource, "field": field, "code": code}],
        "documentation_url": "https://docs.github.com/rest",
    });
    (StatusCode::UNPROCESSABLE_ENTITY, Json(body)).into_response()
}

async fn authenticated(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    let given = request
        .headers()
        .get("authorization")
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let token = given.split_once(' ').map_or("", |(_, token)| token);
    match token {
        "" => refused(StatusCode::UNAUTHORIZED, "Requires authentication"),
        token if token == shared.token => next.run(request).await,
        _ => refused(StatusCode::UNAUTHORIZED, "Bad credentials"),
    }
}

fn is(id: &Value, written: &str) -> bool {
    id.as_u64() == written.parse().ok()
}

type Repo = UrlPath<(String, String)>;
type In = UrlPath<(String, String, String)>;

async fn upload(
    State(shared): State<Shared>,
    UrlPath((owner, repo)): Repo,
    Json(body): Json<Value>,
) -> Response {
    match sarif::accept(&body) {
        Ok(upload) => {
            let id = shared.repository().add_upload(upload);
            let url =
                format!("https://api.github.com/repos/{owner}/{repo}/code-scanning/sarifs/{id}");
            (StatusCode::ACCEPTED, Json(json!({"id": id, "url": url}))).into_response()
        }
        Err(sarif::Refusal::TooLarge) => {
            refused(StatusCode::PAYLOAD_TOO_LARGE, "SARIF upload is too large")
        }
        Err(sarif::Refusal::Invalid(message)) => refused(StatusCode::BAD_REQUEST, &message),
    }
}

async fn uploaded(State(shared): State<Shared>, UrlPath((_, _, id)): In) -> Response {
    match shared.repository().upload_status(&id) {
        Some(status) => Json(status).into_response(),
        None => refused(StatusCode::NOT_FOUND, "Not Found"),
    }
}

async fn alerts(State(shared): State<Shared>) -> Json<Value> {
    Json(json!(shared.repository().alerts()))
}

#[derive(Deserialize)]
struct IssueQuery {
    state: Option<String>,
}

async fn issues(State(shared): State<Shared>, Query(query): Query<IssueQuery>) -> Json<Value> {
    let wanted = query.state.unwrap_or_else(|| "open".into());
    let repository = shared.repository();
    let found: Vec<_> = repository
        .issues
        .iter()
        .filter(|issue| wanted == "all" || issue["state"] == *wanted)
        .cloned()
        .collect();
    Json(json!(found))
}

async fn new_issue(State(shared): State<Shared>, Json(body): Json<Value>) -> Response {
    let Some(title) = body["title"].as_str() else {
        return invalid("Issue", "title", "missing_field");
    };
    let mut repository = shared.repository();
    let number = repository.next_number();
    let issue = json!({
        "id": number, "number": number, "title": title, "body": body["body"], "state": "open",
        "labels": body["labels"], "html_url": format!("https://github.com/octo-org/app/issues/{number}"),
    });
    repository.issues.push(issue.clone());
    repository.save();
    (StatusCode::CREATED, Json(issue)).into_response()
}

async fn change_issue(
    State(shared): State<Shared>,
    UrlPath((_, _, number)): In,
    Json(body): Json<Value>,
) -> Response {
    let mut repository = shared.repository();
    let Some(issue) = repository
        .issues
        .iter_mut()
        .find(|issue| is(&issue["number"], &number))
    else {
        return refused(StatusCode::NOT_FOUND, "Not Found");
    };
    for field in ["title", "body", "state", "labels"] {
        if !body[field].is_null() {
            issue[field] = body[field].clone();
        }
    }
    let issue = issue.clone();
    repository.save();
    Json(issue).into_response()
}

async fn comments(State(shared): State<Shared>, UrlPath((_, _, number)): In) -> Json<Value> {
    let repository = shared.repository();
    let found: Vec<_> = repository
        .comments
        .iter()
        .filter(|c| c["issue"] == number.as_str())
        .cloned()
        .collect();
    Json(json!(found))
}

fn body_of(body: &Value) -> Result<&str, Box<Response>> {
    let Some(text) = body["body"].as_str().filter(|text| !text.is_empty()) else {
        return Err(invalid("IssueComment", "body", "missing_field").into());
    };
    if text.chars().count() > COMMENT_LIMIT {
        return Err(invalid("IssueComment", "body", "too_long").into());
    }
    Ok(text)
}

async fn comment(
    State(shared): State<Shared>,
    UrlPath((_, _, number)): In,
    Json(body): Json<Value>,
) -> Response {
    let text = match body_of(&body) {
        Ok(text) => text,
        Err(refusal) => return *refusal,
    };
    let mut repository = shared.repository();
    let id = repository.next_number();
    let comment =
        json!({"id": id, "issue": number, "body": text, "user": {"login": "github-actions[bot]"}});
    repository.comments.push(comment.clone());
    repository.save();
    (StatusCode::CREATED, Json(comment)).into_response()
}

async fn change_comment(
    State(shared): State<Shared>,
    UrlPath((_, _, id)): In,
    Json(body): Json<Value>,
) -> Response {
    let text = match body_of(&body) {
        Ok(text) => text,
        Err(refusal) => return *refusal,
    };
    let mut repository = shared.repository();
    let Some(comment) = repository.comments.iter_mut().find(|c| is(&c["id"], &id)) else {
        return refused(StatusCode::NOT_FOUND, "Not Found");
    };
    comment["body"] = json!(text);
    let comment = comment.clone();
    repository.save();
    Json(comment).into_response()
}

async fn deploy(State(shared): State<Shared>, Json(body): Json<Value>) -> Response {
    if body["ref"].as_str().is_none() {
        return invalid("Deployment", "ref", "missing_field");
    }
    let mut repository = shared.repository();
    let id = repository.next_number();
    let environment = body["environment"].as_str().unwrap_or("production");
    let deployment =
        json!({"id": id, "ref": body["ref"], "environment": environment, "statuses": []});
    repository.deployments.push(deployment.clone());
    repository.save();
    (StatusCode::CREATED, Json(deployment)).into_response()
}

async fn deployment_status(
    State(shared): State<Shared>,
    UrlPath((_, _, id)): In,
    Json(body): Json<Value>,
) -> Response {
    let known = [
        "error",
        "failure",
        "inactive",
        "in_progress",
        "queued",
        "pending",
        "success",
    ];
    if !body["state"]
        .as_str()
        .is_some_and(|state| known.contains(&state))
    {
        return invalid("DeploymentStatus", "state", "invalid");
    }
    let mut repository = shared.repository();
    let Some(deployment) = repository
        .deployments
        .iter_mut()
        .find(|d| is(&d["id"], &id))
    else {
        return refused(StatusCode::NOT_FOUND, "Not Found");
    };
    if let Some(statuses) = deployment["statuses"].as_array_mut() {
        statuses.push(body.clone());
    }
    repository.save();
    (StatusCode::CREATED, Json(body)).into_response()
}

async fn home(State(shared): State<Shared>) -> Html<String> {
    Html(page::home(&shared.repository()))
}

async fn security(State(shared): State<Shared>) -> Html<String> {
    Html(page::security(&shared.repository()))
}
