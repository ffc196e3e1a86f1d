//! Entra: an access token for each service, from the run's own identity.
//!
//! Protocol: learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow, third case
//! (a federated credential), and the first for a client secret.

use std::sync::Arc;
use std::time::{Duration, Instant};

use actions_toolkit::{Context, Log, Oidc, Secret};
use anyhow::{Context as _, bail};
use http_client::TOKEN_LIMIT;
use serde::Deserialize;
use tokio::sync::Mutex;

use crate::rejection::{Claims, Rejection};
use crate::{Cloud, retry};

const TIMEOUT: Duration = Duration::from_secs(30);
/// A token is renewed this long before it expires, as Microsoft's clients do; one with less than four times this
/// lifetime, in the last quarter of it.
const MARGIN: Duration = Duration::from_secs(300);
/// The longest lifetime of a token.
const MAX_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);

/// A service of Azure that takes tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Azure Resource Manager.
    ResourceManager,
    /// Azure Container Registry. A token for Resource Manager is accepted only where a policy allows it.
    Registry,
    /// The API server of a cluster with Entra sign-in; the same application id in every cloud.
    Cluster,
}

/// The credential of the application.
#[derive(Debug, Clone)]
pub enum Credential {
    /// The run's OIDC token.
    Federated,
    /// A client secret.
    ClientSecret(Secret),
}

/// An application in a tenant, with a valid access token for each service. Cheap to clone; the clones share
/// their tokens.
#[derive(Clone)]
pub struct Entra(Arc<Inner>);

struct Inner {
    oidc: Oidc,
    http: http_client::Client,
    log: Log,
    cloud: Cloud,
    tenant: String,
    client: String,
    credential: Credential,
    tokens: Tokens,
}

/// A request for a token that is being requested waits for that one.
#[derive(Default)]
struct Tokens {
    resource_manager: Mutex<Option<Cached>>,
    registry: Mutex<Option<Cached>>,
    cluster: Mutex<Option<Cached>>,
}

impl Tokens {
    fn get(&self, scope: Scope) -> &Mutex<Option<Cached>> {
        match scope {
            Scope::ResourceManager => &self.resource_manager,
            Scope::Registry => &self.registry,
            Scope::Cluster => &self.cluster,
        }
    }
}

struct Cached {
    token: Secret,
    renew: Instant,
    expires: Instant,
}

#[derive(Deserialize)]
struct Granted {
    access_token: String,
    /// Seconds (RFC 6749, 5.1).
    expires_in: u64,
}

impl Cached {
    fn new(token: Secret, life: Duration) -> Self {
        let now = Instant::now();
        Self {
            token,
            renew: now + life.saturating_sub(MARGIN.min(life / 4)),
            expires: now + life,
        }
    }
}

impl Entra {
    /// The application `client` in the tenant `tenant` of `cloud`, both by ID.
    ///
    /// # Errors
    /// When the system's certificates cannot be loaded.
    pub fn new(
        ctx: &Context,
        cloud: &Cloud,
        tenant: &str,
        client: &str,
        credential: Credential,
    ) -> anyhow::Result<Self> {
        Ok(Self(Arc::new(Inner {
            oidc: ctx.oidc()?,
            http: ctx.http()?.clone(),
            log: ctx.log().clone(),
            cloud: cloud.clone(),
            tenant: tenant.to_owned(),
            client: client.to_owned(),
            credential,
            tokens: Tokens::default(),
        })))
    }

    /// The ID of the tenant.
    pub fn tenant_id(&self) -> &str {
        &self.0.tenant
    }

    /// The cloud of the tenant.
    pub fn cloud(&self) -> &Cloud {
        &self.0.cloud
    }

    /// The HTTP client.
    pub(crate) fn http(&self) -> &http_client::Client {
        &self.0.http
    }

    /// `value` as a secret of this run, masked.
    pub(crate) fn masked(&self, value: String) -> Secret {
        Secret::new(value, &self.0.log)
    }

    /// An access token for `scope`, masked: the cached one, or a new one shortly before that one expires.
    ///
    /// # Errors
    /// With the message of Entra, its cause, and what to set.
    pub async fn token(&self, scope: Scope) -> anyhow::Result<Secret> {
        let mut cached = self.0.tokens.get(scope).lock().await;
        if let Some(cached) = cached.as_ref().filter(|token| Instant::now() < token.renew) {
            return Ok(cached.token.clone());
        }
        match (self.0.request(scope).await, cached.as_ref()) {
            (Ok(granted), _) => {
                let life = Duration::from_secs(granted.expires_in).min(MAX_LIFETIME);
                let token = self.masked(granted.access_token);
                *cached = Some(Cached::new(token.clone(), life));
                Ok(token)
            }
            // An outage of Entra is no problem while the old token is valid.
            (Err(_), Some(cached)) if Instant::now() < cached.expires => Ok(cached.token.clone()),
            (Err(e), _) => Err(e),
        }
    }
}

impl Inner {
    // An OIDC token is valid for five minutes, so each request has a new one.
    async fn request(&self, scope: Scope) -> anyhow::Result<Granted> {
        let url = format!(
            "{}/{}/oauth2/v2.0/token",
            self.cloud.authority(),
            self.tenant
        );
        let scope = self.cloud.scope(scope);
        let presented = std::sync::Mutex::new(None);
        let what = format!("failed to get a token from `{}`", self.cloud.authority());
        let response = retry::send(&what, || async {
            let mut form = vec![
                ("client_id", self.client.as_str()),
                ("grant_type", "client_credentials"),
                ("scope", &scope),
            ];
            let (name, credential) = self.credential().await?;
            if matches!(self.credential, Credential::Federated) {
                form.push((
                    "client_assertion_type",
                    "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
                ));
                if let Ok(mut presented) = presented.lock() {
                    *presented = Some(Claims::parse(credential.expose()));
                }
            }
            form.push((name, credential.expose()));
            Ok(self.http.post(&url).form(&form).timeout(TIMEOUT))
        })
        .await?;
        let status = response.status();
        if status.is_success() {
            return response
                .json(TOKEN_LIMIT)
                .await
                .context("failed to read Entra's token");
        }
        let claims = presented.into_inner().ok().flatten();
        match serde_json::from_str::<Rejection>(&response.error_text().await) {
            Ok(rejection) if status.is_client_error() => Err(rejection.explain(claims.as_ref())),
            // The page of a proxy, or a service that is down.
            _ => bail!(
                "`{}` responded with {status} to the request for a token",
                self.cloud.authority()
            ),
        }
    }

    async fn credential(&self) -> anyhow::Result<(&'static str, Secret)> {
        Ok(match &self.credential {
            Credential::ClientSecret(secret) => ("client_secret", secret.clone()),
            Credential::Federated => (
                "client_assertion",
                self.oidc.token(self.cloud.audience()).await?,
            ),
        })
    }
}
