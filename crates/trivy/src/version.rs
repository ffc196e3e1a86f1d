//! Which Trivy this is, and which ones are refused.

use std::time::Duration;

use actions_toolkit::{Env, Log};
use serde::Deserialize;

use crate::{ScanError, tool};

/// Versions that were published by an attacker (CVE-2026-33634).
pub const REFUSED: &[&str] = &["0.69.4", "0.69.5", "0.69.6"];

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Version {
    version: String,
}

/// The version of the `trivy` in `PATH`.
///
/// # Errors
/// When there is none, when it does not say its version, or when it is one of [`REFUSED`].
pub async fn version(env: &Env, log: &Log) -> Result<String, ScanError> {
    let done = tool(env)
        .args(["version", "--format", "json", "--config", "/dev/null"])
        .limit(Duration::from_secs(60))
        .capture(log, "trivy version")
        .await
        .map_err(ScanError::Start)?;
    let Ok(Version { version }) = serde_json::from_slice(&done.stdout) else {
        return Err(ScanError::NotJson {
            what: "to the question for its version".into(),
            start: crate::error::start_of(&done.stdout),
        });
    };
    let version = version.trim_start_matches('v').to_owned();
    if REFUSED.contains(&version.as_str()) {
        return Err(ScanError::Refused(version));
    }
    Ok(version)
}
