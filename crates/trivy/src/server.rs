//! A Trivy server (trivy.dev/docs/latest/references/modes/client-server): it has the vulnerability database, and looks up the
//! packages that Trivy finds here.

use std::fmt;
use std::time::Duration;

use actions_toolkit::Secret;
use http_client::{Redirects, Url};
use serde::Deserialize;

use crate::REJECTED;
use crate::database::{Cached, DatabaseError};

/// Bytes of the largest response to a request of the version.
const LIMIT: u64 = 1024 * 1024;
/// Of that request: without it, Trivy tries an unreachable server for minutes.
const TIMEOUT: Duration = Duration::from_secs(60);

/// The address of a Trivy server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    pub(crate) url: Url,
    /// What Trivy sends as `Trivy-Token`.
    pub(crate) token: Option<ServerToken>,
}

/// The token of a server.
#[derive(Debug, Clone)]
pub struct ServerToken(pub(crate) Secret);

impl PartialEq for ServerToken {
    fn eq(&self, other: &Self) -> bool {
        self.0.expose() == other.0.expose()
    }
}

impl Eq for ServerToken {}

/// The response to `GET /version` (`pkg/version/version.go` of Trivy).
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Version {
    #[serde(default)]
    version: String,
    #[serde(rename = "VulnerabilityDB")]
    database: Option<Cached>,
}

impl Server {
    /// The server at `url`; `token` is for it alone.
    pub fn new(url: Url, token: Option<Secret>) -> Self {
        let token = token.map(ServerToken);
        Self { url, token }
    }

    /// The version of the server and what it knows of its database. The token is not needed for that, and not sent.
    ///
    /// # Errors
    /// When it is unreachable, redirects, or is not a Trivy server with a database.
    pub(crate) async fn database(&self) -> Result<(String, Cached), DatabaseError> {
        let failed = |reason: String| DatabaseError::Server {
            address: self.to_string(),
            reason,
        };
        let version = self.version().await;
        let Version { version, database } = version.map_err(|e| failed(format!("{e:#}")))?;
        let version = version.trim_start_matches('v').to_owned();
        if REJECTED.contains(&version.as_str()) {
            return Err(failed(format!(
                "Trivy {version} is one of the versions that were published by an attacker (CVE-2026-33634)"
            )));
        }
        let database = database
            .filter(Cached::has_time)
            .ok_or_else(|| failed("it has no vulnerability database".to_owned()))?;
        Ok((version, database))
    }

    async fn version(&self) -> anyhow::Result<Version> {
        // As Trivy finds it (`pkg/rpc/client/client.go`), which sends the token there too: so no redirect is followed.
        let url = self.url.join("version")?;
        let request = http_client::Client::new()?.get(url).timeout(TIMEOUT);
        let response = request.redirects(Redirects::Returned).send().await?;
        let status = response.status();
        if status.is_redirection() {
            anyhow::bail!("it redirects to another address; use that one");
        }
        anyhow::ensure!(status.is_success(), "it responded with {status}");
        let body = response.bytes(LIMIT).await?;
        serde_json::from_slice(&body).map_err(|_| anyhow::anyhow!("it is not a Trivy server"))
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.url.as_str().trim_end_matches('/'))
    }
}
