//! A command that Azure runs in a pod of the cluster, for those who can't reach its API server.
//!
//! Source: azure-rest-api-specs, Microsoft.ContainerService 2025-10-01 (`ManagedClusters_RunCommand`,
//! `ManagedClusters_GetCommandResult`); learn.microsoft.com/azure/aks/access-private-cluster.

use std::io::{Cursor, Write as _};
use std::time::{Duration, Instant};

use actions_toolkit::Secret;
use anyhow::{Context as _, bail};
use base64::Engine as _;
use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde_json::json;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use crate::ResourceManager;
use crate::cluster::{VERSION, path};

/// From the request to the result. The pod may have to wait for a place, and its image for a node that lacks it.
const LIMIT: Duration = Duration::from_secs(240);
/// Between two questions for the result.
const PAUSE: Duration = Duration::from_millis(500);

const READING: &str = "while reading the result of a command";

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    /// Its exit code.
    pub exit_code: i32,
    /// What it wrote, both streams; Azure keeps 512 kB.
    pub logs: String,
}

#[derive(Deserialize)]
struct Answer {
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
    /// Run `command` in a pod of the cluster `name`, beside `files`, and wait for its end. Where the cluster signs in
    /// with Entra, `token` says who runs it.
    ///
    /// # Errors
    /// When the identity may not run commands, the cluster runs none, the command could not be started, or there is no result in four minutes.
    pub async fn run_command(
        &self,
        group: &str,
        name: &str,
        command: &str,
        files: &[(String, Vec<u8>)],
        token: Option<&Secret>,
    ) -> anyhow::Result<Ran> {
        let path = format!("{}/runCommand", path(group, name));
        let files = zipped(files).context("while packing the files of a command")?;
        let body = json!({
            "command": command,
            "context": base64::engine::general_purpose::STANDARD.encode(files),
            "clusterToken": token.map_or("", |token| token.expose()),
        });
        let begun = Instant::now();
        let url = self.url(&path, VERSION)?;
        let mut answer = self.send(Method::POST, url, Some(&body), &path).await?;
        let result = answer.headers().get("location");
        let result = result.and_then(|place| place.to_str().ok());
        let result = result
            .map(|place| self.followed(place, "the result", &path))
            .transpose()?;
        loop {
            let accepted = answer.status() == StatusCode::ACCEPTED;
            let body = answer.bytes().await.context(READING)?;
            // An accepted request has no body, or one that says how far it is.
            let properties = if body.is_empty() && accepted {
                Properties::default()
            } else {
                let answer: Answer = serde_json::from_slice(&body).context(READING)?;
                answer.properties
            };
            if !accepted && properties.is_final() {
                return properties.ended();
            }
            let Some(result) = result.clone() else {
                bail!(
                    "Azure Resource Manager took the command, and did not say where its result will be"
                );
            };
            if begun.elapsed() > LIMIT {
                bail!(
                    "a command in the cluster had no result after {} s; `kubectl get pods --namespace aks-command` says why",
                    LIMIT.as_secs()
                );
            }
            tokio::time::sleep(PAUSE).await;
            answer = self.send(Method::GET, result, None, &path).await?;
        }
    }
}

impl Properties {
    // A command that goes on may be told by the state alone, with 200 (the Azure CLI reads it so).
    fn is_final(&self) -> bool {
        let finals = ["succeeded", "failed", "canceled"];
        let state = self.provisioning_state.to_ascii_lowercase();
        finals.contains(&state.as_str())
    }

    fn ended(self) -> anyhow::Result<Ran> {
        let state = self.provisioning_state;
        match self.exit_code {
            Some(exit_code) if state.eq_ignore_ascii_case("succeeded") => Ok(Ran {
                exit_code,
                logs: self.logs,
            }),
            _ => bail!(
                "a command in the cluster was not run ({state}): {}",
                self.reason
            ),
        }
    }
}

fn zipped(files: &[(String, Vec<u8>)]) -> anyhow::Result<Vec<u8>> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in files {
        zip.start_file(name.as_str(), SimpleFileOptions::default())?;
        zip.write_all(bytes)?;
    }
    Ok(zip.finish()?.into_inner())
}
