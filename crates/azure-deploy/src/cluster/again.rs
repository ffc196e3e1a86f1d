//! A request whose connection broke off is made again. Whatever is asked of the cluster may be asked twice: it is read,
//! applied server-side, or removed. What the API server answers, be it 503, is the client's own to try again.

use std::time::{Duration, Instant};

use http::{Request, Response};
use kube::client::Body;
use tokio::time::{Sleep, sleep};
use tower::BoxError;
use tower::retry::Policy;

const PAUSES: [Duration; 2] = [Duration::from_millis(200), Duration::from_secs(1)];
/// An attempt that took longer has told enough: nobody is there.
const PATIENCE: Duration = Duration::from_secs(5);

/// The attempts of one request.
#[derive(Debug, Clone, Default)]
pub(crate) struct Again {
    made: usize,
    begun: Option<Instant>,
}

impl<B> Policy<Request<Body>, Response<B>, BoxError> for Again {
    type Future = Sleep;

    fn retry(
        &mut self,
        _: &mut Request<Body>,
        result: &mut Result<Response<B>, BoxError>,
    ) -> Option<Sleep> {
        let soon = self.begun.is_some_and(|begun| begun.elapsed() < PATIENCE);
        let pause = PAUSES.get(self.made).filter(|_| result.is_err() && soon)?;
        self.made += 1;
        Some(sleep(*pause))
    }

    fn clone_request(&mut self, request: &Request<Body>) -> Option<Request<Body>> {
        self.begun = Some(Instant::now());
        let mut copy = Request::new(request.body().try_clone()?);
        *copy.method_mut() = request.method().clone();
        *copy.uri_mut() = request.uri().clone();
        *copy.headers_mut() = request.headers().clone();
        *copy.extensions_mut() = request.extensions().clone();
        Some(copy)
    }
}
