//! The one HTTP client.

use std::time::Duration;

use anyhow::Context as _;

/// Make ring the TLS provider of the process. Any number of calls is fine.
pub fn install_tls_provider() {
    // An error means that a provider is installed already, which is what is wanted.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// A client that trusts the system's certificates (`SSL_CERT_FILE` is honoured) and uses the
/// system's proxies. A connection may take 10 seconds; limits on answers are the caller's.
///
/// # Errors
/// When the certificates cannot be loaded.
pub fn client() -> anyhow::Result<reqwest::Client> {
    install_tls_provider();
    reqwest::Client::builder()
        .user_agent(concat!("drydock/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(Duration::from_secs(10))
        .build()
        .context("while preparing the HTTP client: are the system's CA certificates installed (package `ca-certificates`)?")
}
