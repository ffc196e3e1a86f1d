//! Sending a request, and following its redirects.

use std::time::{Duration, Instant};

use reqwest::header::{ACCEPT, HeaderMap, HeaderName, LOCATION, RANGE};
use reqwest::{RequestBuilder, Url};
use serde::Serialize;

use crate::error::host;
use crate::redirects::{Hop, is_redirect};
use crate::{Client, Error, Redirects, Response};

/// The headers that another origin gets as well.
const PUBLIC: [HeaderName; 2] = [ACCEPT, RANGE];

/// A request.
#[derive(Debug)]
#[must_use = "it does nothing until it is sent"]
pub struct Request {
    client: Client,
    builder: RequestBuilder,
    redirects: Redirects,
}

impl Request {
    pub(crate) fn new(client: Client, builder: RequestBuilder) -> Self {
        Self {
            client,
            builder,
            redirects: Redirects::default(),
        }
    }

    fn with(self, change: impl FnOnce(RequestBuilder) -> RequestBuilder) -> Self {
        Self {
            builder: change(self.builder),
            ..self
        }
    }

    /// Follow `redirects`.
    pub fn redirects(self, redirects: Redirects) -> Self {
        Self { redirects, ..self }
    }

    /// With a header. An invalid value is an error of [`Request::send`].
    pub fn header(self, name: HeaderName, value: impl AsRef<[u8]>) -> Self {
        self.with(|builder| builder.header(name, value.as_ref()))
    }

    /// With a bearer token.
    pub fn bearer_auth(self, token: &str) -> Self {
        self.with(|builder| builder.bearer_auth(token))
    }

    /// With a user name and password.
    pub fn basic_auth(self, username: &str, password: &str) -> Self {
        self.with(|builder| builder.basic_auth(username, Some(password)))
    }

    /// With `query` after the one that the URL has.
    pub fn query(self, query: &impl Serialize) -> Self {
        self.with(|builder| builder.query(query))
    }

    /// With an HTML form as the body.
    pub fn form(self, form: &impl Serialize) -> Self {
        self.with(|builder| builder.form(form))
    }

    /// With JSON as the body.
    pub fn json(self, json: &impl Serialize) -> Self {
        self.with(|builder| builder.json(json))
    }

    /// With a body.
    pub fn body(self, body: impl Into<reqwest::Body>) -> Self {
        self.with(|builder| builder.body(body))
    }

    /// The response and its body, and all redirects, within `timeout`.
    pub fn timeout(self, timeout: Duration) -> Self {
        self.with(|builder| builder.timeout(timeout))
    }

    /// The response, of any status; its body is still to be read.
    ///
    /// # Errors
    /// When there is none, or a redirect is not followed.
    pub async fn send(self) -> Result<Response, Error> {
        let mut request = self.builder.build()?;
        let ends = request.timeout().map(|timeout| Instant::now() + *timeout);
        let mut before = 0;
        loop {
            let again = request.try_clone();
            let method = request.method().clone();
            let client = self.client.for_url(request.url());
            let response = client.execute(request).await?;
            let target = match self.redirects {
                Redirects::Returned => None,
                _ => target(&response)?,
            };
            let Some(target) = target else {
                return Ok(Response::new(response, before > 0));
            };
            let hop = Hop {
                method: &method,
                status: response.status(),
                from: response.url(),
                to: &target,
                before,
            };
            // A body that is a stream is sent once.
            let again = again.ok_or("the request's body was sent already");
            let next = self.redirects.check(&hop).and(again);
            request = next.map_err(|reason| refused(response.url(), &target, reason))?;
            if response.url().origin() != target.origin() {
                keep_public(request.headers_mut());
            }
            *request.url_mut() = target;
            *request.timeout_mut() =
                ends.map(|ends| ends.saturating_duration_since(Instant::now()));
            before += 1;
        }
    }
}

// The target of a redirect; `None` for another response.
fn target(response: &reqwest::Response) -> Result<Option<Url>, Error> {
    let location = response.headers().get(LOCATION);
    let Some(location) = location.filter(|_| is_redirect(response.status())) else {
        return Ok(None);
    };
    let target = location.to_str().ok();
    let target = target.and_then(|target| response.url().join(target).ok());
    match target {
        Some(target) => Ok(Some(target)),
        None => Err(Error::Redirect {
            from: host(response.url()),
            to: String::from_utf8_lossy(location.as_bytes()).into_owned(),
            reason: "it is not a URL",
        }),
    }
}

fn refused(from: &Url, to: &Url, reason: &'static str) -> Error {
    Error::Redirect {
        from: host(from),
        to: host(to),
        reason,
    }
}

fn keep_public(headers: &mut HeaderMap) {
    let kept = PUBLIC.map(|name| (headers.get(&name).cloned(), name));
    headers.clear();
    for (value, name) in kept {
        if let Some(value) = value {
            headers.insert(name, value);
        }
    }
}
