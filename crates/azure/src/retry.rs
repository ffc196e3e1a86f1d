//! Asking again when a service is busy.

use std::time::Duration;

use reqwest::{RequestBuilder, Response, StatusCode};

const ATTEMPTS: u32 = 4;
/// A service that wants a longer pause is not waited for.
const LONGEST: Duration = Duration::from_secs(60);

/// Send what `request` makes, anew for each attempt, until the service gives an answer that another
/// attempt would not change: up to four times, with the pauses that it asks for. `what` is the context of a
/// failure on the way (`while asking …`).
///
/// # Errors
/// When there is no answer at all, or `request` fails.
pub(crate) async fn send<F>(what: &str, request: impl Fn() -> F) -> anyhow::Result<Response>
where
    F: Future<Output = anyhow::Result<RequestBuilder>>,
{
    let mut attempt = 1;
    loop {
        let answer = request().await?.send().await;
        let pause = match answer {
            Ok(answer) if attempt == ATTEMPTS || !passes(answer.status()) => return Ok(answer),
            Err(e) if attempt == ATTEMPTS || e.is_builder() => {
                return Err(anyhow::Error::new(e.without_url()).context(what.to_owned()));
            }
            Ok(answer) => asked_for(&answer),
            Err(_) => None,
        };
        let pause = pause.unwrap_or_else(|| Duration::from_secs(u64::from(attempt)));
        tokio::time::sleep(pause.min(LONGEST)).await;
        attempt += 1;
    }
}

fn passes(status: StatusCode) -> bool {
    status == StatusCode::TOO_MANY_REQUESTS
        || status == StatusCode::REQUEST_TIMEOUT
        || status.is_server_error()
}

fn asked_for(answer: &Response) -> Option<Duration> {
    let seconds = answer.headers().get("retry-after")?.to_str().ok()?;
    seconds.trim().parse().ok().map(Duration::from_secs)
}
