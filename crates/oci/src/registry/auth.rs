//! Authentication: which password is sent to a registry, and where it is sent.
//!
//! This is the only file of the crate that reads [`Credentials::password`]. A password leaves it only after the
//! registry responded to a request with `401`, and goes to one of two places that the registry's `WWW-Authenticate` names:
//!
//! - `Basic`: the registry itself;
//! - `Bearer realm="…"`: the token service at `realm`, which returns a token for one scope; the registry gets only the
//!   token (distribution.github.io/distribution/spec/auth/token).

use std::time::Duration;

use anyhow::{Context as _, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::response::success;

const TOKEN_TIMEOUT: Duration = Duration::from_secs(60);

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
}

/// What a registry's `WWW-Authenticate` header requires.
#[derive(Debug, PartialEq, Eq)]
enum Challenge {
    Basic,
    Bearer {
        /// The URL of the token service.
        realm: String,
        service: Option<String>,
    },
}

#[derive(Deserialize)]
struct TokenResponse {
    token: Option<String>,
    // OAuth 2's name of the same.
    access_token: Option<String>,
}

impl Challenge {
    fn parse(header: &str) -> Option<Self> {
        let (scheme, parameters) = header.split_once(' ').unwrap_or((header, ""));
        if scheme.eq_ignore_ascii_case("basic") {
            return Some(Self::Basic);
        }
        let parameter = |name: &str| {
            let (_, rest) = parameters.split_once(&format!("{name}=\""))?;
            Some(rest.split_once('"')?.0.to_owned())
        };
        let realm = parameter("realm").filter(|_| scheme.eq_ignore_ascii_case("bearer"))?;
        let service = parameter("service");
        Some(Self::Bearer { realm, service })
    }
}

/// The value of the `Authorization` header that satisfies the challenge `header` of the registry `host` for `scope`.
pub(super) async fn authorization(
    http: &reqwest::Client,
    host: &str,
    auth: &Auth,
    header: &str,
    scope: &str,
) -> anyhow::Result<String> {
    match Challenge::parse(header) {
        Some(Challenge::Basic) => {
            let Auth::Password(credentials) = auth else {
                bail!("`{host}` requires a user name and password");
            };
            let pair = format!("{}:{}", credentials.username, credentials.password);
            Ok(format!("Basic {}", STANDARD.encode(pair)))
        }
        Some(Challenge::Bearer { realm, service }) => {
            let token = token(http, host, auth, &realm, service, scope).await;
            let token = token.with_context(|| format!("failed to get a token from `{realm}`"))?;
            Ok(format!("Bearer {token}"))
        }
        None => bail!("`{host}` requires an unsupported authentication scheme: `{header}`"),
    }
}

async fn token(
    http: &reqwest::Client,
    host: &str,
    auth: &Auth,
    realm: &str,
    service: Option<String>,
    scope: &str,
) -> anyhow::Result<String> {
    let mut query = vec![("scope", scope.to_owned())];
    query.extend(service.map(|service| ("service", service)));
    let mut request = http.get(realm).query(&query).timeout(TOKEN_TIMEOUT);
    if let Auth::Password(credentials) = auth {
        request = request.basic_auth(&credentials.username, Some(&credentials.password));
    }
    let response = success(request.send().await?, host).await?;
    let body: TokenResponse = response.json().await?;
    body.token
        .or(body.access_token)
        .context("the response of the token service has no token")
}

#[cfg(test)]
mod tests {
    use super::Challenge;

    #[test]
    fn challenges() {
        let bearer = |realm: &str, service: Option<&str>| Challenge::Bearer {
            realm: realm.to_owned(),
            service: service.map(ToOwned::to_owned),
        };
        let table = [
            ("Basic realm=\"r\"", Some(Challenge::Basic)),
            ("basic", Some(Challenge::Basic)),
            (
                "Bearer realm=\"https://auth.example/token\",service=\"registry\",scope=\"x\"",
                Some(bearer("https://auth.example/token", Some("registry"))),
            ),
            (
                "bearer realm=\"https://auth.example/token\"",
                Some(bearer("https://auth.example/token", None)),
            ),
            ("Bearer service=\"registry\"", None),
            ("Negotiate realm=\"r\"", None),
            ("", None),
        ];
        for (header, challenge) in table {
            assert_eq!(Challenge::parse(header), challenge, "{header}");
        }
    }
}
