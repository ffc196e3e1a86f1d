//! The version of Trivy, and versions that are rejected.

use std::time::Duration;

use actions_toolkit::{Env, Log};
use serde::Deserialize;

use crate::{ScanError, tool};

/// Versions that were published by an attacker (CVE-2026-33634).
pub const REJECTED: &[&str] = &["0.69.4", "0.69.5", "0.69.6"];

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Version {
    version: String,
}

/// The version of the `trivy` in `PATH`.
///
/// # Errors
/// When there is none, when it does not print its version, or when it is one of [`REJECTED`].
pub async fn version(env: &Env, log: &Log) -> Result<String, ScanError> {
    let done = tool(env)
        .args(["version", "--format", "json", "--config", "/dev/null"])
        .timeout(Duration::from_secs(60))
        .capture(log, "trivy version")
        .await
        .map_err(ScanError::Start)?;
    let Ok(Version { version }) = serde_json::from_slice(&done.stdout) else {
        return Err(ScanError::NotJson {
            command: "trivy version".into(),
            start: crate::error::start_of(&done.stdout),
        });
    };
    let version = version.trim_start_matches('v').to_owned();
    if REJECTED.contains(&version.as_str()) {
        return Err(ScanError::Rejected(version));
    }
    Ok(version)
}
