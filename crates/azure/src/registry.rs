//! Azure Container Registry.
//!
//! Protocol: github.com/Azure/acr, docs/AAD-OAuth.md.

use std::time::Duration;

use actions_toolkit::{BadInput, Secret};
use anyhow::{Context as _, bail};
use http_client::TOKEN_LIMIT;
use oci::Credentials;
use serde::Deserialize;

use crate::{Cloud, Entra, ResourceManager, Scope, retry};

const VERSION: &str = "2025-11-01";
const TIMEOUT: Duration = Duration::from_secs(30);
/// Of a registry's message, this many characters are shown.
const MESSAGE: usize = 500;
const PROVIDER: &str = "providers/Microsoft.ContainerRegistry/registries";

/// The user name of a login whose password is a refresh token.
pub const TOKEN_USER: &str = "00000000-0000-0000-0000-000000000000";

/// The host name of a registry of Azure: the one that an Entra token is exchanged with. It does not follow from the
/// registry's name: one with a domain name label has a hash in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginServer(String);

#[derive(Deserialize)]
struct Exchanged {
    refresh_token: String,
}

impl ResourceManager {
    /// The login server of the registry `name`, in `group` or anywhere in the subscription.
    ///
    /// # Errors
    /// When it does not exist, or the identity may not read it.
    pub async fn login_server(
        &self,
        name: &str,
        group: Option<&str>,
    ) -> anyhow::Result<LoginServer> {
        let registry = if let Some(group) = group {
            let path = format!("resourceGroups/{group}/{PROVIDER}/{name}");
            self.get(&path, VERSION).await?
        } else {
            let is_named = |r: &serde_json::Value| {
                r["name"]
                    .as_str()
                    .is_some_and(|n| n.eq_ignore_ascii_case(name))
            };
            let registries = self.list(PROVIDER, VERSION).await?;
            registries.into_iter().find(is_named).ok_or_else(|| {
                let problem = format!(
                    "the subscription has no registry `{name}` that this identity may read"
                );
                BadInput::new("registry", problem)
            })?
        };
        let server = registry
            .pointer("/properties/loginServer")
            .and_then(|server| server.as_str())
            .context("the registry has no login server")?;
        Ok(LoginServer::new(server, self.entra.cloud(), "registry")?)
    }
}

impl LoginServer {
    /// The registry `host` of `cloud`, which `input` names.
    ///
    /// # Errors
    /// When it is not a host of Azure Container Registry in that cloud: it would get an access token for every registry
    /// that the run's identity has rights in.
    pub fn new(host: &str, cloud: &Cloud, input: &str) -> Result<Self, BadInput> {
        let lower = host.to_ascii_lowercase();
        let suffixes = cloud.registry_suffixes();
        let name = suffixes
            .iter()
            .find_map(|suffix| lower.strip_suffix(suffix));
        let is_label = |label: &str| {
            let bytes = label.bytes();
            let mut valid =
                bytes.map(|b| b == b'-' || b.is_ascii_digit() || b.is_ascii_lowercase());
            !label.is_empty() && valid.all(|valid| valid)
        };
        if name.is_some_and(|name| name.split('.').all(is_label)) {
            return Ok(Self(lower));
        }
        let hosts: Vec<_> = suffixes.iter().map(|end| format!("`*{end}`")).collect();
        Err(BadInput::new(
            input,
            format!(
                "`{host}` is not a registry of Azure ({}), so it does not get the token of `client-id`; use a user name and a password there",
                hosts.join(", ")
            ),
        ))
    }

    /// The host name.
    pub fn host(&self) -> &str {
        &self.0
    }

    /// The login of the run's identity, by [`LoginServer::refresh_token`].
    ///
    /// # Errors
    /// When the identity has no rights in the registry.
    pub async fn credentials(&self, entra: &Entra) -> anyhow::Result<Credentials> {
        let token = self.refresh_token(entra).await?;
        Ok(Credentials {
            username: TOKEN_USER.to_owned(),
            password: token.expose().to_owned(),
        })
    }

    /// A refresh token of the registry, masked: the password for [`TOKEN_USER`]. It is valid for three hours.
    ///
    /// # Errors
    /// When the identity has no rights in the registry.
    pub async fn refresh_token(&self, entra: &Entra) -> anyhow::Result<Secret> {
        let token = entra.token(Scope::Registry).await?;
        let form = [
            ("grant_type", "access_token"),
            ("service", self.0.as_str()),
            ("tenant", entra.tenant_id()),
            ("access_token", token.expose()),
        ];
        let url = format!("https://{}/oauth2/exchange", self.0);
        let what = format!("failed to sign in to `{}`", self.0);
        let response = retry::send(&what, || async {
            Ok(entra.http().post(&url).form(&form).timeout(TIMEOUT))
        })
        .await?;
        let status = response.status();
        if status.is_client_error() {
            let body = response.error_text().await;
            bail!("{what}: status {status}{}", rejection(&body));
        }
        if !status.is_success() {
            bail!("{what}: status {status}");
        }
        let exchanged: Exchanged = response.json(TOKEN_LIMIT).await.context(what)?;
        Ok(entra.masked(exchanged.refresh_token))
    }
}

// The registry's message, and what to do about it.
fn rejection(body: &str) -> String {
    let body: serde_json::Value = serde_json::from_str(body).unwrap_or_default();
    let message = body.pointer("/errors/0/message").and_then(|m| m.as_str());
    let message = message.map(|message| message.chars().take(MESSAGE).collect::<String>());
    if let Some(message) = message
        .as_deref()
        .filter(|message| oci::is_firewall(message))
    {
        return format!(": {message}{}", oci::FIREWALL_HINT);
    }
    let message = message.map_or_else(String::new, |message| {
        format!(": {}", message.trim_end_matches('.'))
    });
    format!(
        "{message}; give the identity the role AcrPush on the registry (Container Registry Repository Writer, if its role assignments are per repository)"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::AUDIENCE;

    #[test]
    fn the_firewall_of_a_registry_is_not_a_lack_of_rights() {
        let message = "client with IP '20.1.2.3' is not allowed access. Refer https://aka.ms/acr/firewall to grant access.";
        let body = serde_json::json!({"errors": [{"code": "DENIED", "message": message}]});
        let rejected = rejection(&body.to_string());
        assert!(
            rejected.starts_with(&format!(": {message}")) && rejected.ends_with(oci::FIREWALL_HINT),
            "{rejected}"
        );
        assert!(rejection("").starts_with("; give the identity the role AcrPush"));
    }

    #[test]
    fn a_token_is_exchanged_with_registries_of_the_cloud_alone() {
        let public = Cloud::default();
        let of = |authority: &str| Cloud::new(authority, authority, AUDIENCE);
        let government = of("https://login.microsoftonline.us");
        let china = of("https://login.chinacloudapi.cn");
        let local = of("http://127.0.0.1:8080");
        let table = [
            (&public, "seaworthy.azurecr.io", true),
            (&public, "Seaworthy-a1b2.azurecr.io", true),
            (&public, "seaworthy.westeurope.geo.azurecr.io", true),
            (&public, "seaworthy.azurecr.us", false),
            (&public, "azurecr.io", false),
            (&public, ".azurecr.io", false),
            (&public, "azurecr.io.evil.example", false),
            (&public, "evilazurecr.io", false),
            (&public, "evil.example/.azurecr.io", false),
            (&public, "evil.example#.azurecr.io", false),
            (&public, "user@seaworthy.azurecr.io", false),
            (&public, "seaworthy.azurecr.io:8443", false),
            (&public, "127.0.0.1:5443", false),
            (&public, "ghcr.io", false),
            (&government, "seaworthy.azurecr.us", true),
            (&government, "seaworthy.azurecr.io", false),
            (&china, "seaworthy.azurecr.cn", true),
            (&local, "seaworthy.azurecr.io", true),
            (&local, "127.0.0.1:5443", false),
        ];
        for (cloud, host, allowed) in table {
            let server = LoginServer::new(host, cloud, "image");
            assert_eq!(server.is_ok(), allowed, "{host}");
        }
        assert_eq!(
            LoginServer::new("ghcr.io", &public, "image")
                .unwrap_err()
                .to_string(),
            "input `image`: `ghcr.io` is not a registry of Azure (`*.azurecr.io`), so it does not get the token of `client-id`; use a user name and a password there"
        );
    }
}
