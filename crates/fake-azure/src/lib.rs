//! A fake of Azure, as far as a deployment uses it, and of GitHub's OIDC issuer, which it trusts.
#![expect(
    clippy::disallowed_methods,
    reason = "a fake calls the programs of its stack"
)]

mod access_token;
mod api_server;
mod config;
mod discovery;
mod entra;
mod jwt;
mod kubeconfig;
mod middleware;
mod oidc;
mod registry;
mod resources;
mod run_command;
mod schema;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::http::HeaderMap;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};

use crate::jwt::Signer;
use testkit::server::{Server, listen, start, start_tls, tls_config};
use testkit::{Fault, Faults};

pub use api_server::ApiServer;
pub use config::AzureConfig;
pub use registry::{AzureRegistry, RegistryConfig};

/// The server: OIDC issuer, Entra and Resource Manager at one address.
pub struct Azure {
    server: Server,
    shared: Shared,
    faults: Faults,
}

#[derive(Clone)]
struct Shared(Arc<Inner>);

struct Inner {
    config: AzureConfig,
    signer: Signer,
    scheme: &'static str,
    commands: run_command::Commands,
}

impl Azure {
    /// A server for a test.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn start(config: AzureConfig) -> anyhow::Result<Self> {
        Self::at(([127, 0, 0, 1], 0).into(), config).await
    }

    /// A server at `address`.
    ///
    /// # Errors
    /// When the port is in use.
    pub async fn at(address: SocketAddr, config: AzureConfig) -> anyhow::Result<Self> {
        let (router, shared, faults) = parts(config, "http")?;
        let server = start(listen(address).await?, router)?;
        Ok(Self {
            server,
            shared,
            faults,
        })
    }

    /// A server for clients that accept only https, with the certificate `azure.{crt,key}` in `tls`.
    ///
    /// # Errors
    /// When no port is free, or a file is missing.
    pub async fn with_tls(config: AzureConfig, tls: &Path) -> anyhow::Result<Self> {
        let (router, shared, faults) = parts(config, "https")?;
        let listener = listen(([127, 0, 0, 1], 0).into()).await?;
        let server = start_tls(listener, router, tls_config(tls, "azure")?)?;
        Ok(Self {
            server,
            shared,
            faults,
        })
    }

    /// The base of Entra and of Resource Manager.
    pub fn url(&self) -> String {
        format!("{}://{}", self.shared.0.scheme, self.server.address)
    }

    /// `ACTIONS_ID_TOKEN_REQUEST_URL` of a run.
    pub fn oidc_url(&self) -> String {
        format!("{}/oidc/token?api-version=2.0", self.url())
    }

    /// Inject `fault` into the first request that matches it.
    pub fn expect(&self, fault: Fault) {
        self.faults.expect(fault);
    }

    /// `METHOD /path?query` of every request so far.
    pub fn journal(&self) -> Vec<String> {
        self.faults.journal()
    }

    /// Accept no more requests, and finish those in progress.
    pub async fn stop(self) {
        self.server.stop().await;
    }
}

fn parts(config: AzureConfig, scheme: &'static str) -> anyhow::Result<(Router, Shared, Faults)> {
    let shared = Shared(Arc::new(Inner {
        config,
        signer: Signer::new()?,
        scheme,
        commands: run_command::Commands::default(),
    }));
    let faults = Faults::default();
    let managed = resources::router().merge(discovery::signed_in());
    let router = Router::new()
        .route("/oidc/token", get(oidc::token))
        .route(
            "/.well-known/openid-configuration",
            get(oidc::configuration),
        )
        .route("/.well-known/jwks", get(oidc::keys))
        .route("/{tenant}/oauth2/v2.0/token", post(entra::token))
        .merge(discovery::open())
        .merge(managed.layer(from_fn_with_state(shared.clone(), middleware::admit)))
        .fallback(async || resources::unknown())
        .with_state(shared.clone());
    Ok((faults.inject(router), shared, faults))
}

fn bearer(headers: &HeaderMap) -> &str {
    let value = headers
        .get("authorization")
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    value
        .split_once(' ')
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map_or("", |(_, token)| token)
}
