//! Why a request failed.

use std::time::Duration;

use serde_json::Value;

use crate::client::TIMEOUT;

/// Why a request failed, in the last attempt at it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RequestError {
    /// No response in time.
    #[error("timed out after {}s", TIMEOUT.as_secs())]
    TimedOut,
    /// GitHub refused the request or failed.
    #[error("GitHub responded with {status} ({message})")]
    Status {
        /// The HTTP status.
        status: u16,
        /// GitHub's message.
        message: String,
        /// The errors that it lists.
        details: Vec<String>,
        /// How long to wait; of a rate limit only.
        retry_after: Option<Duration>,
        /// Whether there were too many requests.
        rate_limit: bool,
    },
    /// No response, or not one of GitHub's.
    #[error(transparent)]
    Unreachable(octocrab::Error),
}

impl RequestError {
    pub(crate) fn status(&self) -> Option<u16> {
        match self {
            Self::Status { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// Whether the token lacks a permission: a fork, Dependabot, or `permissions` of the job.
    pub(crate) fn is_refusal(&self) -> bool {
        self.status() == Some(403)
    }

    pub(crate) fn is_rate_limit(&self) -> bool {
        matches!(
            self,
            Self::Status {
                rate_limit: true,
                ..
            }
        )
    }

    /// Whether it may pass by itself.
    pub(crate) fn is_transient(&self) -> bool {
        let lasting = [400, 401, 403, 404, 410, 413, 422, 451];
        self.status()
            .is_none_or(|status| !lasting.contains(&status))
    }

    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

impl From<octocrab::Error> for RequestError {
    fn from(error: octocrab::Error) -> Self {
        let octocrab::Error::GitHub { source, .. } = error else {
            return Self::Unreachable(error);
        };
        let header = |name: &str| -> Option<u64> {
            let headers = source.headers.as_ref()?;
            headers.get(name)?.to_str().ok()?.parse().ok()
        };
        let status = source.status_code.as_u16();
        let exhausted = source.message.to_lowercase().contains("rate limit")
            || header("x-ratelimit-remaining") == Some(0);
        let rate_limit = status == 429 || (status == 403 && exhausted);
        let seconds = || {
            header("retry-after")
                .or_else(|| Some(header("x-ratelimit-reset")?.saturating_sub(now())))
        };
        let details = source.errors.iter().flatten().map(|detail| match detail {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        });
        Self::Status {
            status,
            details: details.collect(),
            retry_after: rate_limit.then(seconds).flatten().map(Duration::from_secs),
            rate_limit,
            message: source.message,
        }
    }
}

fn now() -> u64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}
