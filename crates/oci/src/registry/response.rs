//! What a registry's response means: success, a refusal, or a failure that may be temporary.

use std::time::Duration;

use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{Response, StatusCode};

/// A response that is not a success.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct Refused {
    message: String,
    /// How long the registry requests to wait (`Retry-After`), 60 seconds at most.
    pub retry_after: Option<Duration>,
}

/// Why an attempt at a request failed.
pub(super) enum Failed {
    /// The registry is overloaded or broken: 429 or 5xx.
    Unavailable(Box<Response>),
    /// There is no response.
    Transport(reqwest::Error),
    /// The request could not be made: for want of a token, for example.
    Other(anyhow::Error),
}

impl Failed {
    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Unavailable(response) => retry_after(response.headers()),
            _ => None,
        }
    }
}

/// `response`, unless another attempt may get a better one.
pub(super) fn available(response: Response) -> Result<Response, Failed> {
    let status = response.status();
    if status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error() {
        Err(Failed::Unavailable(Box::new(response)))
    } else {
        Ok(response)
    }
}

/// `response` if its status is 2xx.
///
/// # Errors
/// [`Refused`] with the message of the registry `host`.
pub(super) async fn success(response: Response, host: &str) -> anyhow::Result<Response> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let retry_after = retry_after(response.headers());
    let body = response.text().await.unwrap_or_default();
    let message = serde_json::from_str::<serde_json::Value>(&body)
        .ok()
        .and_then(|json| {
            json.pointer("/errors/0/message")?
                .as_str()
                .map(ToOwned::to_owned)
        })
        .map_or_else(String::new, |message| format!(": {message}"));
    let hint = match status {
        StatusCode::UNAUTHORIZED => "; check the registry's credentials",
        StatusCode::FORBIDDEN => {
            "; the identity lacks access to this repository (role AcrPush or AcrPull)"
        }
        _ => "",
    };
    Err(Refused {
        message: format!("`{host}` responded with {status}{message}{hint}"),
        retry_after,
    }
    .into())
}

pub(super) fn header(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name)?.to_str().ok().map(ToOwned::to_owned)
}

// RFC 9110, section 10.2.3, in its form of seconds.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds: u64 = header(headers, RETRY_AFTER.as_str())?.parse().ok()?;
    Some(Duration::from_secs(seconds.min(60)))
}
