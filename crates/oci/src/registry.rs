//! A client of the OCI distribution API (github.com/opencontainers/distribution-spec, v1.1).
//!
//! - `auth`: which password is sent, and where;
//! - `request`: one request with its authentication and retries; `response`: what a response means;
//! - `blobs` and `manifests`: reading and pushing them; `catalog`: repositories and tags.

mod auth;
mod blobs;
mod catalog;
mod manifests;
mod request;
mod response;

use std::collections::HashMap;
use std::sync::Mutex;

pub use auth::{Auth, Credentials};
pub use manifests::RawManifest;
pub use response::Refused;

const ATTEMPTS: usize = 4;

/// A registry.
pub struct Registry {
    http: reqwest::Client,
    host: String,
    auth: Auth,
    /// `Authorization` headers by scope: hundreds of blobs need one token.
    authorizations: Mutex<HashMap<String, String>>,
    attempts: usize,
}

impl Registry {
    /// The registry at `host` (with its port, if any).
    pub fn new(http: reqwest::Client, host: &str, auth: Auth) -> Self {
        Self {
            http,
            host: host.to_owned(),
            auth,
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
}
