//! Sending a request: authentication when the registry requires it, and retries.

use std::borrow::Cow;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable as _};
use http_client::header::{ACCEPT, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, RANGE};
use http_client::{Method, Redirects, Response, StatusCode, Url, is_local};

use super::auth::Authorization;
use super::response::{Failed, available};
use super::{RawManifest, Registry};
use crate::hosts::{DOCKER_HUB_API, is_docker_hub, path_in_api};

const MANIFESTS: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json";
const TIMEOUT: Duration = Duration::from_secs(60);

/// A request to a registry.
pub(super) struct ApiRequest<'a> {
    pub(super) method: Method,
    /// Below `/v2/`.
    pub(super) path: String,
    /// What its token must allow: `repository:app:pull`.
    pub(super) scope: String,
    pub(super) body: Option<&'a RawManifest>,
    /// The value of the `Range` header.
    pub(super) range: Option<String>,
    pub(super) timeout: Duration,
}

impl ApiRequest<'_> {
    pub(super) fn new(method: Method, path: String, scope: String) -> Self {
        Self {
            method,
            path,
            scope,
            body: None,
            range: None,
            timeout: TIMEOUT,
        }
    }

    // Registries redirect reads to where their content is stored. The credentials stay behind.
    fn redirects(&self) -> Redirects {
        match self.method {
            Method::GET | Method::HEAD => Redirects::Reads,
            _ => Redirects::Refused,
        }
    }
}

/// Delays of 0.5, 1, 2 … seconds between `attempts`.
pub(super) fn retry_policy(attempts: usize) -> ExponentialBuilder {
    ExponentialBuilder::new()
        .with_min_delay(Duration::from_millis(500))
        .with_factor(2.0)
        .with_max_times(attempts.saturating_sub(1))
}

/// The URL of the registry `host`; plain HTTP is only for a registry on this machine, and Docker Hub's API is on another
/// host than its name.
pub(super) fn base_url(host: &str) -> String {
    if is_docker_hub(host) {
        return format!("https://{DOCKER_HUB_API}");
    }
    let http = format!("http://{host}");
    if Url::parse(&http).is_ok_and(|url| is_local(&url)) {
        http
    } else {
        format!("https://{host}")
    }
}

impl Registry {
    /// A request for `path` below `repository`, with a token that allows reading it.
    pub(super) fn pull<'a>(&self, method: Method, repository: &str, path: &str) -> ApiRequest<'a> {
        let repository = self.name_in_api(repository);
        let scope = format!("repository:{repository}:pull");
        ApiRequest::new(method, format!("{repository}/{path}"), scope)
    }

    /// The same with a token that allows pushing to it.
    pub(super) fn push<'a>(&self, method: Method, repository: &str, path: &str) -> ApiRequest<'a> {
        let (scope, repository) = (self.push_scope(repository), self.name_in_api(repository));
        ApiRequest::new(method, format!("{repository}/{path}"), scope)
    }

    pub(super) fn push_scope(&self, repository: &str) -> String {
        format!("repository:{}:pull,push", self.name_in_api(repository))
    }

    fn name_in_api<'r>(&self, repository: &'r str) -> Cow<'r, str> {
        path_in_api(Some(&self.host), repository)
    }

    /// What the registry accepted for `scope` before, unless it has expired.
    pub(super) fn known_authorization(&self, scope: &str) -> Option<Authorization> {
        let known = self.authorizations.lock();
        let known = known.unwrap_or_else(PoisonError::into_inner);
        let known = known.get(scope).cloned();
        known.filter(Authorization::is_valid)
    }

    /// The registry accepts `authorization` for `scope`; with `None`, it no longer accepts the known one.
    pub(super) fn remember(&self, scope: &str, authorization: Option<Authorization>) {
        let known = self.authorizations.lock();
        let mut known = known.unwrap_or_else(PoisonError::into_inner);
        match authorization {
            Some(authorization) => known.insert(scope.to_owned(), authorization),
            None => known.remove(scope),
        };
    }

    /// The response to `request`, of any status; 429, 5xx and a lost connection are retried first.
    pub(super) async fn send(&self, request: ApiRequest<'_>) -> anyhow::Result<Response> {
        let is_authorized = AtomicBool::new(false);
        let result = (|| self.attempt(&request, &is_authorized))
            .retry(retry_policy(self.attempts))
            .when(Failed::is_transient)
            .adjust(|failed, delay| delay.map(|delay| failed.retry_after().unwrap_or(delay)))
            .await;
        match result {
            Ok(response) => Ok(response),
            Err(failed) => failed.into_response(&self.host),
        }
    }

    // All attempts at a request get one authorization: a registry that rejects it will reject a second one, too.
    async fn attempt(
        &self,
        request: &ApiRequest<'_>,
        is_authorized: &AtomicBool,
    ) -> Result<Response, Failed> {
        let known = self.known_authorization(&request.scope);
        let response = self.send_once(request, known.as_ref()).await?;
        if !self.is_challenge(&response) || is_authorized.swap(true, Ordering::Relaxed) {
            return available(response);
        }
        let authorization = self.authorize(response.headers(), &request.scope).await;
        let authorization = authorization.map_err(Failed::Other)?;
        if known.is_some_and(|known| known.value() == authorization.value()) {
            return Ok(response);
        }
        let response = self.send_once(request, Some(&authorization)).await?;
        if !self.is_challenge(&response) {
            self.remember(&request.scope, Some(authorization));
        }
        available(response)
    }

    /// Whether the registry itself requires credentials. A host that it redirects to gets none.
    pub(super) fn is_challenge(&self, response: &Response) -> bool {
        response.status() == StatusCode::UNAUTHORIZED
            && !response.is_redirected()
            && self.owns(response.url())
    }

    async fn send_once(
        &self,
        request: &ApiRequest<'_>,
        authorization: Option<&Authorization>,
    ) -> Result<Response, Failed> {
        let url = self.base().map_err(Failed::Other)?;
        let url = format!("{url}{}", request.path);
        let mut sent = self
            .http
            .request(request.method.clone(), &url)
            .redirects(request.redirects())
            .timeout(request.timeout);
        if request.path.contains("/manifests/") {
            sent = sent.header(ACCEPT, MANIFESTS);
        }
        if let Some(range) = &request.range {
            sent = sent.header(RANGE, range);
        }
        if let Some(authorization) = authorization {
            sent = sent.header(AUTHORIZATION, authorization.value());
        }
        if let Some(manifest) = request.body {
            sent = sent
                .header(CONTENT_TYPE, &manifest.media_type)
                .body(manifest.bytes.clone());
        } else if request.method == Method::POST {
            sent = sent.header(CONTENT_LENGTH, "0");
        }
        sent.send().await.map_err(Failed::Transport)
    }
}

#[cfg(test)]
mod tests;
