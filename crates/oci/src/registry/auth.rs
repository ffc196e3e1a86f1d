//! Authentication: which password is sent to a registry, and where it is sent.
//!
//! This is the only file of the crate that reads [`Credentials::password`]. A password leaves it only after the registry
//! itself, not a host that it redirected to, responded to a request with `401`. It goes to one of two places that the
//! registry's `WWW-Authenticate` names:
//!
//! - `Basic`: the registry itself;
//! - `Bearer realm="…"`: the token service at `realm`, which returns a token for what a request needs; the registry gets only the
//!   token (distribution.github.io/distribution/spec/auth/token). The service may be on another host, as
//!   github.com/containerd/containerd and github.com/google/go-containerregistry allow it, with https. Without https it
//!   is the registry itself, or on this machine, as the registry is.
//!
//! A redirect is followed by neither request.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use http_client::header::{HeaderMap, WWW_AUTHENTICATE};
use http_client::{TOKEN_LIMIT, Url, is_local};
use serde::Deserialize;

use super::challenge::Challenge;
use super::response::success;
use super::{Registry, Renewed};

const TOKEN_TIMEOUT: Duration = Duration::from_secs(60);
/// A token is not used this long before it expires: the request takes time.
const MARGIN: Duration = Duration::from_secs(10);
/// Characters of a foreign text in an error.
const QUOTED: usize = 200;

/// A user name and password for a registry.
#[derive(Clone)]
pub struct Credentials {
    /// The user name.
    pub username: String,
    /// The password or token.
    pub password: String,
}

/// How requests to a registry are authenticated.
#[derive(Clone)]
pub enum Auth {
    /// Without credentials; a token service issues an anonymous token.
    Anonymous,
    /// With a user name and password, for the registry or the token service that it names.
    Password(Credentials),
    /// The same with credentials that expire.
    Renewed(Renewed),
}

/// The value of an `Authorization` header.
#[derive(Clone)]
pub(super) struct Authorization {
    value: String,
    expires: Option<Instant>,
}

#[derive(Deserialize)]
struct TokenResponse {
    token: Option<String>,
    // OAuth 2's name of the same.
    access_token: Option<String>,
    /// Seconds; a number, which some services write as a string.
    #[serde(default)]
    expires_in: serde_json::Value,
}

impl Authorization {
    pub(super) fn value(&self) -> &str {
        &self.value
    }

    pub(super) fn is_valid(&self) -> bool {
        self.expires.is_none_or(|expires| Instant::now() < expires)
    }
}

impl Registry {
    /// What satisfies the challenge in the `headers` of the registry's `401` for `scope`.
    pub(super) async fn authorize(
        &self,
        headers: &HeaderMap,
        scope: &str,
    ) -> anyhow::Result<Authorization> {
        match Challenge::of(headers) {
            Some(Challenge::Basic) => self.basic().await,
            Some(Challenge::Bearer { realm, service }) => {
                let quoted: String = realm.chars().take(QUOTED).collect();
                let token = self.token(&realm, service, scope).await;
                token.with_context(|| format!("failed to get a token from `{quoted}`"))
            }
            None => {
                let header = headers.get(WWW_AUTHENTICATE);
                let header = header.and_then(|header| header.to_str().ok());
                let header: String = header.unwrap_or_default().chars().take(QUOTED).collect();
                bail!(
                    "`{}` requires an unsupported authentication scheme: `{header}`",
                    self.host
                )
            }
        }
    }

    async fn credentials(&self) -> anyhow::Result<Option<Credentials>> {
        match &self.auth {
            Auth::Anonymous => Ok(None),
            Auth::Password(credentials) => Ok(Some(credentials.clone())),
            Auth::Renewed(renewed) => renewed.get().await.map(Some),
        }
    }

    async fn basic(&self) -> anyhow::Result<Authorization> {
        let Some(credentials) = self.credentials().await? else {
            bail!("`{}` requires a user name and password", self.host);
        };
        (self.mask)(&credentials.basic());
        Ok(Authorization {
            value: credentials.authorization(),
            expires: None,
        })
    }

    async fn token(
        &self,
        realm: &str,
        service: Option<String>,
        scope: &str,
    ) -> anyhow::Result<Authorization> {
        let realm = token_service(realm, &self.base()?)?;
        // Each in its own parameter, as the specification has it.
        let scopes = scope.split(' ').map(|scope| ("scope", scope.to_owned()));
        let mut query: Vec<_> = scopes.collect();
        query.extend(service.map(|service| ("service", service)));
        let mut request = self.http.get(realm).query(&query).timeout(TOKEN_TIMEOUT);
        if let Some(credentials) = self.credentials().await? {
            request = request.basic_auth(&credentials.username, &credentials.password);
        }
        let response = request.send().await?;
        let host = response.host();
        let response = success(response, &host).await?;
        let body: TokenResponse = response.json(TOKEN_LIMIT).await?;
        let token = body
            .token
            .or(body.access_token)
            .context("the response of the token service has no token")?;
        (self.mask)(&token);
        let seconds = body.expires_in.as_u64();
        let seconds = seconds.or_else(|| body.expires_in.as_str()?.parse().ok());
        let life = seconds.map(|seconds| Duration::from_secs(seconds).saturating_sub(MARGIN));
        Ok(Authorization {
            value: format!("Bearer {token}"),
            expires: life.and_then(|life| Instant::now().checked_add(life)),
        })
    }
}

// The URL of the token service `realm` of the registry at `registry`.
fn token_service(realm: &str, registry: &Url) -> anyhow::Result<Url> {
    let url = Url::parse(realm).context("it is not a URL")?;
    ensure!(
        url.username().is_empty() && url.password().is_none(),
        "it has user information"
    );
    let local = registry.scheme() == "http" && url.scheme() == "http" && is_local(&url);
    ensure!(
        url.scheme() == "https" || url.origin() == registry.origin() || local,
        "it would send credentials unencrypted"
    );
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_goes_to_a_token_service_with_tls_or_on_this_machine() {
        let public = "https://registry.example/v2/";
        let local = "http://127.0.0.1:5000/v2/";
        let table = [
            (public, "https://auth.example/token", true),
            (public, "https://registry.example/token", true),
            (public, "http://registry.example/token", false),
            (public, "http://auth.example/token", false),
            (public, "http://127.0.0.1:5000/token", false),
            (public, "https://user@auth.example/token", false),
            (public, "https://:secret@auth.example/token", false),
            (public, "ftp://auth.example/token", false),
            (public, "/token", false),
            (local, "http://127.0.0.1:5000/token", true),
            (local, "http://localhost:5001/token", true),
            (local, "http://[::1]:5001/token", true),
            (local, "http://auth.example/token", false),
            (local, "http://127.0.0.1.auth.example/token", false),
            (local, "http://10.0.0.1/token", false),
            (local, "https://auth.example/token", true),
        ];
        for (registry, realm, allowed) in table {
            let service = token_service(realm, &registry.parse().unwrap());
            assert_eq!(service.is_ok(), allowed, "{registry} {realm}");
        }
    }
}
