//! The artifact metadata of an organization: which registry has an artifact, and where it runs.
//!
//! There are no attestations here: an artifact is known by the `github_repository` of its record.

use axum::extract::Path;
use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Value, json};

use super::handle::{Outcome, Reply, handle};
use super::links::Links;
use super::response::{invalid, not_found, now, with};
use super::state::Repository;
use super::{GitHub, Shared};

/// What identifies a deployment: a further record of it replaces the one before.
const IDENTITY: [&str; 4] = [
    "logical_environment",
    "physical_environment",
    "cluster",
    "deployment_name",
];
/// Characters of the name of a cluster.
const CLUSTER: usize = 128;

impl GitHub {
    /// The deployment records as they are now, one for each deployment of a cluster.
    pub fn deployment_records(&self) -> Vec<Value> {
        self.shared.repository().deployment_records.clone()
    }

    /// Every storage record, as it was sent.
    pub fn storage_records(&self) -> Vec<Value> {
        self.shared.repository().storage_records.clone()
    }
}

pub(super) fn routes() -> Router<Shared> {
    let metadata = "/orgs/{org}/artifacts/metadata";
    Router::new()
        .route(
            &format!("{metadata}/deployment-record"),
            post(handle(create_deployment)),
        )
        .route(
            &format!("{metadata}/deployment-record/cluster/{{cluster}}"),
            post(handle(set_deployments)),
        )
        .route(
            &format!("{metadata}/storage-record"),
            post(handle(create_storage)),
        )
}

fn create_deployment(
    repository: &mut Repository,
    _: &Links,
    Json(mut body): Json<Value>,
) -> Outcome {
    let is_returned = take_is_returned(&mut body);
    if !is_known(&body) {
        return Err(not_found().into());
    }
    let records = [set_deployment(repository, body)];
    Ok(Reply::Changed(reply(
        "deployment_records",
        &records,
        is_returned,
    )))
}

fn set_deployments(
    repository: &mut Repository,
    _: &Links,
    (Path((_, cluster)), Json(mut body)): (Path<(String, String)>, Json<Value>),
) -> Outcome {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if cluster.len() > CLUSTER || !cluster.chars().all(is_allowed) {
        return Err(invalid("DeploymentRecord", "cluster", "invalid", "").into());
    }
    let is_returned = take_is_returned(&mut body);
    let deployments = match body["deployments"].take() {
        Value::Array(deployments) => deployments,
        _ => Vec::new(),
    };
    let (known, unknown): (Vec<_>, Vec<_>) = deployments.into_iter().partition(is_known);
    let may_be_partial = body["partial_success"] == true;
    if !unknown.is_empty() && !may_be_partial {
        return Err(not_found().into());
    }
    let mut place = json!({"logical_environment": body["logical_environment"], "cluster": cluster});
    if body["physical_environment"].is_string() {
        place["physical_environment"] = body["physical_environment"].clone();
    }
    let known = known.iter();
    let records: Vec<_> = known
        .map(|deployment| set_deployment(repository, with(place.clone(), deployment)))
        .collect();
    let mut reply = reply("deployment_records", &records, is_returned);
    if unknown.is_empty() {
        return Ok(Reply::Changed(reply));
    }
    let errors = unknown.into_iter();
    let errors = errors.map(|deployment| json!({"cause": "not_found", "deployment": deployment}));
    reply["errors"] = errors.collect();
    Ok(Reply::Partial(reply))
}

fn create_storage(repository: &mut Repository, _: &Links, Json(mut body): Json<Value>) -> Outcome {
    let is_returned = take_is_returned(&mut body);
    if !is_known(&body) {
        return Err(not_found().into());
    }
    let id = repository.next_number();
    repository.storage_records.push(body.clone());
    let record = with(
        body,
        &json!({"id": id, "created_at": now(), "updated_at": now()}),
    );
    Ok(Reply::Changed(reply(
        "storage_records",
        &[record],
        is_returned,
    )))
}

fn is_known(record: &Value) -> bool {
    record["github_repository"].is_string()
}

// `return_records` is of the request, and not of the record.
fn take_is_returned(body: &mut Value) -> bool {
    let fields = body.as_object_mut();
    fields.and_then(|fields| fields.remove("return_records")) != Some(false.into())
}

// The record as the API returns it.
fn set_deployment(repository: &mut Repository, mut record: Value) -> Value {
    if record["status"].is_null() {
        record["status"] = "deployed".into();
    }
    let is_same = |other: &Value| {
        let mut identity = IDENTITY.iter();
        identity.all(|field| other[*field] == record[*field])
    };
    let records = &mut repository.deployment_records;
    match records.iter().position(is_same) {
        Some(at) => records[at] = record.clone(),
        None => records.push(record.clone()),
    }
    let id = repository.next_number();
    let more = json!({"id": id, "created_at": now(), "updated_at": now(), "attestation_id": null});
    with(record, &more)
}

fn reply(kind: &str, records: &[Value], is_returned: bool) -> Value {
    let mut reply = json!({"total_count": records.len()});
    if is_returned {
        reply[kind] = records.into();
    }
    reply
}
