//! A client of the OCI distribution API (github.com/opencontainers/distribution-spec, v1.1).
//!
//! - `auth`: which password is sent, and where; `challenge`: what a registry requires;
//! - `request`: one request with its authentication and retries; `response`: what a response means;
//! - `blobs` and `manifests`: reading and pushing them; `catalog`: repositories and tags; `link`: the next page.

mod auth;
mod blobs;
mod catalog;
pub(crate) mod challenge;
pub(crate) mod link;
mod manifests;
mod platforms;
mod renewed;
mod request;
mod response;

use std::collections::HashMap;
use std::sync::Mutex;

use anyhow::Context as _;
use http_client::{Client, Url};

pub use auth::{Auth, Credentials};
pub use blobs::Blob;
pub use manifests::RawManifest;
pub use renewed::Renewed;
pub use response::Refused;

use auth::Authorization;

const ATTEMPTS: usize = 4;

/// Called with each secret that a registry sends, before anything can print it.
type Mask = Box<dyn Fn(&str) + Send + Sync>;

/// A registry.
pub struct Registry {
    http: Client,
    host: String,
    auth: Auth,
    mask: Mask,
    /// What the registry accepted, by scope: hundreds of blobs need one token.
    authorizations: Mutex<HashMap<String, Authorization>>,
    attempts: usize,
}

impl Registry {
    /// The registry at `host` (with its port, if any). `mask` hides a token that it sends from the log.
    pub fn new(
        http: Client,
        host: &str,
        auth: Auth,
        mask: impl Fn(&str) + Send + Sync + 'static,
    ) -> Self {
        Self {
            http,
            host: host.to_owned(),
            auth,
            mask: Box::new(mask),
            authorizations: Mutex::default(),
            attempts: ATTEMPTS,
        }
    }

    /// Send each request once: for a caller that has another registry to try.
    #[must_use]
    pub fn without_retries(self) -> Self {
        Self {
            attempts: 1,
            ..self
        }
    }

    /// The host, with its port if there is one.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The root of the API.
    fn base(&self) -> anyhow::Result<Url> {
        let base = format!("{}/v2/", request::base_url(&self.host));
        Url::parse(&base).with_context(|| format!("invalid registry host `{}`", self.host))
    }

    /// Whether `url` is on the registry itself: the same scheme, host and port.
    fn owns(&self, url: &Url) -> bool {
        self.base().is_ok_and(|base| base.origin() == url.origin())
    }
}
