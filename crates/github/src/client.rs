//! The one client of GitHub's REST API: a repository, a token, a retry policy.

use std::time::Duration;

use actions_toolkit::{Context, Secret};
use anyhow::Context as _;
use backon::{ExponentialBuilder, Retryable as _};
use octocrab::Octocrab;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::request_error::RequestError;
use crate::{Analyses, CodeScanning, Dependencies, Deployments, Issues, PullRequest};

/// Attempts at one request, in all.
const ATTEMPTS: usize = 4;
/// A rate limit that lasts longer is not waited for.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// Timeout of one attempt.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(60);

/// GitHub's REST API for one repository, with one token.
#[derive(Clone)]
pub struct Client {
    crab: Octocrab,
    owner: String,
    name: String,
    pause: Duration,
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

impl Client {
    /// A client for `repository` (`owner/name`) at the API `api_url`.
    ///
    /// # Errors
    /// When the repository or address is malformed.
    pub fn new(
        http: reqwest::Client,
        api_url: &str,
        repository: &str,
        token: &str,
    ) -> anyhow::Result<Self> {
        let (owner, name) = repository
            .split_once('/')
            .with_context(|| format!("invalid repository `{repository}`; expected `owner/name`"))?;
        // octocrab's feature `retry` is off: it repeats at once and ignores Retry-After.
        let crab = Octocrab::builder()
            .base_uri(api_url)
            .with_context(|| format!("invalid `GITHUB_API_URL` `{api_url}`"))?
            .personal_token(token.to_owned())
            .build_with_reqwest(http)
            .context("failed to prepare the client for GitHub")?;
        Ok(Self {
            crab,
            owner: owner.to_owned(),
            name: name.to_owned(),
            pause: Duration::from_secs(1),
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
        Self::new(http, github.api_url(), repository, token.expose()).map(Some)
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

    /// Analyses that were uploaded earlier.
    pub fn analyses(&self) -> Analyses {
        Analyses(self.clone())
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

    pub(crate) fn owner_and_name(&self) -> (&str, &str) {
        (&self.owner, &self.name)
    }

    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, RequestError> {
        let route = self.route(path);
        self.send(Retry::Transient, |crab| {
            let route = route.clone();
            async move { crab.get(route, None::<&()>).await }
        })
        .await
    }

    pub(crate) async fn patch<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, RequestError> {
        let route = self.route(path);
        self.send(Retry::Transient, |crab| {
            let route = route.clone();
            async move { crab.patch(route, Some(body)).await }
        })
        .await
    }

    pub(crate) async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
        retry: Retry,
    ) -> Result<T, RequestError> {
        let route = self.route(path);
        self.send(retry, |crab| {
            let route = route.clone();
            async move { crab.post(route, Some(body)).await }
        })
        .await
    }

    /// `path` below the repository.
    pub(crate) fn route(&self, path: &str) -> String {
        format!("/repos/{}/{}/{path}", self.owner, self.name)
    }

    /// Send a request, again as far as `retry` says.
    pub(crate) async fn send<T, F>(
        &self,
        retry: Retry,
        request: impl Fn(Octocrab) -> F,
    ) -> Result<T, RequestError>
    where
        F: Future<Output = octocrab::Result<T>>,
    {
        let mut attempt = 0;
        let once = || {
            let response = tokio::time::timeout(TIMEOUT, request(self.crab.clone()));
            async move {
                match response.await {
                    Ok(response) => Ok(response?),
                    Err(_) => Err(RequestError::TimedOut),
                }
            }
        };
        let backoff = ExponentialBuilder::new()
            .with_min_delay(self.pause)
            .with_max_delay(LONGEST_PAUSE)
            .with_max_times(ATTEMPTS - 1);
        once.retry(backoff)
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
