//! The fakes over the network, as a client uses them.
#![expect(
    clippy::disallowed_methods,
    reason = "the client of a test shows the bare protocol"
)]
#![expect(clippy::unwrap_used, reason = "in a test, a panic is the report")]

mod azure;
#[path = "../docker_registry/mod.rs"]
mod docker_registry;
mod registry;

/// A client that follows nothing and trusts no proxy of the machine.
fn client() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap()
}
