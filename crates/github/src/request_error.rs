//! Why a request failed.

use std::time::Duration;

use http_client::header::HeaderMap;
use http_client::{StatusCode, Url};
use serde::Deserialize;
use serde_json::Value;

use crate::client::TIMEOUT;

/// Characters of a message of GitHub in an error.
const MESSAGE: usize = 1000;
/// Details of a message.
const DETAILS: usize = 20;

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
    Unreachable(http_client::Error),
    /// The request can't be serialized.
    #[error("failed to serialize the request: {0}")]
    Body(serde_json::Error),
    /// The request can't be made.
    #[error("invalid request: {0}")]
    Invalid(#[from] http::Error),
    /// octocrab failed by itself.
    #[error(transparent)]
    Client(octocrab::Error),
}

/// The body of an error response (docs.github.com/rest/using-the-rest-api/troubleshooting-the-rest-api).
#[derive(Deserialize, Default)]
struct ErrorBody {
    message: Option<String>,
    #[serde(default)]
    errors: Option<Vec<Value>>,
}

impl RequestError {
    /// What a response means whose status is not a success.
    pub(crate) fn from_response(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Self {
        let text = String::from_utf8_lossy(body);
        let body: ErrorBody = serde_json::from_str(&text).unwrap_or_default();
        let message = match (body.message, text.trim()) {
            (Some(message), _) => cut(&message),
            (None, "") => status.canonical_reason().unwrap_or_default().to_owned(),
            (None, text) => cut(text),
        };
        let code = status.as_u16();
        let exhausted = message.to_lowercase().contains("rate limit")
            || number(headers, "x-ratelimit-remaining") == Some(0);
        let rate_limit = code == 429 || (code == 403 && exhausted);
        let seconds = || {
            number(headers, "retry-after")
                .or_else(|| Some(number(headers, "x-ratelimit-reset")?.saturating_sub(now())))
        };
        let details = body.errors.iter().flatten().map(|detail| match detail {
            Value::String(text) => cut(text),
            other => cut(&other.to_string()),
        });
        Self::Status {
            status: code,
            details: details.take(DETAILS).collect(),
            retry_after: rate_limit.then(seconds).flatten().map(Duration::from_secs),
            rate_limit,
            message,
        }
    }

    /// The response to a request to `url` is not the expected JSON.
    pub(crate) fn not_json(url: &str, error: serde_json::Error) -> Self {
        let url = Url::parse(url).ok();
        let host = url.as_ref().and_then(Url::host_str).unwrap_or_default();
        let host = host.to_owned();
        Self::Unreachable(http_client::Error::Json { host, error })
    }

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
        use http_client::Error::{Redirect, TooLarge, TooManyValues};
        let lasting = [400, 401, 403, 404, 410, 413, 422, 451];
        match self {
            Self::Status { status, .. } => !lasting.contains(status),
            Self::Unreachable(Redirect { .. } | TooLarge { .. } | TooManyValues { .. })
            | Self::Body(_)
            | Self::Invalid(_) => false,
            Self::Unreachable(_) | Self::Client(_) | Self::TimedOut => true,
        }
    }

    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

// The transport's own errors come through octocrab unchanged, as sources.
impl From<octocrab::Error> for RequestError {
    fn from(error: octocrab::Error) -> Self {
        match error {
            octocrab::Error::Service { source, backtrace } => {
                match source.downcast::<http_client::Error>() {
                    Ok(error) => Self::from(*error),
                    Err(source) => Self::Client(octocrab::Error::Service { source, backtrace }),
                }
            }
            other => Self::Client(other),
        }
    }
}

impl From<http_client::Error> for RequestError {
    fn from(error: http_client::Error) -> Self {
        if error.is_timeout() {
            Self::TimedOut
        } else {
            Self::Unreachable(error)
        }
    }
}

fn number(headers: &HeaderMap, name: &str) -> Option<u64> {
    headers.get(name)?.to_str().ok()?.parse().ok()
}

fn cut(text: &str) -> String {
    text.chars().take(MESSAGE).collect()
}

fn now() -> u64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}
