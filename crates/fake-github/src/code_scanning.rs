//! The operations of code scanning.

use axum::Json;
use axum::extract::Query;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Value, json};

use super::account::Account;
use super::alerts::{Alert, Dismissal, finder};
use super::handle::{Id, Outcome, Reply};
use super::links::Links;
use super::response::{Paging, not_found, now, refused};
use super::sarif::{self, Refusal};
use super::state::Repository;
use super::uploads::Analysis;

/// The media type of a SARIF file.
const SARIF: &str = "application/sarif+json";

pub(super) fn upload(
    repository: &mut Repository,
    links: &Links,
    Json(body): Json<Value>,
) -> Outcome {
    let upload = sarif::accept(&body).map_err(|refusal| match refusal {
        Refusal::TooLarge => refused(StatusCode::PAYLOAD_TOO_LARGE, "SARIF upload is too large"),
        Refusal::Invalid(message) => refused(StatusCode::BAD_REQUEST, &message),
    })?;
    let id = repository.add_upload(upload);
    let url = links.api(&format!("code-scanning/sarifs/{id}"));
    Ok(Reply::Accepted(json!({"id": id, "url": url})))
}

pub(super) fn uploaded(repository: &mut Repository, links: &Links, Id(id): Id<String>) -> Outcome {
    let status = repository.upload_status(&id, links);
    Ok(Reply::Found(status.ok_or_else(not_found)?))
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

pub(super) fn analyses(
    repository: &mut Repository,
    links: &Links,
    (Query(filter), Query(paging)): (Query<Filter>, Query<Paging>),
) -> Outcome {
    let all = repository.analyses();
    if all.is_empty() {
        return Err(no_analysis().into());
    }
    // The newest first.
    let matches = all
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
        });
    Ok(Reply::Listed {
        all: matches.map(|analysis| analysis.json(links)).collect(),
        paging,
        address: links.api("code-scanning/analyses"),
    })
}

pub(super) fn analysis(
    repository: &mut Repository,
    links: &Links,
    (Id(id), headers): (Id<String>, HeaderMap),
) -> Outcome {
    let mut all = repository.analyses().into_iter();
    let analysis = all.find(|analysis| id.parse() == Ok(analysis.id));
    let analysis = analysis.ok_or_else(not_found)?;
    let accepted = headers
        .get(header::ACCEPT)
        .and_then(|value| value.to_str().ok());
    if accepted.is_some_and(|accepted| accepted.contains(SARIF)) {
        let alerts = repository.alerts();
        let run = with_alerts(analysis, &alerts, links);
        let file = json!({"$schema": "https://json.schemastore.org/sarif-2.1.0.json", "version": "2.1.0", "runs": [run]});
        return Ok(Reply::File(SARIF, file.to_string()));
    }
    Ok(Reply::Found(analysis.json(links)))
}

// The file as it was uploaded, and in each result the alert that it became.
fn with_alerts(analysis: Analysis<'_>, alerts: &[Alert], links: &Links) -> Value {
    let mut run = analysis.run.clone();
    run["automationDetails"]["id"] = json!(analysis.identity());
    let find = finder(alerts, analysis);
    for result in run["results"].as_array_mut().into_iter().flatten() {
        if let Some(alert) = find(result) {
            result["properties"]["github/alertNumber"] = json!(alert.number);
            result["properties"]["github/alertUrl"] = json!(alert.address(links));
        }
    }
    run
}

pub(super) fn alerts(
    repository: &mut Repository,
    links: &Links,
    (Query(filter), Query(paging)): (Query<Filter>, Query<Paging>),
) -> Outcome {
    if repository.analyses().is_empty() {
        return Err(no_analysis().into());
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
    Ok(Reply::Listed {
        all: matches.iter().map(|alert| alert.json(links)).collect(),
        paging,
        address: links.api("code-scanning/alerts"),
    })
}

#[derive(Deserialize)]
pub(super) struct Update {
    state: Option<String>,
    dismissed_reason: Option<String>,
    dismissed_comment: Option<String>,
}

/// Dismiss an alert, or open it again, on every branch.
pub(super) fn update_alert(
    repository: &mut Repository,
    links: &Links,
    (Id(number), Json(update)): (Id<usize>, Json<Update>),
) -> Outcome {
    let alert = |repository: &Repository| {
        let mut alerts = repository.alerts().into_iter();
        alerts.find(|alert| alert.number == number)
    };
    if alert(repository).is_none() {
        return Err(not_found().into());
    }
    match (update.state.as_deref(), update.dismissed_reason) {
        (Some("dismissed"), None) => {
            let problem = "dismissed_reason is required when the state is dismissed";
            return Err(refused(StatusCode::BAD_REQUEST, problem).into());
        }
        (Some("dismissed"), Some(reason)) => repository.dismissals.push(Dismissal {
            number,
            // The account of a job's token can't; it is a person who decides.
            by: Account::user("octocat", 583_231),
            reason,
            comment: update.dismissed_comment.unwrap_or_default(),
            at: now(),
        }),
        (Some(_), _) => repository.dismissals.retain(|own| own.number != number),
        (None, _) => {}
    }
    let alert = alert(repository).ok_or_else(not_found)?;
    Ok(Reply::Changed(alert.json(links)))
}
