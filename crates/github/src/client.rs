//! The client of GitHub's REST API.

use anyhow::Context as _;
use octocrab::Octocrab;
use octocrab::service::middleware::retry::RetryConfig;

/// A client of the API at `api_url`.
pub(crate) fn new(http: reqwest::Client, api_url: &str, token: &str) -> anyhow::Result<Octocrab> {
    Octocrab::builder()
        .base_uri(api_url)
        .context("while reading GITHUB_API_URL")?
        .personal_token(token.to_owned())
        // Its own retries come at once, and do not look at Retry-After.
        .add_retry_config(RetryConfig::None)
        .build_with_reqwest(http)
        .context("while preparing the client for GitHub")
}

/// The two parts of `owner/name`.
pub(crate) fn owner_and_name(repository: &str) -> anyhow::Result<(&str, &str)> {
    repository
        .split_once('/')
        .with_context(|| format!("`{repository}` is no `owner/name`"))
}

/// Whether GitHub refused for the token's rights: a fork, Dependabot, or a missing permission.
pub(crate) fn is_refusal(error: &octocrab::Error) -> bool {
    matches!(error, octocrab::Error::GitHub { source, .. } if source.status_code.as_u16() == 403)
}

/// GitHub's own words where it has any: octocrab's error says no more than `GitHub`.
pub(crate) fn words(error: octocrab::Error) -> anyhow::Error {
    match &error {
        octocrab::Error::GitHub { source, .. } => {
            let code = source.status_code.as_u16();
            anyhow::anyhow!("GitHub answered {code} ({})", source.message)
        }
        _ => error.into(),
    }
}
