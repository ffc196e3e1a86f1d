//! Entra: an access token for each service, from the run's own identity.
//!
//! Protocol: learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow, third case
//! (a federated credential), and the first for a client secret.

use std::time::Duration;

use actions_toolkit::{BadInput, Context, Secret};
use anyhow::{Context as _, anyhow, bail};
use base64::Engine as _;
use serde::Deserialize;
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(30);
const ATTEMPTS: u32 = 3;

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

impl Scope {
    const fn value(self) -> &'static str {
        match self {
            Self::ResourceManager => "https://management.azure.com/.default",
            Self::Registry => "https://containerregistry.azure.net/.default",
            Self::Cluster => "6dae42f8-4368-4678-94ff-3960e28e3630/.default",
        }
    }
}

/// How the application proves who it is.
#[derive(Debug, Clone)]
pub enum Credential {
    /// By the run's OIDC token for this audience.
    Federated(String),
    /// By a client secret.
    ClientSecret(Secret),
}

/// An application in a directory.
pub struct Directory<'a> {
    ctx: &'a Context,
    authority: String,
    tenant: String,
    client: String,
    credential: Credential,
}

#[derive(Deserialize)]
struct Granted {
    access_token: String,
}

#[derive(Deserialize)]
struct Refused {
    #[serde(default)]
    error_description: String,
    #[serde(default)]
    error_codes: Vec<u32>,
}

impl<'a> Directory<'a> {
    /// The application `client` in the directory `tenant` of the cloud whose sign-in is at `authority`.
    pub fn new(
        ctx: &'a Context,
        authority: &str,
        tenant: &str,
        client: &str,
        credential: Credential,
    ) -> Self {
        Self {
            ctx,
            authority: authority.trim_end_matches('/').to_owned(),
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

    /// A new access token for `scope`, masked. An OIDC token lives five minutes, so each token has an
    /// assertion of its own.
    ///
    /// # Errors
    /// With what Entra said, what it means, and what to set.
    pub async fn token(&self, scope: Scope) -> anyhow::Result<Secret> {
        let url = format!("{}/{}/oauth2/v2.0/token", self.authority, self.tenant);
        for attempt in 1.. {
            let (proof, claims) = self.proof().await?;
            let mut form = vec![
                ("client_id", self.client.as_str()),
                ("grant_type", "client_credentials"),
                ("scope", scope.value()),
            ];
            match &proof {
                Proof::Secret(secret) => form.push(("client_secret", secret.expose())),
                Proof::Assertion(assertion) => {
                    form.push((
                        "client_assertion_type",
                        "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
                    ));
                    form.push(("client_assertion", assertion.expose()));
                }
            }
            let answer = self
                .ctx
                .http()?
                .post(&url)
                .form(&form)
                .timeout(LIMIT)
                .send()
                .await;
            let problem = match answer {
                Ok(answer) if answer.status().is_success() => {
                    let granted: Granted =
                        answer.json().await.context("while reading Entra's token")?;
                    return Ok(Secret::new(granted.access_token, self.ctx.log()));
                }
                Ok(answer) if answer.status().is_client_error() && answer.status() != 429 => {
                    let refused: Refused = answer
                        .json()
                        .await
                        .context("while reading Entra's refusal")?;
                    return Err(explain(&refused, claims.as_ref()));
                }
                Ok(answer) => anyhow!("Entra answered {}", answer.status()),
                Err(e) => anyhow::Error::new(e.without_url())
                    .context(format!("while asking `{}` for a token", self.authority)),
            };
            if attempt == ATTEMPTS {
                return Err(problem);
            }
            tokio::time::sleep(Duration::from_secs(u64::from(attempt))).await;
        }
        bail!("Entra gave no token")
    }

    async fn proof(&self) -> anyhow::Result<(Proof, Option<Value>)> {
        match &self.credential {
            Credential::ClientSecret(secret) => Ok((Proof::Secret(secret.clone()), None)),
            Credential::Federated(audience) => {
                let assertion = self.ctx.oidc_token(audience).await?;
                let claims = claims(assertion.expose());
                Ok((Proof::Assertion(assertion), claims))
            }
        }
    }
}

enum Proof {
    Secret(Secret),
    Assertion(Secret),
}

// For display only: Entra is the one that verifies.
fn claims(token: &str) -> Option<Value> {
    let payload = token.split('.').nth(1)?;
    serde_json::from_slice(
        &base64::engine::general_purpose::URL_SAFE_NO_PAD
            .decode(payload)
            .ok()?,
    )
    .ok()
}

// Codes: learn.microsoft.com/entra/identity-platform/reference-error-codes.
fn explain(refused: &Refused, claims: Option<&Value>) -> anyhow::Error {
    let code = refused.error_codes.first().copied().unwrap_or_default();
    let said = refused.error_description.lines().next().unwrap_or_default();
    let said = said.split(" Trace ID").next().unwrap_or_default();
    let shown = || {
        let claim = |name: &str| {
            claims
                .and_then(|claims| claims[name].as_str())
                .unwrap_or("?")
                .to_owned()
        };
        format!(
            "issuer `{}`, subject `{}`, audience `{}`",
            claim("iss"),
            claim("sub"),
            claim("aud")
        )
    };
    match code {
        // A wrong id is the caller's mistake, found before anything was changed.
        90002 => BadInput::of("tenant-id", format!("Entra knows no such directory in this cloud ({said})")).into(),
        700_016 => BadInput::of("client-id", format!("the directory has no such application ({said})")).into(),
        7_000_215 | 7_000_222 => BadInput::of("client-secret", format!("Entra does not take it ({said}); use the secret's value, not its id, or sign in with OIDC")).into(),
        70021 | 700_211 | 700_212 | 700_213 => anyhow!("the application trusts no such run ({said}); add a federated credential with exactly these values: {}", shown()),
        700_024 => anyhow!("the run's OIDC token was not valid at that time ({said}); is the runner's clock right?"),
        _ => anyhow!("Entra refused the sign-in ({said})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_refusal_has_its_cure() {
        let claims = json!({"iss": "https://token.actions.githubusercontent.com", "sub": "repo:o/r:ref:refs/heads/x", "aud": "api://AzureADTokenExchange"});
        let text = |code: u32| {
            let refused = Refused {
                error_description: format!("AADSTS{code}: words. Trace ID: x\r\nmore"),
                error_codes: vec![code],
            };
            format!("{:#}", explain(&refused, Some(&claims)))
        };
        assert_eq!(
            text(700_213),
            "the application trusts no such run (AADSTS700213: words.); add a federated credential with exactly these values: issuer `https://token.actions.githubusercontent.com`, subject `repo:o/r:ref:refs/heads/x`, audience `api://AzureADTokenExchange`"
        );
        assert!(text(90002).starts_with("input `tenant-id`"));
        assert!(text(700_016).starts_with("input `client-id`"));
        assert!(text(7_000_215).starts_with("input `client-secret`"));
        assert!(text(50_000).starts_with("Entra refused the sign-in (AADSTS50000"));
    }
}
