//! What a registry's response means: success, a refusal, or a failure that may be temporary.

use std::time::Duration;

use http_client::header::{HeaderMap, RETRY_AFTER};
use http_client::{Response, StatusCode};

use crate::denied::{FIREWALL_HINT, is_firewall};

/// Characters of a registry's message in an error.
const MESSAGE: usize = 1000;

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
    /// The authorization has expired during an upload.
    Expired(Box<Response>),
    /// There is no response.
    Transport(http_client::Error),
    /// The request could not be made: for want of a token, for example.
    Other(anyhow::Error),
}

impl Failed {
    pub(super) fn is_transient(&self) -> bool {
        match self {
            Self::Unavailable(_) | Self::Expired(_) => true,
            Self::Transport(e) => e.is_transient(),
            Self::Other(_) => false,
        }
    }

    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Unavailable(response) => retry_after(response.headers()),
            // The next attempt has a new one.
            Self::Expired(_) => Some(Duration::ZERO),
            _ => None,
        }
    }

    /// The response of the registry `host` after the last attempt.
    ///
    /// # Errors
    /// When there is none.
    pub(super) fn into_response(self, host: &str) -> anyhow::Result<Response> {
        match self {
            Self::Unavailable(response) | Self::Expired(response) => Ok(*response),
            Self::Transport(e) if e.is_connect() => {
                let what = format!(
                    "`{host}` is unreachable; check that it is up and that this runner can reach it"
                );
                Err(anyhow::Error::new(e).context(what))
            }
            Self::Transport(e) => Err(e.into()),
            Self::Other(e) => Err(e),
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
/// [`Refused`] with the message of the registry `host`, or of the host that it redirected to.
pub(super) async fn success(response: Response, host: &str) -> anyhow::Result<Response> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let retry_after = retry_after(response.headers());
    let (actual, is_redirected) = (response.host(), response.is_redirected());
    let body = response.error_text().await;
    let message = serde_json::from_str::<serde_json::Value>(&body)
        .ok()
        .and_then(|json| {
            let message = json.pointer("/errors/0/message")?.as_str()?;
            Some(message.chars().take(MESSAGE).collect::<String>())
        })
        .map_or_else(String::new, |message| format!(": {message}"));
    let hint = match status {
        _ if is_redirected => "",
        _ if is_firewall(&message) => FIREWALL_HINT,
        StatusCode::UNAUTHORIZED => "; check the registry's credentials",
        StatusCode::FORBIDDEN => {
            "; the identity lacks access to this repository (role AcrPush or AcrPull)"
        }
        _ => "",
    };
    let by = if is_redirected && actual != host {
        format!("`{actual}`, where `{host}` redirects to,")
    } else {
        format!("`{host}`")
    };
    Err(Refused {
        message: format!("{by} responded with {status}{message}{hint}"),
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
