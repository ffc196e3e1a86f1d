//! The operations of code scanning.

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Shared;
use super::alerts::Alert;
use super::links::Links;
use super::response::{Paging, listed, not_found, refused};
use super::sarif::{self, Refusal};
use super::uploads::Analysis;

type Named = Path<(String, String, String)>;

pub(super) async fn upload(
    State(shared): State<Shared>,
    links: Links,
    Json(body): Json<Value>,
) -> Response {
    match sarif::accept(&body) {
        Ok(upload) => {
            let id = shared.repository().add_upload(upload);
            let url = links.api(&format!("code-scanning/sarifs/{id}"));
            (StatusCode::ACCEPTED, Json(json!({"id": id, "url": url}))).into_response()
        }
        Err(Refusal::TooLarge) => {
            refused(StatusCode::PAYLOAD_TOO_LARGE, "SARIF upload is too large")
        }
        Err(Refusal::Invalid(message)) => refused(StatusCode::BAD_REQUEST, &message),
    }
}

pub(super) async fn uploaded(
    State(shared): State<Shared>,
    links: Links,
    Path((_, _, id)): Named,
) -> Response {
    match shared.repository().upload_status(&id, &links) {
        Some(status) => Json(status).into_response(),
        None => not_found(),
    }
}

#[derive(Deserialize)]
pub(super) struct Filter {
    #[serde(rename = "ref")]
    git_ref: Option<String>,
    tool_name: Option<String>,
    sarif_id: Option<String>,
    state: Option<String>,
    severity: Option<String>,
}

impl Filter {
    // A name without `refs/` is that of a branch.
    fn is_ref(&self, git_ref: &str) -> bool {
        let filter = self.git_ref.as_deref();
        filter.is_none_or(|filter| git_ref == filter || git_ref == format!("refs/heads/{filter}"))
    }

    fn is_tool(&self, tool: &str) -> bool {
        self.tool_name
            .as_deref()
            .is_none_or(|filter| filter == tool)
    }
}

fn no_analysis() -> Response {
    refused(StatusCode::NOT_FOUND, "no analysis found")
}

pub(super) async fn analyses(
    State(shared): State<Shared>,
    links: Links,
    Query(filter): Query<Filter>,
    Query(paging): Query<Paging>,
) -> Response {
    let repository = shared.repository();
    let all = repository.analyses();
    if all.is_empty() {
        return no_analysis();
    }
    // The newest first.
    let matches: Vec<_> = all
        .into_iter()
        .rev()
        .filter(|analysis| {
            filter.is_ref(analysis.upload.git_ref()) && filter.is_tool(analysis.tool())
        })
        .filter(|analysis| {
            filter
                .sarif_id
                .as_ref()
                .is_none_or(|id| *id == analysis.upload.id)
        })
        .map(|analysis| analysis.json(&links))
        .collect();
    listed(&matches, &paging, &links.api("code-scanning/analyses"))
}

pub(super) async fn analysis(
    State(shared): State<Shared>,
    links: Links,
    Path((_, _, id)): Named,
    headers: HeaderMap,
) -> Response {
    let repository = shared.repository();
    let analysis = repository
        .analyses()
        .into_iter()
        .find(|a| id.parse() == Ok(a.id));
    let Some(analysis) = analysis else {
        return not_found();
    };
    let accepted = headers
        .get(header::ACCEPT)
        .and_then(|value| value.to_str().ok());
    if accepted.is_some_and(|accepted| accepted.contains("application/sarif+json")) {
        let alerts = repository.alerts();
        let run = with_alerts(analysis, &alerts, &links);
        let file = json!({"$schema": "https://json.schemastore.org/sarif-2.1.0.json", "version": "2.1.0", "runs": [run]});
        return (
            [(header::CONTENT_TYPE, "application/sarif+json")],
            file.to_string(),
        )
            .into_response();
    }
    Json(analysis.json(&links)).into_response()
}

// The file as it was uploaded, and in each result the alert that it became.
fn with_alerts(analysis: Analysis<'_>, alerts: &[Alert], links: &Links) -> Value {
    let mut run = analysis.run.clone();
    run["automationDetails"]["id"] = json!(analysis.identity());
    for result in run["results"].as_array_mut().into_iter().flatten() {
        let alert = alerts.iter().find(|alert| alert.is(analysis, result));
        if let Some(alert) = alert {
            result["properties"]["github/alertNumber"] = json!(alert.number);
            result["properties"]["github/alertUrl"] = json!(alert.address(links));
        }
    }
    run
}

pub(super) async fn alerts(
    State(shared): State<Shared>,
    links: Links,
    Query(filter): Query<Filter>,
    Query(paging): Query<Paging>,
) -> Response {
    let repository = shared.repository();
    if repository.analyses().is_empty() {
        return no_analysis();
    }
    // Without a ref, the default branch is meant.
    let filter = Filter {
        git_ref: filter.git_ref.or_else(|| Some("refs/heads/main".into())),
        ..filter
    };
    let mut matches = repository.alerts();
    matches.retain(|alert| {
        filter.is_ref(&alert.git_ref)
            && filter.is_tool(alert.tool())
            && filter
                .state
                .as_ref()
                .is_none_or(|state| state == alert.state.name())
            && filter
                .severity
                .as_ref()
                .is_none_or(|s| Some(s.as_str()) == alert.rule.severity)
    });
    matches.sort_by_key(|alert| std::cmp::Reverse(alert.number));
    let matches: Vec<_> = matches.iter().map(|alert| alert.json(&links)).collect();
    listed(&matches, &paging, &links.api("code-scanning/alerts"))
}
