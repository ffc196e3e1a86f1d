//! The identity token of the run.

use std::time::Duration;

use anyhow::{Context as _, anyhow};
use backon::{ExponentialBuilder, Retryable as _};
use http_client::TOKEN_LIMIT;
use http_client::header::ACCEPT;
use serde::Deserialize;

use crate::{BadInput, Context, Log, Secret};

/// Three attempts, one and two seconds apart.
const RETRY: ExponentialBuilder = ExponentialBuilder::new()
    .with_min_delay(Duration::from_secs(1))
    .with_max_times(2);

#[derive(Deserialize)]
struct TokenResponse {
    value: String,
}

/// GitHub's OIDC service, as this run may use it. It outlives the context.
#[derive(Clone)]
pub struct Oidc {
    access: Option<(String, Secret)>,
    http: http_client::Client,
    log: Log,
}

impl Context {
    /// GitHub's OIDC service.
    ///
    /// # Errors
    /// When the system's certificates cannot be loaded.
    pub fn oidc(&self) -> anyhow::Result<Oidc> {
        let url = self.env().get("ACTIONS_ID_TOKEN_REQUEST_URL");
        let token = self.env().get("ACTIONS_ID_TOKEN_REQUEST_TOKEN");
        Ok(Oidc {
            access: url
                .zip(token)
                .map(|(url, token)| (url.to_owned(), Secret::new(token, self.log()))),
            http: self.http()?.clone(),
            log: self.log().clone(),
        })
    }
}

/// An error, and whether another attempt may succeed.
struct Failed {
    error: anyhow::Error,
    is_transient: bool,
}

impl Oidc {
    /// A new token for `audience`, masked. It lives five minutes: get one for each use.
    ///
    /// Protocol: `GET $ACTIONS_ID_TOKEN_REQUEST_URL&audience=…` with
    /// `$ACTIONS_ID_TOKEN_REQUEST_TOKEN` as bearer
    /// (docs.github.com/actions/reference/security/oidc).
    ///
    /// # Errors
    /// [`BadInput`] when the job has no permission for a token; otherwise the service's response.
    pub async fn token(&self, audience: &str) -> anyhow::Result<Secret> {
        let Some((url, bearer)) = &self.access else {
            return Err(BadInput(
                "the job cannot get an OIDC token; add `permissions: id-token: write` to the job"
                    .into(),
            )
            .into());
        };
        let mut url =
            url::Url::parse(url).context("failed to read ACTIONS_ID_TOKEN_REQUEST_URL")?;
        url.query_pairs_mut().append_pair("audience", audience);
        let token = (|| self.request(&url, bearer))
            .retry(RETRY)
            .when(|failed: &Failed| failed.is_transient)
            .await;
        token.map_err(|failed| failed.error)
    }

    async fn request(&self, url: &url::Url, bearer: &Secret) -> Result<Secret, Failed> {
        let failed = |error: http_client::Error| Failed {
            is_transient: error.is_transient(),
            error: anyhow::Error::new(error).context("failed to get an OIDC token from GitHub"),
        };
        let response = self
            .http
            .get(url.clone())
            .bearer_auth(bearer.expose())
            .header(ACCEPT, "application/json; api-version=2.0")
            .timeout(Duration::from_secs(30))
            .send()
            .await
            .map_err(failed)?;
        let status = response.status();
        if !status.is_success() {
            return Err(Failed {
                error: anyhow!(
                    "GitHub's OIDC service responded {status} to the request for a token"
                ),
                is_transient: !status.is_client_error(),
            });
        }
        let TokenResponse { value } = response.json(TOKEN_LIMIT).await.map_err(failed)?;
        Ok(Secret::new(value, &self.log))
    }
}
