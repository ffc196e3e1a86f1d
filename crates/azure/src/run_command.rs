//! Commands that Azure runs in a pod of the cluster, for a runner that cannot reach its API server.
//!
//! Source: azure-rest-api-specs, Microsoft.ContainerService 2025-10-01 (`ManagedClusters_RunCommand`,
//! `ManagedClusters_GetCommandResult`); learn.microsoft.com/azure/aks/access-private-cluster.

use std::io::{Cursor, Write as _};
use std::time::{Duration, Instant};

use actions_toolkit::Secret;
use anyhow::{Context as _, bail};
use base64::Engine as _;
use http_client::{Method, StatusCode};
use serde::Deserialize;
use serde_json::json;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use crate::ResourceManager;
use crate::cluster::{VERSION, path};
use crate::resource_manager::LIMIT;
use crate::retry::retry_after;

/// From the request to the result. The pod may have to be scheduled, and its image pulled.
const TIMEOUT: Duration = Duration::from_secs(240);
/// Between two requests for the result, unless Azure sends another pause as `Retry-After`. Resource Manager allows about
/// one a second (learn.microsoft.com/azure/azure-resource-manager/management/request-limits-and-throttling).
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// The longest such pause.
const MAX_POLL_INTERVAL: Duration = Duration::from_secs(10);

const READING: &str = "failed to read the result of a command";

/// A command that has exited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    /// Its exit code.
    pub exit_code: i32,
    /// Its output, both streams; Azure keeps 512 kB.
    pub logs: String,
}

#[derive(Deserialize)]
struct ResultBody {
    #[serde(default)]
    properties: Properties,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Properties {
    provisioning_state: String,
    reason: String,
    exit_code: Option<i32>,
    logs: String,
}

impl ResourceManager {
    /// Run `command` in a pod of the cluster `name`, next to `files`, and wait until it exits. Where the cluster signs in
    /// with Entra, it runs as the identity of `token`.
    ///
    /// # Errors
    /// When the identity may not run commands, they are disabled, the command cannot be started, or times out after four
    /// minutes.
    pub async fn run_command(
        &self,
        group: &str,
        name: &str,
        command: &str,
        files: &[(String, Vec<u8>)],
        token: Option<&Secret>,
    ) -> anyhow::Result<Ran> {
        let path = format!("{}/runCommand", path(group, name));
        let files = zip(files).context("failed to pack the files of a command")?;
        let body = json!({
            "command": command,
            "context": base64::engine::general_purpose::STANDARD.encode(files),
            "clusterToken": token.map_or("", |token| token.expose()),
        });
        let started = Instant::now();
        let url = self.url(&path, VERSION)?;
        let mut response = self.send(Method::POST, url, Some(&body), &path).await?;
        let result = response.headers().get("location");
        let result = result.and_then(|location| location.to_str().ok());
        let result = result
            .map(|location| self.follow(location, "the result", &path))
            .transpose()?;
        loop {
            let accepted = response.status() == StatusCode::ACCEPTED;
            let pause = poll_interval(retry_after(&response));
            let body = response.json_bytes(LIMIT).await.context(READING)?;
            // An accepted request has no body, or one with its progress.
            let properties = if body.is_empty() && accepted {
                Properties::default()
            } else {
                let body: ResultBody = serde_json::from_slice(&body).context(READING)?;
                body.properties
            };
            if !accepted && properties.is_final() {
                return properties.into_ran();
            }
            let Some(result) = result.clone() else {
                bail!(
                    "Azure Resource Manager accepted the command without the location of its result"
                );
            };
            if started.elapsed() > TIMEOUT {
                bail!(
                    "timed out after {}s waiting for the result of a command in the cluster; see `kubectl get pods --namespace aks-command`",
                    TIMEOUT.as_secs()
                );
            }
            tokio::time::sleep(pause).await;
            response = self.send(Method::GET, result, None, &path).await?;
        }
    }
}

fn poll_interval(requested: Option<Duration>) -> Duration {
    let requested = requested.unwrap_or(POLL_INTERVAL);
    requested.clamp(POLL_INTERVAL, MAX_POLL_INTERVAL)
}

impl Properties {
    // For a command that is still running only the state may differ, with status 200 (as the Azure CLI reads it).
    fn is_final(&self) -> bool {
        let finals = ["succeeded", "failed", "canceled"];
        let state = self.provisioning_state.to_ascii_lowercase();
        finals.contains(&state.as_str())
    }

    fn into_ran(self) -> anyhow::Result<Ran> {
        let state = self.provisioning_state;
        match self.exit_code {
            Some(exit_code) if state.eq_ignore_ascii_case("succeeded") => Ok(Ran {
                exit_code,
                logs: self.logs,
            }),
            _ => bail!(
                "failed to run a command in the cluster ({state}): {}",
                self.reason
            ),
        }
    }
}

fn zip(files: &[(String, Vec<u8>)]) -> anyhow::Result<Vec<u8>> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in files {
        archive.start_file(name.as_str(), SimpleFileOptions::default())?;
        archive.write_all(bytes)?;
    }
    Ok(archive.finish()?.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_that_azure_requests_is_kept_within_bounds() {
        let table = [(None, 1), (Some(0), 1), (Some(5), 5), (Some(300), 10)];
        for (requested, expected) in table {
            let pause = poll_interval(requested.map(Duration::from_secs));
            assert_eq!(pause, Duration::from_secs(expected));
        }
    }
}
