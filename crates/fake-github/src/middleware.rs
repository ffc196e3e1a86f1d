//! The checks before every operation: the token, its permissions, the schema of request and response.

use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use serde_json::Value;

use super::Shared;
use super::links::Links;
use super::options::Access;
use super::response::{not_found, refused};
use super::schema::Operation;

/// The largest request or response, in bytes; a SARIF file of 10 MB is 14 MB of base64.
const LIMIT: usize = 64 * 1024 * 1024;

/// The headers of every response, refusals included.
pub(super) async fn headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let id = uuid::Uuid::new_v4().simple().to_string().to_uppercase();
    let reset = (jiff::Timestamp::now().as_second() + 3600).to_string();
    let all = [
        ("x-github-request-id", id.as_str()),
        ("x-github-api-version-selected", "2022-11-28"),
        ("x-ratelimit-limit", "5000"),
        ("x-ratelimit-remaining", "4999"),
        ("x-ratelimit-used", "1"),
        ("x-ratelimit-reset", reset.as_str()),
        ("x-ratelimit-resource", "core"),
    ];
    for (name, value) in all {
        if let Ok(value) = HeaderValue::from_str(value) {
            response.headers_mut().entry(name).or_insert(value);
        }
    }
    response
}

/// Refuse a request without the right token, or without the permission for its operation.
pub(super) async fn admit(
    State(shared): State<Shared>,
    mut request: Request,
    next: Next,
) -> Response {
    let header = request
        .headers()
        .get("authorization")
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let token = header.split_once(' ').map_or("", |(_, token)| token);
    if token.is_empty() {
        return refused(StatusCode::UNAUTHORIZED, "Requires authentication");
    }
    if token != shared.options.token {
        return refused(StatusCode::UNAUTHORIZED, "Bad credentials");
    }
    let path = request.uri().path();
    let Some((repository, area)) = target(&shared, path) else {
        return not_found();
    };
    let (permission, access) = needed(request.method(), area);
    // A comment on a pull request is a comment on an issue.
    let on_pull_request = path.contains("/comments") && may(&shared, "pull-requests", access);
    if !may(&shared, permission, access) && !on_pull_request {
        let mut response = refused(
            StatusCode::FORBIDDEN,
            "Resource not accessible by integration",
        );
        let level = if access == Access::Read {
            "read"
        } else {
            "write"
        };
        let accepted = format!("{}={level}", permission.replace('-', "_"));
        if let Ok(accepted) = HeaderValue::from_str(&accepted) {
            response
                .headers_mut()
                .insert("x-accepted-github-permissions", accepted);
        }
        return response;
    }
    let links = Links::new(&shared.base, &repository, shared.options.is_of_user);
    request.extensions_mut().insert(links);
    next.run(request).await
}

// The repository that a request is for, and the area of its path; for an organization, the repository that is known. What a
// token may not see does not exist for it.
fn target<'a>(shared: &Shared, path: &'a str) -> Option<(String, &'a str)> {
    let parts: Vec<_> = path.split('/').skip(1).collect();
    let known = shared.options.repository.as_deref();
    match parts[..] {
        ["repos", owner, name, ..] => {
            let repository = format!("{owner}/{name}");
            let is_known = known.is_none_or(|known| known.eq_ignore_ascii_case(&repository));
            let area = parts.get(3).copied().unwrap_or_default();
            is_known.then_some((repository, area))
        }
        ["orgs", organization, area, ..] if !shared.options.is_of_user => {
            let repository = known.map_or_else(|| format!("{organization}/"), ToOwned::to_owned);
            let (owner, _) = repository.split_once('/')?;
            let is_known = owner.eq_ignore_ascii_case(organization);
            is_known.then_some((repository, area))
        }
        _ => None,
    }
}

// Source: docs.github.com/rest/authentication/permissions-required-for-github-apps.
fn needed(method: &Method, area: &str) -> (&'static str, Access) {
    let access = match *method {
        Method::GET => Access::Read,
        _ => Access::Write,
    };
    match area {
        "code-scanning" => ("security-events", access),
        "issues" => ("issues", access),
        "pulls" => ("pull-requests", access),
        "deployments" => ("deployments", access),
        "dependency-graph" => ("contents", access),
        "artifacts" => ("artifact-metadata", access),
        _ => ("metadata", Access::Read),
    }
}

fn may(shared: &Shared, permission: &str, access: Access) -> bool {
    let Some(granted) = &shared.options.permissions else {
        return true;
    };
    // Every token has `metadata: read`.
    permission == "metadata"
        || granted
            .get(permission)
            .is_some_and(|level| *level >= access)
}

/// Check request and response against GitHub's description of the operation.
pub(super) async fn described(
    State(shared): State<Shared>,
    matched: MatchedPath,
    request: Request,
    next: Next,
) -> Response {
    let Some(operation) = Operation::find(request.method().as_str(), matched.as_str()) else {
        // GitHub's response for a method, too.
        return not_found();
    };
    let request = match checked(operation, request).await {
        Ok(request) => request,
        Err(refusal) => return *refusal,
    };
    let (parts, body) = next.run(request).await.into_parts();
    let Ok(bytes) = axum::body::to_bytes(body, LIMIT).await else {
        return undescribed(&shared, "a response that broke off");
    };
    let kind = parts.headers.get("content-type");
    if kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/json")) {
        let value: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        if let Some(problem) = operation.response_problem(parts.status.as_u16(), &value) {
            return undescribed(
                &shared,
                &format!(
                    "{} {}, {}: {}",
                    operation.method, operation.path, parts.status, problem.0
                ),
            );
        }
    }
    Response::from_parts(parts, Body::from(bytes))
}

// A mistake of this server, not of the client.
fn undescribed(shared: &Shared, what: &str) -> Response {
    shared.undescribed.all().push(what.to_owned());
    refused(
        StatusCode::INTERNAL_SERVER_ERROR,
        &format!("fake-github: GitHub's schema does not describe {what}"),
    )
}

async fn checked(operation: &Operation, request: Request) -> Result<Request, Box<Response>> {
    if !operation.takes_body() {
        return Ok(request);
    }
    let (parts, body): (Parts, Body) = request.into_parts();
    let bytes = axum::body::to_bytes(body, LIMIT).await;
    let bytes = bytes.map_err(|_| refused(StatusCode::PAYLOAD_TOO_LARGE, "Payload too big"))?;
    let value: Value = serde_json::from_slice(&bytes)
        .map_err(|_| refused(StatusCode::BAD_REQUEST, "Problems parsing JSON"))?;
    if let Some(problem) = operation.request_problem(&value) {
        let message = format!("Invalid request.\n\n{}", problem.0);
        return Err(refused(StatusCode::UNPROCESSABLE_ENTITY, &message).into());
    }
    Ok(Request::from_parts(parts, Body::from(bytes)))
}
