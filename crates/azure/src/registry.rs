//! Azure Container Registry.
//!
//! Protocol: github.com/Azure/acr, docs/AAD-OAuth.md.

use std::time::Duration;

use actions_toolkit::{BadInput, Secret};
use anyhow::{Context as _, bail};
use serde::Deserialize;

use crate::{Entra, ResourceManager, Scope, retry};

const VERSION: &str = "2025-11-01";
const TIMEOUT: Duration = Duration::from_secs(30);
const PROVIDER: &str = "providers/Microsoft.ContainerRegistry/registries";

/// The user name of a login whose password is a refresh token.
pub const TOKEN_USER: &str = "00000000-0000-0000-0000-000000000000";

/// The host name of a registry, as Resource Manager reports it. It does not follow from the registry's
/// name: one with a domain name label has a hash in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginServer(pub String);

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
        Ok(LoginServer(server.to_lowercase()))
    }
}

impl LoginServer {
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
            bail!(
                "{what}: status {status}; give the identity the role AcrPush on the registry (Container Registry Repository Writer, if its role assignments are per repository)"
            );
        }
        if !status.is_success() {
            bail!("{what}: status {status}");
        }
        let exchanged: Exchanged = response.json().await.context(what)?;
        Ok(entra.masked(exchanged.refresh_token))
    }
}
