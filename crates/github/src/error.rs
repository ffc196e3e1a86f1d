//! Why the Security tab does not have the findings.

use std::time::Duration;

use serde_json::Value;

/// Why the Security tab does not have the findings; each message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// The repository has no code scanning.
    #[error(
        "code scanning is not enabled for this repository ({0}): enable it in the settings, or set `upload: false`"
    )]
    NotEnabled(String),
    /// The token may not do it: a fork, Dependabot, or a missing permission.
    #[error(
        "the token may not upload ({0}): give the job `permissions: security-events: write` (runs for forks and Dependabot cannot have it)"
    )]
    NotPermitted(String),
    /// The token is none of GitHub's, or no longer.
    #[error("GitHub does not take the token ({0}): check the input `token`")]
    BadToken(String),
    /// The repository is not there for this token.
    #[error(
        "GitHub has no such repository for this token ({0}): check the input `token` and GITHUB_API_URL"
    )]
    NotFound(String),
    /// The file is too large.
    #[error("the SARIF file is too large for GitHub ({0})")]
    TooLarge(String),
    /// Too many requests.
    #[error("GitHub's limit of requests is used up ({message}); {}", when(*.retry_after))]
    RateLimited {
        /// When to come again, as far as GitHub said.
        retry_after: Option<Duration>,
        /// GitHub's own words.
        message: String,
    },
    /// GitHub read the file or the request and refused it.
    #[error("GitHub refused the SARIF file: {}", .0.join("; "))]
    Rejected(Vec<String>),
    /// GitHub failed, or did not answer, also when asked again.
    #[error("GitHub could not be reached or failed: {0}")]
    Unavailable(String),
    /// Anything else.
    #[error(transparent)]
    Other(#[from] anyhow::Error),
}

fn when(retry_after: Option<Duration>) -> String {
    retry_after.map_or_else(
        || "try again later".to_owned(),
        |wait| format!("try again in {} s", wait.as_secs()),
    )
}

impl UploadError {
    /// Whether it lies in how the repository or run is set up, and no verdict depends on it.
    pub fn is_setting(&self) -> bool {
        matches!(self, Self::NotEnabled(_) | Self::NotPermitted(_))
    }

    /// Whether another attempt may succeed, and how many make sense.
    ///
    /// GitHub's own uploader asks again after 401, 403 and 404 as well: authentication fails now and then
    /// for no reason (`src/api-client.ts` of codeql-action).
    pub(crate) fn attempts(&self) -> u32 {
        match self {
            Self::Unavailable(_) | Self::RateLimited { .. } => 4,
            Self::BadToken(_) | Self::NotFound(_) => 2,
            _ => 1,
        }
    }
}

// GitHub's sentences for a repository without code scanning.
const OFF: &[&str] = &[
    "code security must be enabled",
    "advanced security must be enabled",
    "code scanning is not enabled",
];

impl From<octocrab::Error> for UploadError {
    fn from(error: octocrab::Error) -> Self {
        let octocrab::Error::GitHub { source, .. } = &error else {
            // Its own words are in its sources: `GitHub` is all that it says itself.
            return Self::Unavailable(format!("{:#}", anyhow::Error::new(error)));
        };
        let header = |name: &str| -> Option<u64> {
            let headers = source.headers.as_ref()?;
            headers.get(name)?.to_str().ok()?.parse().ok()
        };
        let message = source.message.clone();
        let lower = message.to_lowercase();
        let limited = lower.contains("rate limit") || header("x-ratelimit-remaining") == Some(0);
        match source.status_code.as_u16() {
            403 if OFF.iter().any(|sign| lower.contains(sign)) => Self::NotEnabled(message),
            429 | 403 if source.status_code == 429 || limited => Self::RateLimited {
                retry_after: header("retry-after")
                    .or_else(|| Some(header("x-ratelimit-reset")?.saturating_sub(now())))
                    .map(Duration::from_secs),
                message,
            },
            403 => Self::NotPermitted(message),
            401 => Self::BadToken(message),
            404 => Self::NotFound(message),
            413 => Self::TooLarge(message),
            400 | 410 | 422 | 451 => {
                let details = source.errors.iter().flatten().map(|detail| match detail {
                    Value::String(text) => text.clone(),
                    other => other.to_string(),
                });
                Self::Rejected(std::iter::once(message).chain(details).collect())
            }
            code => Self::Unavailable(format!("{code} {message}")),
        }
    }
}

fn now() -> u64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}
