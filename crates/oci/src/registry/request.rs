//! Sending a request: authentication when the registry requires it, and retries.

use std::sync::PoisonError;
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable as _};
use reqwest::header::{
    ACCEPT, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, RANGE, WWW_AUTHENTICATE,
};
use reqwest::{Method, Response, StatusCode};

use super::response::{Failed, available, header};
use super::{RawManifest, Registry, auth};

const MANIFESTS: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json";
const TIMEOUT: Duration = Duration::from_secs(60);

/// A request to a registry.
pub(super) struct ApiRequest<'a> {
    pub(super) method: Method,
    /// Below `/v2/`.
    pub(super) path: &'a str,
    /// What its token must allow: `repository:app:pull`.
    pub(super) scope: String,
    pub(super) body: Option<&'a RawManifest>,
    /// The value of the `Range` header.
    pub(super) range: Option<String>,
    pub(super) timeout: Duration,
}

impl<'a> ApiRequest<'a> {
    pub(super) fn new(method: Method, path: &'a str, scope: &str) -> Self {
        Self {
            method,
            path,
            scope: scope.to_owned(),
            body: None,
            range: None,
            timeout: TIMEOUT,
        }
    }

    pub(super) fn pull(method: Method, path: &'a str, repository: &str) -> Self {
        Self::new(method, path, &format!("repository:{repository}:pull"))
    }

    pub(super) fn push(method: Method, path: &'a str, repository: &str) -> Self {
        Self::new(method, path, &push_scope(repository))
    }
}

pub(super) fn push_scope(repository: &str) -> String {
    format!("repository:{repository}:pull,push")
}

/// Delays of 0.5, 1, 2 … seconds between `attempts`.
pub(super) fn retry_policy(attempts: usize) -> ExponentialBuilder {
    ExponentialBuilder::new()
        .with_min_delay(Duration::from_millis(500))
        .with_factor(2.0)
        .with_max_times(attempts.saturating_sub(1))
}

/// The URL of the registry `host`; plain HTTP is only for a registry on this machine.
pub(super) fn base_url(host: &str) -> String {
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    let local = name == "localhost"
        || name
            .parse::<std::net::IpAddr>()
            .is_ok_and(|ip| ip.is_loopback());
    format!("{}://{host}", if local { "http" } else { "https" })
}

impl Registry {
    /// The `Authorization` header that the registry accepted for `scope` before.
    pub(super) fn known_authorization(&self, scope: &str) -> Option<String> {
        let known = self.authorizations.lock();
        known
            .unwrap_or_else(PoisonError::into_inner)
            .get(scope)
            .cloned()
    }

    /// The response to `request`, of any status; 429, 5xx and a lost connection are retried first.
    pub(super) async fn send(&self, request: ApiRequest<'_>) -> anyhow::Result<Response> {
        let result = (|| self.attempt(&request))
            .retry(retry_policy(self.attempts))
            .when(|failed| match failed {
                Failed::Unavailable(_) => true,
                Failed::Transport(e) => e.is_connect() || e.is_timeout() || e.is_request(),
                Failed::Other(_) => false,
            })
            .adjust(|failed, delay| delay.map(|delay| failed.retry_after().unwrap_or(delay)))
            .await;
        match result {
            Ok(response) => Ok(response),
            Err(Failed::Unavailable(response)) => Ok(*response),
            Err(Failed::Transport(e)) if e.is_connect() => {
                let what = format!(
                    "`{}` is unreachable; check that it is up and that this runner can reach it",
                    self.host
                );
                Err(anyhow::Error::new(e).context(what))
            }
            Err(Failed::Transport(e)) => Err(e.into()),
            Err(Failed::Other(e)) => Err(e),
        }
    }

    async fn attempt(&self, request: &ApiRequest<'_>) -> Result<Response, Failed> {
        let known = self.known_authorization(&request.scope);
        let response = self.send_once(request, known).await?;
        if response.status() != StatusCode::UNAUTHORIZED {
            return available(response);
        }
        let challenge = header(response.headers(), WWW_AUTHENTICATE.as_str()).unwrap_or_default();
        let authorization = auth::authorization(
            &self.http,
            &self.host,
            &self.auth,
            &challenge,
            &request.scope,
        );
        let authorization = authorization.await.map_err(Failed::Other)?;
        self.authorizations
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(request.scope.clone(), authorization.clone());
        available(self.send_once(request, Some(authorization)).await?)
    }

    async fn send_once(
        &self,
        request: &ApiRequest<'_>,
        authorization: Option<String>,
    ) -> Result<Response, Failed> {
        let url = format!("{}/v2/{}", base_url(&self.host), request.path);
        let mut builder = self
            .http
            .request(request.method.clone(), &url)
            .timeout(request.timeout);
        if request.path.contains("/manifests/") {
            builder = builder.header(ACCEPT, MANIFESTS);
        }
        if let Some(range) = &request.range {
            builder = builder.header(RANGE, range);
        }
        if let Some(authorization) = authorization {
            builder = builder.header(AUTHORIZATION, authorization);
        }
        if let Some(manifest) = request.body {
            builder = builder
                .header(CONTENT_TYPE, &manifest.media_type)
                .body(manifest.bytes.clone());
        } else if request.method == Method::POST {
            builder = builder.header(CONTENT_LENGTH, 0);
        }
        builder.send().await.map_err(Failed::Transport)
    }
}

#[cfg(test)]
mod tests;
