//! octocrab over the suite's HTTP client: its redirects, its limits, its certificates and proxies.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use http_client::{ERROR_LIMIT, Redirects};
use octocrab::{AuthState, OctoBody, Octocrab, OctocrabBuilder};
use tower::{BoxError, Service};

use crate::client::TIMEOUT;

/// The most bytes of a response; it goes with each request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limit(pub(crate) u64);

/// GitHub's API for `token`, without octocrab's own retries: those repeat at once and ignore `Retry-After`.
pub(crate) fn octocrab(http: http_client::Client, token: &str) -> Octocrab {
    let transport = Transport {
        http,
        token: token.to_owned(),
    };
    let builder = OctocrabBuilder::new_empty().with_service(transport);
    let built = builder.with_auth(AuthState::None).build();
    built.unwrap_or_else(|never: Infallible| match never {})
}

#[derive(Clone)]
struct Transport {
    http: http_client::Client,
    token: String,
}

impl Service<Request<OctoBody>> for Transport {
    type Response = Response<Full<Bytes>>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<OctoBody>) -> Self::Future {
        let Self { http, token } = self.clone();
        Box::pin(async move { send(&http, &token, request).await })
    }
}

// A renamed repository redirects: `POST` and `PATCH` with 307, which keeps method and body
// (docs.github.com/rest/using-the-rest-api/best-practices-for-using-the-rest-api, "Follow redirects"). The token stays
// on GitHub.
async fn send(
    http: &http_client::Client,
    token: &str,
    request: Request<OctoBody>,
) -> Result<Response<Full<Bytes>>, BoxError> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let mut request = http
        .request(parts.method, parts.uri.to_string())
        .redirects(Redirects::SameOrigin)
        .timeout(TIMEOUT)
        .bearer_auth(token);
    for (name, value) in &parts.headers {
        request = request.header(name.clone(), value);
    }
    if !body.is_empty() {
        request = request.body(body);
    }
    let response = request.send().await?;
    let mut received = Response::builder().status(response.status());
    for (name, value) in response.headers() {
        received = received.header(name, value);
    }
    let body = if response.status().is_success() {
        let limit = parts
            .extensions
            .get()
            .map_or(ERROR_LIMIT, |Limit(bytes)| *bytes);
        response.json_bytes(limit).await?
    } else {
        response.error_text().await.into_bytes()
    };
    Ok(received.body(Full::new(body.into()))?)
}
