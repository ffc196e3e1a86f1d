//! Retries of requests to a busy service.

use std::time::Duration;

use backon::Retryable as _;
use http_client::{Request, Response, StatusCode};

/// Pauses between the four attempts, unless the service sends others as `Retry-After`.
const PAUSES: [Duration; 3] = [
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(3),
];
/// The longest pause that a service may request.
const MAX_PAUSE: Duration = Duration::from_secs(60);

enum Failure {
    /// The service responded that it is busy or failed.
    Busy(Response),
    /// There was no response.
    Connection(anyhow::Error),
    /// There was no request, or it was redirected.
    Request(anyhow::Error),
}

/// Send what `request` builds, again for each attempt, until there is a response that another attempt would not change:
/// up to four times, with the pauses that the service requests. `what` is the context of a connection failure
/// (`failed to …`).
///
/// # Errors
/// When there is no response at all, or `request` fails.
pub(crate) async fn send<F>(what: &str, request: impl Fn() -> F) -> anyhow::Result<Response>
where
    F: Future<Output = anyhow::Result<Request>>,
{
    let attempt = async || {
        let request = request().await.map_err(Failure::Request)?;
        match request.send().await {
            Ok(response) if is_transient(response.status()) => Err(Failure::Busy(response)),
            Ok(response) => Ok(response),
            Err(e) => {
                let is_transient = e.is_transient();
                let error = anyhow::Error::new(e).context(what.to_owned());
                Err(if is_transient {
                    Failure::Connection(error)
                } else {
                    Failure::Request(error)
                })
            }
        }
    };
    let result = (|| attempt())
        .retry(PAUSES.into_iter())
        .when(|failure| !matches!(failure, Failure::Request(_)))
        .adjust(|failure, pause| {
            let pause = failure.retry_after().or(pause).filter(|_| pause.is_some());
            pause.map(|pause| pause.min(MAX_PAUSE))
        })
        .await;
    match result {
        Ok(response) | Err(Failure::Busy(response)) => Ok(response),
        Err(Failure::Connection(error) | Failure::Request(error)) => Err(error),
    }
}

fn is_transient(status: StatusCode) -> bool {
    status == StatusCode::TOO_MANY_REQUESTS
        || status == StatusCode::REQUEST_TIMEOUT
        || status.is_server_error()
}

impl Failure {
    fn retry_after(&self) -> Option<Duration> {
        let Self::Busy(response) = self else {
            return None;
        };
        retry_after(response)
    }
}

/// The pause that `response` requests, in its form of seconds (RFC 9110, section 10.2.3).
pub(crate) fn retry_after(response: &Response) -> Option<Duration> {
    let seconds = response.headers().get("retry-after")?.to_str().ok()?;
    seconds.trim().parse().ok().map(Duration::from_secs)
}
