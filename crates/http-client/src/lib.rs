//! The HTTP client: the only place that builds one and reads a body.
//!
//! Which redirects are followed ([`Redirects`]):
//!
//! - none, unless the request says so: a redirect is then an error that names both hosts. That holds for every request
//!   that carries a credential or a body;
//! - reads ([`Redirects::Reads`]) follow up to five, never from https to http. As soon as scheme, host or port differ,
//!   only the headers that describe the content are sent on: no credential;
//! - an API that moves ([`Redirects::SameOrigin`]) is followed on its own origin only: `307` and `308` with method and
//!   body, the others for reads.
//!
//! How much is read: every reader of a body has a limit, which counts what comes out of a compressed body. The error
//! names the limit and the host. JSON has a limit for the number of its values as well. Of the body of an error response, 64 KiB are read ([`ERROR_LIMIT`]).
//!
//! The lint `disallowed-methods` (`clippy.toml`) rejects other clients and readers.
#![expect(
    clippy::disallowed_methods,
    reason = "the one place that builds clients and reads bodies"
)]

mod client;
mod error;
mod redirects;
mod request;
mod response;

pub use client::{Certificates, Client, install_tls_provider, is_confidential, is_local};
pub use error::Error;
pub use redirects::Redirects;
pub use request::Request;
pub use reqwest::{Body, IntoUrl, Method, StatusCode, Url, header};
pub use response::{Chunks, ERROR_LIMIT, Response};

/// The most bytes of a response to a request for a token.
pub const TOKEN_LIMIT: u64 = 1024 * 1024;
