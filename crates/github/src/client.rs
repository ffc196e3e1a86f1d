//! The one client of GitHub's REST API: a repository, a token, a retry policy.

use std::sync::Arc;
use std::time::Duration;

use actions_toolkit::{Context, Redactor, Secret};
use anyhow::Context as _;
use backon::{ExponentialBuilder, Retryable as _};
use bytes::Bytes;
use http::Request;
use http_body_util::BodyExt as _;
use http_client::header::{ACCEPT, CONTENT_TYPE, HeaderName};
use http_client::{Method, Url};
use octocrab::Octocrab;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::OnceCell;

use crate::account::Account;
use crate::request_error::RequestError;
use crate::transport::{Limit, octocrab};
use crate::{Alerts, Analyses, CodeScanning, Dependencies, Deployments, Issues, PullRequest};

/// Attempts at one request, in all.
const ATTEMPTS: usize = 4;
/// A rate limit that lasts longer is not waited for.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// Timeout of one attempt.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(60);
/// The most bytes of a response: a hundred comments of 65,536 characters, of up to four bytes each.
pub(crate) const LIMIT: u64 = 32 * 1024 * 1024;
/// GitHub's own media type (docs.github.com/rest/using-the-rest-api/getting-started-with-the-rest-api).
pub const MEDIA_TYPE: &str = "application/vnd.github+json";
/// The header with the version of the API that requests are written for (docs.github.com/rest/about-the-rest-api/api-versions).
pub const API_VERSION: (HeaderName, &str) = (
    HeaderName::from_static("x-github-api-version"),
    "2022-11-28",
);

/// GitHub's REST API for one repository, with one token.
#[derive(Clone)]
pub struct Client {
    crab: Octocrab,
    /// What keeps secrets out of what is sent.
    redactor: Redactor,
    /// Without a slash at its end.
    base: String,
    pub(crate) owner: String,
    pub(crate) name: String,
    pause: Duration,
    /// The account of the token, once it is known.
    pub(crate) account: Arc<OnceCell<Account>>,
}

/// A request.
pub(crate) struct Call {
    method: Method,
    url: String,
    accept: &'static str,
    /// As JSON.
    body: Option<Bytes>,
    /// The most bytes of the response.
    limit: u64,
}

/// Which failures of a request are worth another attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Retry {
    /// None: the caller polls.
    Never,
    /// A rate limit only: after any other failure GitHub may have made the comment, issue or deployment, and a second
    /// one would follow.
    RateLimit,
    /// A rate limit, and other transient failures.
    Transient,
    /// 401 and 404 too, once. GitHub's own uploader does so as well: authentication fails now and then for no reason
    /// (`src/api-client.ts` of codeql-action).
    Upload,
}

impl Call {
    /// A `GET` of `url`.
    pub(crate) fn get(url: String) -> Self {
        Self {
            method: Method::GET,
            url,
            accept: MEDIA_TYPE,
            body: None,
            limit: LIMIT,
        }
    }

    /// For the media type `accept`, `limit` bytes of it at most.
    pub(crate) fn accept(self, accept: &'static str, limit: u64) -> Self {
        Self {
            accept,
            limit,
            ..self
        }
    }
}

impl Client {
    /// A client for `repository` (`owner/name`) at the API `api_url`.
    ///
    /// # Errors
    /// When the repository or address is malformed.
    pub fn new(
        http: http_client::Client,
        api_url: &str,
        repository: &str,
        token: &str,
    ) -> anyhow::Result<Self> {
        let (owner, name) = repository
            .split_once('/')
            .with_context(|| format!("invalid repository `{repository}`; expected `owner/name`"))?;
        Url::parse(api_url).with_context(|| format!("invalid `GITHUB_API_URL` `{api_url}`"))?;
        Ok(Self {
            crab: octocrab(http, token),
            redactor: Redactor::default(),
            base: api_url.trim_end_matches('/').to_owned(),
            owner: owner.to_owned(),
            name: name.to_owned(),
            pause: Duration::from_secs(1),
            account: Arc::default(),
        })
    }

    /// A client for the repository of the run, at the API that the run names; `None` outside of a workflow run.
    ///
    /// # Errors
    /// When the repository or address is malformed, or no HTTP client is available.
    pub fn from_context(ctx: &Context, token: &Secret) -> anyhow::Result<Option<Self>> {
        let github = ctx.github();
        let Some(repository) = github.repository() else {
            return Ok(None);
        };
        let http = ctx.http()?.clone();
        let client = Self::new(http, github.api_url(), repository, token.expose())?;
        Ok(Some(Self {
            redactor: ctx.log().redactor().clone(),
            ..client
        }))
    }

    /// Pause for `pause` before the second attempt at a request (a second by default); it doubles with each further one.
    #[must_use]
    pub fn with_retry_pause(self, pause: Duration) -> Self {
        Self { pause, ..self }
    }

    /// SARIF uploads.
    pub fn code_scanning(&self) -> CodeScanning {
        CodeScanning::new(self.clone())
    }

    /// Its alerts.
    pub fn alerts(&self) -> Alerts {
        Alerts(self.clone())
    }

    /// Analyses that were uploaded earlier.
    pub fn analyses(&self) -> Analyses {
        Analyses::new(self.clone())
    }

    /// The pull request `number`.
    pub fn pull_request(&self, number: u64) -> PullRequest {
        PullRequest {
            client: self.clone(),
            number,
        }
    }

    /// The issues of the repository.
    pub fn issues(&self) -> Issues {
        Issues(self.clone())
    }

    /// The deployments of the repository.
    pub fn deployments(&self) -> Deployments {
        Deployments(self.clone())
    }

    /// The dependency graph of the repository.
    pub fn dependencies(&self) -> Dependencies {
        Dependencies(self.clone())
    }

    /// The root of the API, without a slash at its end.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// `path` below the repository.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}/repos/{}/{}/{path}", self.base, self.owner, self.name)
    }

    /// A request with `body` as JSON. No secret that the run knows is in it.
    ///
    /// # Errors
    /// When it can't be serialized.
    pub(crate) fn call(
        &self,
        method: Method,
        url: String,
        body: &impl Serialize,
    ) -> Result<Call, RequestError> {
        let body = serde_json::to_vec(body).map_err(RequestError::Body)?;
        let body = self.redactor.redacted(body);
        Ok(Call {
            method,
            body: Some(body.into_bytes().into()),
            ..Call::get(url)
        })
    }

    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, RequestError> {
        let call = Call::get(self.url(path));
        self.send(&call, Retry::Transient).await
    }

    pub(crate) async fn patch<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, RequestError> {
        let call = self.call(Method::PATCH, self.url(path), body)?;
        self.send(&call, Retry::Transient).await
    }

    pub(crate) async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
        retry: Retry,
    ) -> Result<T, RequestError> {
        let call = self.call(Method::POST, self.url(path), body)?;
        self.send(&call, retry).await
    }

    /// Send a request, again as far as `retry` says.
    pub(crate) async fn send<T: DeserializeOwned>(
        &self,
        call: &Call,
        retry: Retry,
    ) -> Result<T, RequestError> {
        let mut attempt = 0;
        let backoff = ExponentialBuilder::new()
            .with_min_delay(self.pause)
            .with_max_delay(LONGEST_PAUSE)
            .with_max_times(ATTEMPTS - 1);
        (|| self.attempt(call))
            .retry(backoff)
            .when(|error| {
                attempt += 1;
                attempt < attempts(error, retry)
            })
            .adjust(|error: &RequestError, pause| {
                error
                    .retry_after()
                    .or(pause)
                    .filter(|pause| *pause <= LONGEST_PAUSE)
            })
            .await
    }

    async fn attempt<T: DeserializeOwned>(&self, call: &Call) -> Result<T, RequestError> {
        let (version, number) = API_VERSION;
        let mut request = Request::builder()
            .method(call.method.clone())
            .uri(&call.url)
            .header(ACCEPT, call.accept)
            .header(version, number)
            .extension(Limit(call.limit));
        if call.body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let request = request.body(call.body.clone().unwrap_or_default())?;
        let (parts, body) = self.crab.execute(request).await?.into_parts();
        let body = body.collect().await?.to_bytes();
        if parts.status.is_success() {
            serde_json::from_slice(&body).map_err(|error| RequestError::not_json(&call.url, error))
        } else {
            Err(RequestError::from_response(
                parts.status,
                &parts.headers,
                &body,
            ))
        }
    }
}

fn attempts(error: &RequestError, retry: Retry) -> usize {
    let status = error.status();
    match retry {
        Retry::Never => 1,
        _ if error.is_rate_limit() => ATTEMPTS,
        Retry::Transient | Retry::Upload if error.is_transient() => ATTEMPTS,
        Retry::Upload if matches!(status, Some(401 | 404)) => 2,
        _ => 1,
    }
}
