//! Retries of a request whose connection broke. Every request to the cluster may be sent twice: it reads, applies
//! server-side, or removes. A response, even a 503, is retried by the client itself.

use std::time::{Duration, Instant};

use http::{Request, Response};
use kube::client::Body;
use tokio::time::{Sleep, sleep};
use tower::BoxError;
use tower::retry::Policy;

const PAUSES: [Duration; 2] = [Duration::from_millis(200), Duration::from_secs(1)];
/// An attempt that took longer is not retried: the server is unreachable.
const SLOW: Duration = Duration::from_secs(5);

/// The attempts of one request.
#[derive(Debug, Clone, Default)]
pub(super) struct RetryConnection {
    retries: usize,
    started: Option<Instant>,
}

impl<B> Policy<Request<Body>, Response<B>, BoxError> for RetryConnection {
    type Future = Sleep;

    fn retry(
        &mut self,
        _: &mut Request<Body>,
        result: &mut Result<Response<B>, BoxError>,
    ) -> Option<Sleep> {
        let was_quick = self.started.is_some_and(|started| started.elapsed() < SLOW);
        let pause = PAUSES
            .get(self.retries)
            .filter(|_| result.is_err() && was_quick)?;
        self.retries += 1;
        Some(sleep(*pause))
    }

    fn clone_request(&mut self, request: &Request<Body>) -> Option<Request<Body>> {
        self.started = Some(Instant::now());
        let mut copy = Request::new(request.body().try_clone()?);
        *copy.method_mut() = request.method().clone();
        *copy.uri_mut() = request.uri().clone();
        *copy.headers_mut() = request.headers().clone();
        *copy.extensions_mut() = request.extensions().clone();
        Some(copy)
    }
}
