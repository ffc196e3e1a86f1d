//! Warnings of the API server that come with a response: Pod Security, deprecated versions, unknown fields.
//!
//! Protocol: kubernetes.io/blog/2020/09/03/warnings (the `Warning` header of RFC 7234, code 299).

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use actions_toolkit::Log;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use http::{HeaderMap, Request, Response};
use tower::{Layer, Service};

/// Writes each warning to the log, once.
#[derive(Clone)]
pub(crate) struct Warnings {
    log: Log,
    logged: Arc<Mutex<BTreeSet<String>>>,
}

impl Warnings {
    /// Warnings for `log`.
    pub(crate) fn new(log: &Log) -> Self {
        Self {
            log: log.clone(),
            logged: Arc::default(),
        }
    }

    fn log(&self, headers: &HeaderMap, path: &str) {
        for header in headers.get_all("warning") {
            let Some(text) = header.to_str().ok().and_then(text) else {
                continue;
            };
            let line = format!("the API server warns of `{}`: {text}", object(path));
            let new = self
                .logged
                .lock()
                .is_ok_and(|mut logged| logged.insert(line.clone()));
            if new {
                self.log.warning(line);
            }
        }
    }
}

// `deployments/app` of a path that ends so.
fn object(path: &str) -> &str {
    let slash = path.rmatch_indices('/').nth(1);
    slash.map_or(path, |(at, _)| &path[at + 1..])
}

// The text of `299 - "text"`, without its escapes.
fn text(header: &str) -> Option<String> {
    let quoted = header.strip_prefix("299 ")?.split_once('"')?.1;
    let quoted = quoted.strip_suffix('"')?;
    Some(quoted.replace("\\\"", "\"").replace("\\\\", "\\"))
}

impl<S> Layer<S> for Warnings {
    type Service = LogWarnings<S>;

    fn layer(&self, inner: S) -> LogWarnings<S> {
        LogWarnings {
            inner,
            warnings: self.clone(),
        }
    }
}

/// A connection whose warnings are logged.
pub(crate) struct LogWarnings<S> {
    inner: S,
    warnings: Warnings,
}

impl<S, A, B> Service<Request<A>> for LogWarnings<S>
where
    S: Service<Request<A>, Response = Response<B>>,
    S::Future: Send + 'static,
{
    type Response = Response<B>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Response<B>, S::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        let path = request.uri().path().to_owned();
        let warnings = self.warnings.clone();
        let response = self.inner.call(request);
        async move {
            let response = response.await?;
            warnings.log(response.headers(), &path);
            Ok(response)
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_is_logged_without_its_quotes() {
        assert_eq!(
            text(r#"299 - "would violate \"restricted\"""#).unwrap(),
            r#"would violate "restricted""#
        );
        assert_eq!(text("199 - \"other\""), None);
        assert_eq!(
            object("/apis/apps/v1/namespaces/web/deployments/app"),
            "deployments/app"
        );
    }
}
