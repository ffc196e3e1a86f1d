//! Entra: an access token for each service, from the run's own identity.
//!
//! Protocol: learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow, third case
//! (a federated credential), and the first for a client secret.

use std::sync::Arc;
use std::time::{Duration, Instant};

use actions_toolkit::{Context, Log, Oidc, Secret};
use anyhow::{Context as _, bail};
use serde::Deserialize;
use tokio::sync::Mutex;

use crate::refusal::{Claims, Refusal};
use crate::{Cloud, retry};

const LIMIT: Duration = Duration::from_secs(30);
/// A token is renewed this long before its end, as Microsoft's own clients do; one that lives less than four times as
/// long, in the last quarter of its life.
const MARGIN: Duration = Duration::from_secs(300);
/// No token of Entra lives longer.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

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

/// An application in a directory: whoever asks it for a token gets one that holds. Cheap to clone; the clones share
/// their tokens.
#[derive(Clone)]
pub struct Directory(Arc<Inner>);

struct Inner {
    oidc: Oidc,
    http: reqwest::Client,
    log: Log,
    cloud: Cloud,
    tenant: String,
    client: String,
    credential: Credential,
    kept: Tokens,
}

/// Whoever comes while a token is asked for waits for that one.
#[derive(Default)]
struct Tokens {
    resource_manager: Mutex<Option<Kept>>,
    registry: Mutex<Option<Kept>>,
    cluster: Mutex<Option<Kept>>,
}

impl Tokens {
    fn of(&self, scope: Scope) -> &Mutex<Option<Kept>> {
        match scope {
            Scope::ResourceManager => &self.resource_manager,
            Scope::Registry => &self.registry,
            Scope::Cluster => &self.cluster,
        }
    }
}

struct Kept {
    token: Secret,
    renew: Instant,
    end: Instant,
}

#[derive(Deserialize)]
struct Granted {
    access_token: String,
    /// Seconds (RFC 6749, 5.1).
    expires_in: u64,
}

impl Kept {
    fn new(token: Secret, life: Duration) -> Self {
        let now = Instant::now();
        Self {
            token,
            renew: now + life.saturating_sub(MARGIN.min(life / 4)),
            end: now + life,
        }
    }
}

impl Directory {
    /// The application `client` in the directory `tenant` of `cloud`.
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
            kept: Tokens::default(),
        })))
    }

    /// The directory's id.
    pub fn tenant(&self) -> &str {
        &self.0.tenant
    }

    /// The client that asks it.
    pub(crate) fn http(&self) -> &reqwest::Client {
        &self.0.http
    }

    /// `value` as a secret of this run, masked.
    pub(crate) fn masked(&self, value: String) -> Secret {
        Secret::new(value, &self.0.log)
    }

    /// An access token for `scope`, masked: the one that is there, or a new one shortly before that one ends.
    ///
    /// # Errors
    /// With what Entra said, what it means, and what to set.
    pub async fn token(&self, scope: Scope) -> anyhow::Result<Secret> {
        let mut kept = self.0.kept.of(scope).lock().await;
        if let Some(kept) = kept.as_ref().filter(|kept| Instant::now() < kept.renew) {
            return Ok(kept.token.clone());
        }
        match (self.0.granted(scope).await, kept.as_ref()) {
            (Ok(granted), _) => {
                let life = Duration::from_secs(granted.expires_in).min(LONGEST);
                let token = self.masked(granted.access_token);
                *kept = Some(Kept::new(token.clone(), life));
                Ok(token)
            }
            // An outage of Entra is none of ours as long as the old one holds.
            (Err(_), Some(kept)) if Instant::now() < kept.end => Ok(kept.token.clone()),
            (Err(e), _) => Err(e),
        }
    }
}

impl Inner {
    // An OIDC token lives five minutes, so each request has an assertion of its own.
    async fn granted(&self, scope: Scope) -> anyhow::Result<Granted> {
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
            Ok(self.http.post(&url).form(&form).timeout(LIMIT))
        })
        .await?;
        let status = answer.status();
        if status.is_success() {
            return answer.json().await.context("while reading Entra's token");
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
                self.oidc.token(self.cloud.audience()).await?,
            ),
        })
    }
}
