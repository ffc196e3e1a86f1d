//! Everything that is not a token is forwarded to the upstream registry, as a stream in both directions.
//!
//! That one verifies the token itself; its challenge names our token service.

use std::time::Duration;

use anyhow::Context as _;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use futures_util::TryStreamExt as _;

use super::{Front, Inner, refused};

/// Headers that are about one connection only (RFC 9110, 7.6.1).
const OF_ONE_CONNECTION: [HeaderName; 6] = [
    header::CONNECTION,
    header::PROXY_AUTHENTICATE,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// Bytes go through as they are, redirects are the client's to follow, and a proxy of this machine
/// must not be used for its own loopback.
pub(super) fn client() -> anyhow::Result<reqwest::Client> {
    reqwest::Client::builder()
        .no_proxy()
        .no_gzip()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(Duration::from_secs(10))
        .build()
        .context("failed to prepare the client of the upstream registry")
}

fn passing(headers: &HeaderMap) -> HeaderMap {
    let mut passing = headers.clone();
    for name in OF_ONE_CONNECTION {
        passing.remove(name);
    }
    passing
}

pub(super) async fn forward(State(front): State<Front>, request: Request) -> Response {
    let inner = &front.0;
    let (parts, body) = request.into_parts();
    let path = parts
        .uri
        .path_and_query()
        .map_or("/v2/", |path| path.as_str());
    let has_body = parts.headers.contains_key(header::TRANSFER_ENCODING)
        || parts
            .headers
            .get(header::CONTENT_LENGTH)
            .is_some_and(|length| length != "0");
    let mut headers = passing(&parts.headers);
    headers.insert("x-forwarded-proto", HeaderValue::from_static("https"));
    if let Ok(host) = HeaderValue::from_str(&inner.config.login_server) {
        headers.insert(header::HOST, host);
    }
    let mut sent = inner
        .http
        .request(parts.method, format!("{}{path}", inner.config.upstream))
        .headers(headers);
    if has_body {
        sent = sent.body(reqwest::Body::wrap_stream(body.into_data_stream()));
    }
    match sent.send().await {
        Ok(upstream) => rewritten(inner, upstream),
        Err(e) => refused(
            StatusCode::BAD_GATEWAY,
            "UNAVAILABLE",
            &format!("the upstream registry is unreachable: {}", e.without_url()),
        ),
    }
}

fn rewritten(inner: &Inner, upstream: reqwest::Response) -> Response {
    let status = upstream.status();
    let mut headers = passing(upstream.headers());
    let location = headers
        .get(header::LOCATION)
        .and_then(|location| location.to_str().ok());
    if let Some(ours) = location.and_then(|location| ours(inner, location)) {
        headers.insert(header::LOCATION, ours);
    }
    let stream = upstream.bytes_stream().map_err(std::io::Error::other);
    let mut response = Response::new(Body::from_stream(stream));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

// An upload continues where it started: at this server.
fn ours(inner: &Inner, location: &str) -> Option<HeaderValue> {
    let rest = location.strip_prefix(inner.config.upstream.as_str())?;
    HeaderValue::from_str(&format!("https://{}{rest}", inner.config.login_server)).ok()
}
