//! What the API server warns of beside its answer: Pod Security, deprecated versions, unknown fields.
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
    said: Arc<Mutex<BTreeSet<String>>>,
}

impl Warnings {
    /// Warnings for `log`.
    pub(crate) fn new(log: &Log) -> Self {
        Self {
            log: log.clone(),
            said: Arc::default(),
        }
    }

    fn hear(&self, headers: &HeaderMap, path: &str) {
        for header in headers.get_all("warning") {
            let Some(text) = header.to_str().ok().and_then(text) else {
                continue;
            };
            let line = format!("the API server warns of `{}`: {text}", object(path));
            let new = self
                .said
                .lock()
                .is_ok_and(|mut said| said.insert(line.clone()));
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
    type Service = Heard<S>;

    fn layer(&self, inner: S) -> Heard<S> {
        Heard {
            inner,
            warnings: self.clone(),
        }
    }
}

/// A connection whose warnings are heard.
pub(crate) struct Heard<S> {
    inner: S,
    warnings: Warnings,
}

impl<S, A, B> Service<Request<A>> for Heard<S>
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
        let answer = self.inner.call(request);
        async move {
            let answer = answer.await?;
            warnings.hear(answer.headers(), &path);
            Ok(answer)
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_is_read_without_its_frame() {
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
