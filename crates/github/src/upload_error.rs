//! Why the Security tab does not have the findings.

use std::time::Duration;

use crate::request_error::RequestError;

/// Why the Security tab does not have the findings; each message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// The repository has no code scanning.
    #[error(
        "code scanning is not enabled for this repository ({0}); enable it in the settings, or set `upload: false`"
    )]
    NotEnabled(String),
    /// The token lacks a permission: a fork, Dependabot, or `permissions` of the job.
    #[error(
        "the token may not upload ({0}); give the job `permissions: security-events: write` (runs for forks and Dependabot cannot have it)"
    )]
    NotPermitted(String),
    /// The token is not valid, or no longer.
    #[error("GitHub rejected the token ({0}); check the input `token`")]
    BadToken(String),
    /// The repository does not exist for this token.
    #[error(
        "the repository does not exist for this token ({0}); check the input `token` and `GITHUB_API_URL`"
    )]
    NotFound(String),
    /// The file is too large.
    #[error("the SARIF file is too large for GitHub ({0})")]
    TooLarge(String),
    /// Too many requests.
    #[error("GitHub's rate limit is exhausted ({message}); {}", when(*.retry_after))]
    RateLimited {
        /// When to try again, as far as GitHub reported it.
        retry_after: Option<Duration>,
        /// GitHub's message.
        message: String,
    },
    /// GitHub rejected the file or the request.
    #[error("GitHub rejected the SARIF file: {}", .0.join("; "))]
    Rejected(Vec<String>),
    /// GitHub failed or did not respond, in each attempt.
    #[error("GitHub is unavailable: {0}")]
    Unavailable(String),
}

fn when(retry_after: Option<Duration>) -> String {
    retry_after.map_or_else(
        || "try again later".to_owned(),
        |wait| format!("try again in {}s", wait.as_secs()),
    )
}

impl UploadError {
    /// Whether it lies in how the repository or run is set up, and no verdict depends on it.
    pub fn is_setting(&self) -> bool {
        matches!(self, Self::NotEnabled(_) | Self::NotPermitted(_))
    }
}

// GitHub's sentences for a repository without code scanning.
const OFF: &[&str] = &[
    "code security must be enabled",
    "advanced security must be enabled",
    "code scanning is not enabled",
];

impl From<RequestError> for UploadError {
    fn from(error: RequestError) -> Self {
        let RequestError::Status {
            status,
            message,
            details,
            retry_after,
            rate_limit,
        } = error
        else {
            // The cause is in its sources.
            return Self::Unavailable(format!("{:#}", anyhow::Error::new(error)));
        };
        let lower = message.to_lowercase();
        match status {
            403 if OFF.iter().any(|sign| lower.contains(sign)) => Self::NotEnabled(message),
            _ if rate_limit => Self::RateLimited {
                retry_after,
                message,
            },
            403 => Self::NotPermitted(message),
            401 => Self::BadToken(message),
            404 => Self::NotFound(message),
            413 => Self::TooLarge(message),
            400 | 410 | 422 | 451 => {
                Self::Rejected(std::iter::once(message).chain(details).collect())
            }
            _ => Self::Unavailable(format!("{status} {message}")),
        }
    }
}
