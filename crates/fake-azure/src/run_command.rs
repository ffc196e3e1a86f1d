//! Commands that run in the cluster: the files unpacked in a directory, the command run by a shell there, with a `kubectl`
//! that is signed in. Here the shell is this machine's, and the cluster is the one of the configuration.
//!
//! Source: azure-rest-api-specs, Microsoft.ContainerService 2025-10-01 (`ManagedClusters_RunCommand`,
//! `ManagedClusters_GetCommandResult`); learn.microsoft.com/azure/aks/access-private-cluster.

use std::collections::HashMap;
use std::io::Cursor;
use std::path::Path as File;
use std::process::Stdio;
use std::sync::Mutex;

use anyhow::Context as _;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::process::Command;

use super::resources::{CLUSTERS, Named, allowed, id, refused};
use super::{Shared, kubeconfig, schema};

/// The largest log of a command, in bytes.
const LOG: usize = 512 * 1024;

/// The commands so far: `None` while one runs.
#[derive(Default)]
pub(super) struct Commands(Mutex<HashMap<String, Option<Value>>>);

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Submitted {
    command: String,
    #[serde(default)]
    context: String,
    #[serde(default)]
    cluster_token: String,
}

pub(super) async fn submit(
    State(shared): State<Shared>,
    Path(named): Path<Named>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> Response {
    let c = &shared.0.config;
    let problem = schema::RUN_COMMAND.problem(&body);
    let submitted: Submitted = match (problem, serde_json::from_value(body)) {
        (None, Ok(submitted)) => submitted,
        (Some(problem), _) => return refused(StatusCode::BAD_REQUEST, "BadRequest", &problem),
        (None, Err(e)) => return refused(StatusCode::BAD_REQUEST, "BadRequest", &e.to_string()),
    };
    if let Err(refusal) = allowed(&shared, &named, CLUSTERS, &c.cluster, "runcommand/action") {
        return *refusal;
    }
    let bad = |code: &str, message: &str| refused(StatusCode::BAD_REQUEST, code, message);
    if c.run_command_disabled {
        let message =
            "Run command is disabled for this cluster. Please enable it before using run command.";
        return bad("RunCommandDisabled", message);
    }
    if submitted.cluster_token.is_empty() {
        let message = "clusterToken is required for an AAD-enabled cluster.";
        return bad("BadRequest", message);
    }
    let directory = match unpacked(&submitted.context) {
        Ok(directory) => directory,
        Err(e) => {
            return bad(
                "BadRequest",
                &format!("context is not a base64 encoded zip: {e:#}"),
            );
        }
    };
    let command = uuid::Uuid::new_v4().simple().to_string();
    let location = result_at(&shared, &headers, &command);
    keep(&shared, &command, None);
    tokio::spawn(async move {
        let result = match run(&shared, &submitted, directory.path()).await {
            Ok((exit_code, mut logs)) => {
                logs.truncate(logs.floor_char_boundary(LOG));
                json!({"provisioningState": "Succeeded", "exitCode": exit_code, "logs": logs})
            }
            Err(e) => json!({"provisioningState": "Failed", "reason": format!("{e:#}")}),
        };
        keep(&shared, &command, Some(result));
    });
    accepted(&location)
}

pub(super) async fn result(
    State(shared): State<Shared>,
    Path(named): Path<Named>,
    headers: HeaderMap,
) -> Response {
    let c = &shared.0.config;
    if let Err(refusal) = allowed(&shared, &named, CLUSTERS, &c.cluster, "commandResults/read") {
        return *refusal;
    }
    let result = shared.0.commands.0.lock().ok();
    let result = result.and_then(|commands| commands.get(&named.command).cloned());
    match result {
        Some(Some(properties)) => {
            schema::COMMAND_RESULT.response(json!({"id": named.command, "properties": properties}))
        }
        // The Azure CLI expects the state while the command runs, in any status.
        Some(None) => {
            let running =
                json!({"id": named.command, "properties": {"provisioningState": "Running"}});
            let location = result_at(&shared, &headers, &named.command);
            let running = schema::COMMAND_RESULT.response(running);
            (accepted(&location).headers().clone(), running).into_response()
        }
        None => refused(
            StatusCode::NOT_FOUND,
            "NotFound",
            &format!("The command '{}' was not found.", named.command),
        ),
    }
}

fn keep(shared: &Shared, command: &str, result: Option<Value>) {
    if let Ok(mut commands) = shared.0.commands.0.lock() {
        commands.insert(command.to_owned(), result);
    }
}

// Absolute, at the host of the request.
fn result_at(shared: &Shared, headers: &HeaderMap, command: &str) -> String {
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    let cluster = id(shared, CLUSTERS, &shared.0.config.cluster);
    format!(
        "{}://{}{cluster}/commandResults/{command}?api-version=2025-10-01",
        shared.0.scheme,
        host.unwrap_or_default()
    )
}

fn accepted(location: &str) -> Response {
    let mut response = StatusCode::ACCEPTED.into_response();
    if let Ok(location) = HeaderValue::from_str(location) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

fn unpacked(context: &str) -> anyhow::Result<tempfile::TempDir> {
    let directory = tempfile::tempdir()?;
    if !context.is_empty() {
        // The Azure CLI breaks the lines, as MIME does.
        let whole: String = context.split_ascii_whitespace().collect();
        let bytes = base64::engine::general_purpose::STANDARD.decode(whole)?;
        zip::ZipArchive::new(Cursor::new(bytes))?.extract(directory.path())?;
    }
    Ok(directory)
}

async fn run(
    shared: &Shared,
    submitted: &Submitted,
    directory: &File,
) -> anyhow::Result<(i32, String)> {
    let c = &shared.0.config;
    let cluster = c.kubeconfig.as_deref().and_then(kubeconfig::cluster);
    let cluster = cluster.context("the cluster is not running")?;
    let signed_in = tempfile::tempdir()?;
    let file = signed_in.path().join("config");
    let config = kubeconfig::with_token(&c.cluster, &submitted.cluster_token, &cluster);
    std::fs::write(&file, config.to_string())?;
    let done = Command::new("sh")
        .args(["-c", &format!("exec 2>&1; {}", submitted.command)])
        .current_dir(directory)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("KUBECONFIG", &file)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await?;
    let logs = String::from_utf8_lossy(&done.stdout).into_owned();
    Ok((done.status.code().unwrap_or(-1), logs))
}
