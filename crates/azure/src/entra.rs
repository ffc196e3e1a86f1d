//! Entra: an access token for each service, from the run's own identity.
//!
//! Protocol: learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow, third case
//! (a federated credential), and the first for a client secret.

use std::time::Duration;

use actions_toolkit::{Context, Secret};
use anyhow::{Context as _, bail};
use serde::Deserialize;

use crate::refusal::{Claims, Refusal};
use crate::{Cloud, retry};

const LIMIT: Duration = Duration::from_secs(30);

/// A service of Azure that takes tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Azure Resource Manager.
    ResourceManager,
    /// Azure Container Registry. A token for Resource Manager would do only where a policy allows it.
    Registry,
    /// The API server of a cluster with Entra sign-in; the same application id in every cloud.
    Cluster,
}

/// How the application proves who it is.
#[derive(Debug, Clone)]
pub enum Credential {
    /// By the run's OIDC token.
    Federated,
    /// By a client secret.
    ClientSecret(Secret),
}

/// An application in a directory.
pub struct Directory<'a> {
    ctx: &'a Context,
    cloud: Cloud,
    tenant: String,
    client: String,
    credential: Credential,
}

#[derive(Deserialize)]
struct Granted {
    access_token: String,
}

impl<'a> Directory<'a> {
    /// The application `client` in the directory `tenant` of `cloud`.
    pub fn new(
        ctx: &'a Context,
        cloud: &Cloud,
        tenant: &str,
        client: &str,
        credential: Credential,
    ) -> Self {
        Self {
            ctx,
            cloud: cloud.clone(),
            tenant: tenant.to_owned(),
            client: client.to_owned(),
            credential,
        }
    }

    /// The directory's id.
    pub fn tenant(&self) -> &str {
        &self.tenant
    }

    /// `value` as a secret of this run, masked.
    pub(crate) fn masked(&self, value: String) -> Secret {
        Secret::new(value, self.ctx.log())
    }

    /// A new access token for `scope`, masked. An OIDC token lives five minutes, so each request has
    /// an assertion of its own.
    ///
    /// # Errors
    /// With what Entra said, what it means, and what to set.
    pub async fn token(&self, scope: Scope) -> anyhow::Result<Secret> {
        let url = format!(
            "{}/{}/oauth2/v2.0/token",
            self.cloud.authority(),
            self.tenant
        );
        let scope = self.cloud.scope(scope);
        let shown = std::sync::Mutex::new(None);
        let what = format!("while asking `{}` for a token", self.cloud.authority());
        let answer = retry::send(&what, || async {
            let mut form = vec![
                ("client_id", self.client.as_str()),
                ("grant_type", "client_credentials"),
                ("scope", &scope),
            ];
            let (name, proof) = self.proof().await?;
            if matches!(self.credential, Credential::Federated) {
                form.push((
                    "client_assertion_type",
                    "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
                ));
                if let Ok(mut shown) = shown.lock() {
                    *shown = Some(Claims::of(proof.expose()));
                }
            }
            form.push((name, proof.expose()));
            Ok(self.ctx.http()?.post(&url).form(&form).timeout(LIMIT))
        })
        .await?;
        let status = answer.status();
        if status.is_success() {
            let granted: Granted = answer.json().await.context("while reading Entra's token")?;
            return Ok(self.masked(granted.access_token));
        }
        let claims = shown.into_inner().ok().flatten();
        match answer.json::<Refusal>().await {
            Ok(refusal) if status.is_client_error() => Err(refusal.explain(claims.as_ref())),
            // A proxy's page, or a service that is down.
            _ => bail!(
                "`{}` answered {status} to the request for a token",
                self.cloud.authority()
            ),
        }
    }

    async fn proof(&self) -> anyhow::Result<(&'static str, Secret)> {
        Ok(match &self.credential {
            Credential::ClientSecret(secret) => ("client_secret", secret.clone()),
            Credential::Federated => (
                "client_assertion",
                self.ctx.oidc_token(self.cloud.audience()).await?,
            ),
        })
    }
}
