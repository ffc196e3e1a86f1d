//! Azure Container Registry: its token exchange in front of a real registry.
//!
//! Source: github.com/Azure/acr, docs/AAD-OAuth.md; distribution.github.io/distribution/spec/auth/token.

mod proxy;
mod tokens;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{any, get, post};
use serde_json::json;

use super::Azure;
use crate::jwt::Signer;
use testkit::server::{Server, listen, start_tls, tls_config};
use testkit::{Fault, Faults};

/// What the registry's front needs to know.
#[derive(Debug, Clone)]
pub struct RegistryConfig {
    /// Its name, `<name>.azurecr.io`.
    pub login_server: String,
    /// The base URL of the upstream registry.
    pub upstream: String,
    /// The directory of `token.{crt,key}`, which sign its tokens.
    pub signing: PathBuf,
    /// User and password that may pull.
    pub node_identity: (String, String),
}

/// The server.
pub struct AzureRegistry {
    server: Server,
    front: Front,
    faults: Faults,
}

#[derive(Clone)]
struct Front(Arc<Inner>);

struct Inner {
    config: RegistryConfig,
    signer: Signer,
    tenant: String,
    client: String,
    http: reqwest::Client,
}

impl AzureRegistry {
    /// A server at `address` with the certificate `registry.{crt,key}` in `tls`, which trusts the
    /// directory of `azure`.
    ///
    /// # Errors
    /// When the port is taken, or a file is missing.
    pub async fn with_tls(
        address: SocketAddr,
        config: RegistryConfig,
        azure: &Azure,
        tls: &Path,
    ) -> anyhow::Result<Self> {
        let signer = Signer::read(&config.signing)?;
        let server_config = tls_config(tls, "registry")?;
        let (tenant, client) = (
            azure.shared.0.config.tenant.clone(),
            azure.shared.0.config.client.clone(),
        );
        let front = Front(Arc::new(Inner {
            config,
            signer,
            tenant,
            client,
            http: proxy::client()?,
        }));
        let faults = Faults::default();
        let router = Router::new()
            .route("/oauth2/exchange", post(tokens::exchange))
            .route("/oauth2/token", get(tokens::basic).post(tokens::refresh))
            .route("/v2/", any(proxy::forward))
            .route("/v2/{*path}", any(proxy::forward))
            .layer(DefaultBodyLimit::disable())
            .with_state(front.clone());
        let server = start_tls(listen(address).await?, faults.inject(router), server_config)?;
        Ok(Self {
            server,
            front,
            faults,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.server.address
    }

    /// An access token for `access` (the claim of that name) that ends in `life` seconds; below zero,
    /// it has ended.
    ///
    /// # Errors
    /// When it can't be signed.
    pub fn token(&self, access: &serde_json::Value, life: i64) -> anyhow::Result<String> {
        tokens::signed(&self.front.0, access, life)
    }

    /// Inject `fault` into the first request that matches it.
    pub fn expect(&self, fault: Fault) {
        self.faults.expect(fault);
    }

    /// `METHOD /path?query` of every request so far.
    pub fn journal(&self) -> Vec<String> {
        self.faults.journal()
    }

    /// Take no more requests, and let those that are under way end.
    pub async fn stop(self) {
        self.server.stop().await;
    }
}

fn refused(status: StatusCode, code: &str, message: &str) -> Response {
    (
        status,
        Json(json!({"errors": [{"code": code, "message": message}]})),
    )
        .into_response()
}
