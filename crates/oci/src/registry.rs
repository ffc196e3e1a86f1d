//! A client of the OCI distribution API.
//!
//! Protocol: github.com/opencontainers/distribution-spec (v1.1); tokens:
//! distribution.github.io/distribution/spec/auth/token.

mod catalog;
mod content;

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, bail};
use reqwest::header::{
    ACCEPT, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, RANGE, RETRY_AFTER,
    WWW_AUTHENTICATE,
};
use reqwest::{Method, Response, StatusCode};
use serde::Deserialize;

use crate::Digest;

const MANIFESTS: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json";
const ANSWER_LIMIT: Duration = Duration::from_secs(60);
const ATTEMPTS: u32 = 4;

/// A user name and password for a registry.
#[derive(Clone)]
pub struct Credentials {
    /// The user name.
    pub username: String,
    /// The password or token.
    pub password: String,
}

/// How to sign in to a registry.
#[derive(Clone)]
pub enum Auth {
    /// Not at all.
    Anonymous,
    /// By user name and password, at the registry or at the token service that it names.
    Basic(Credentials),
}

/// A registry.
pub struct Registry {
    http: reqwest::Client,
    host: String,
    auth: Auth,
    // What was shown last, by scope: blobs by the hundred need one token.
    shown: Mutex<HashMap<String, String>>,
    attempts: u32,
}

// A request to a registry.
struct Ask<'a> {
    method: Method,
    /// Below `/v2/`.
    path: &'a str,
    scope: String,
    body: Option<&'a RawManifest>,
    range: Option<String>,
    limit: Duration,
}

impl<'a> Ask<'a> {
    fn new(method: Method, path: &'a str, scope: &str) -> Self {
        Self {
            method,
            path,
            scope: scope.to_owned(),
            body: None,
            range: None,
            limit: ANSWER_LIMIT,
        }
    }

    fn pull(method: Method, path: &'a str, repository: &str) -> Self {
        Self::new(method, path, &format!("repository:{repository}:pull"))
    }

    fn push(method: Method, path: &'a str, repository: &str) -> Self {
        Self::new(method, path, &format!("repository:{repository}:pull,push"))
    }
}

/// A manifest as the registry holds it.
#[derive(Debug, Clone)]
pub struct RawManifest {
    /// Its digest.
    pub digest: Digest,
    /// Its media type.
    pub media_type: String,
    /// Its bytes: the digest is theirs.
    pub bytes: Vec<u8>,
}

/// What a registry answered instead of what it was asked for.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct Refused {
    message: String,
    /// When it asks to come again.
    pub retry_after: Option<Duration>,
}

#[derive(Deserialize)]
struct Token {
    token: Option<String>,
    access_token: Option<String>,
}

impl Registry {
    /// The registry at `host` (with its port, if any).
    pub fn new(http: reqwest::Client, host: &str, auth: Auth) -> Self {
        Self {
            http,
            host: host.to_owned(),
            auth,
            shown: Mutex::default(),
            attempts: ATTEMPTS,
        }
    }

    /// Ask once: whoever has another registry to ask does not wait for this one.
    #[must_use]
    pub fn without_retries(self) -> Self {
        Self {
            attempts: 1,
            ..self
        }
    }

    /// Its host.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The manifest of `repository` under `reference` (a tag or digest); `None` if there is none.
    ///
    /// # Errors
    /// With what the registry answered, when that is neither a manifest nor "not found".
    pub async fn manifest(
        &self,
        repository: &str,
        reference: &str,
    ) -> anyhow::Result<Option<RawManifest>> {
        let what = format!("while reading `{}/{repository}:{reference}`", self.host);
        let path = format!("{repository}/manifests/{reference}");
        let answer = self
            .send(Ask::pull(Method::GET, &path, repository))
            .await
            .context(what.clone())?;
        if answer.status() == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        let answer = checked(answer, &self.host).await.context(what.clone())?;
        let media_type = header(answer.headers(), CONTENT_TYPE.as_str()).unwrap_or_default();
        let bytes = answer.bytes().await.context(what)?.to_vec();
        Ok(Some(RawManifest {
            digest: Digest::sha256(&bytes),
            media_type,
            bytes,
        }))
    }

    /// Let `tag` of `repository` point to `manifest`, which the repository has already.
    ///
    /// # Errors
    /// With what the registry answered.
    pub async fn tag(
        &self,
        repository: &str,
        tag: &str,
        manifest: &RawManifest,
    ) -> anyhow::Result<()> {
        self.put(repository, tag, manifest).await.map(drop)
    }

    async fn put(
        &self,
        repository: &str,
        reference: &str,
        manifest: &RawManifest,
    ) -> anyhow::Result<Response> {
        let what = format!("while tagging `{}/{repository}:{reference}`", self.host);
        let path = format!("{repository}/manifests/{reference}");
        let mut ask = Ask::push(Method::PUT, &path, repository);
        ask.body = Some(manifest);
        let answer = self.send(ask).await.context(what.clone())?;
        checked(answer, &self.host).await.context(what)
    }

    // What to show for a request that was let through before.
    fn signed_in(&self, ask: &Ask<'_>) -> Option<String> {
        let shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        shown.get(&ask.scope).cloned()
    }

    // Send; on a challenge sign in and send again; on 429 and 5xx wait and send again.
    async fn send(&self, ask: Ask<'_>) -> anyhow::Result<Response> {
        let url = format!("{}/v2/{}", base(&self.host), ask.path);
        let mut authorization = self.signed_in(&ask);
        let mut signed_in = false;
        let mut attempt = 1;
        loop {
            let mut request = self
                .http
                .request(ask.method.clone(), &url)
                .timeout(ask.limit);
            if ask.path.contains("/manifests/") {
                request = request.header(ACCEPT, MANIFESTS);
            }
            if let Some(range) = &ask.range {
                request = request.header(RANGE, range);
            }
            if let Some(authorization) = &authorization {
                request = request.header(AUTHORIZATION, authorization);
            }
            if let Some(manifest) = ask.body {
                request = request
                    .header(CONTENT_TYPE, &manifest.media_type)
                    .body(manifest.bytes.clone());
            } else if ask.method == Method::POST {
                request = request.header(CONTENT_LENGTH, 0);
            }
            let answer = request.send().await;
            let wait = match answer {
                Ok(answer) if answer.status() == StatusCode::UNAUTHORIZED && !signed_in => {
                    let challenge =
                        header(answer.headers(), WWW_AUTHENTICATE.as_str()).unwrap_or_default();
                    let new = self.sign_in(&challenge, &ask.scope).await?;
                    let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
                    shown.insert(ask.scope.clone(), new.clone());
                    (authorization, signed_in) = (Some(new), true);
                    continue;
                }
                Ok(answer) if attempt < self.attempts && is_passing(answer.status()) => {
                    retry_after(answer.headers())
                }
                Err(e)
                    if attempt < self.attempts
                        && (e.is_connect() || e.is_timeout() || e.is_request()) =>
                {
                    None
                }
                Err(e) if e.is_connect() => {
                    let cure = format!("is `{}` up, and can this runner reach it?", self.host);
                    return Err(anyhow::Error::new(e).context(cure));
                }
                answer => return Ok(answer?),
            };
            let wait = wait.unwrap_or(Duration::from_millis(250 << attempt));
            tokio::time::sleep(wait).await;
            attempt += 1;
        }
    }

    async fn sign_in(&self, challenge: &str, scope: &str) -> anyhow::Result<String> {
        use base64::Engine as _;
        let (scheme, rest) = challenge.split_once(' ').unwrap_or((challenge, ""));
        if scheme.eq_ignore_ascii_case("basic") {
            let Auth::Basic(credentials) = &self.auth else {
                bail!("`{}` wants a user name and password", self.host);
            };
            let pair = format!("{}:{}", credentials.username, credentials.password);
            return Ok(format!(
                "Basic {}",
                base64::engine::general_purpose::STANDARD.encode(pair)
            ));
        }
        let parameter = |name: &str| {
            let (_, rest) = rest.split_once(&format!("{name}=\""))?;
            Some(rest.split_once('"')?.0.to_owned())
        };
        let Some(realm) = parameter("realm").filter(|_| scheme.eq_ignore_ascii_case("bearer"))
        else {
            bail!(
                "`{}` asks for a kind of sign-in that is not known: `{challenge}`",
                self.host
            );
        };
        let mut query = vec![("scope", scope.to_owned())];
        query.extend(parameter("service").map(|service| ("service", service)));
        let mut request = self.http.get(&realm).query(&query).timeout(ANSWER_LIMIT);
        if let Auth::Basic(credentials) = &self.auth {
            request = request.basic_auth(&credentials.username, Some(&credentials.password));
        }
        let answer = request
            .send()
            .await
            .with_context(|| format!("while signing in at `{realm}`"))?;
        let answer = checked(answer, &self.host)
            .await
            .with_context(|| format!("while signing in at `{realm}`"))?;
        let token: Token = answer
            .json()
            .await
            .with_context(|| format!("while signing in at `{realm}`"))?;
        let token = token
            .token
            .or(token.access_token)
            .context("the token service answered without a token")?;
        Ok(format!("Bearer {token}"))
    }
}

// Plain HTTP is for this machine alone.
fn base(host: &str) -> String {
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    let local = name == "localhost"
        || name
            .parse::<std::net::IpAddr>()
            .is_ok_and(|ip| ip.is_loopback());
    format!("{}://{host}", if local { "http" } else { "https" })
}

// RFC 9110, section 10.2.3, in its form of seconds; a minute at most.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds: u64 = header(headers, RETRY_AFTER.as_str())?.parse().ok()?;
    Some(Duration::from_secs(seconds.min(60)))
}

fn is_passing(status: StatusCode) -> bool {
    status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error()
}

fn header(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name)?.to_str().ok().map(ToOwned::to_owned)
}

async fn checked(answer: Response, host: &str) -> anyhow::Result<Response> {
    let status = answer.status();
    if status.is_success() {
        return Ok(answer);
    }
    let retry_after = retry_after(answer.headers());
    let body = answer.text().await.unwrap_or_default();
    let said = serde_json::from_str::<serde_json::Value>(&body)
        .ok()
        .and_then(|json| {
            json.pointer("/errors/0/message")?
                .as_str()
                .map(ToOwned::to_owned)
        })
        .map_or_else(String::new, |message| format!(": {message}"));
    let cure = match status {
        StatusCode::UNAUTHORIZED => "; check the registry's credentials",
        StatusCode::FORBIDDEN => {
            "; the identity lacks the right to this repository (role AcrPush or AcrPull)"
        }
        _ => "",
    };
    Err(Refused {
        message: format!("`{host}` answered {status}{said}{cure}"),
        retry_after,
    }
    .into())
}

#[cfg(test)]
mod tests;
