//! Stand-ins on the wire, for tests and for the local pipeline.
//!
//! - [`GitHub`]: code scanning, comments, issues and deployments of GitHub's REST API;
//! - [`Azure`]: GitHub's OIDC issuer, Entra, Resource Manager;
//! - [`AzureRegistry`]: the token exchange of Azure Container Registry, in front of a real registry;
//! - [`ApiServer`]: a front of a real API server that takes tokens of that Entra;
//! - [`FakeDocker`]: a Docker daemon that has one image;
//! - [`FakeRunner`]: the environment of a container action around a built binary;
//! - [`contract`]: `action.yml` and README against an action's own declaration.
//!
//! They answer as the vendors' published descriptions say; where they refuse, it is with the vendor's
//! own words.

mod azure;
pub mod contract;
mod desk;
mod fake_docker;
mod github;
mod jwt;
pub mod pki;
mod runner;
mod server;
mod validator;

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context as _;

pub use azure::{ApiServer, Azure, AzureConfig, AzureRegistry, RegistryConfig};
pub use desk::Fault;
pub use fake_docker::FakeDocker;
pub use github::{Access, GitHub, Options, Refusal};
pub use runner::{FakeRunner, Ran};
pub use validator::sarif_objections;

/// The servers of the local pipeline.
#[derive(Debug, Clone)]
pub struct ServeConfig {
    /// Where GitHub's REST API listens.
    pub github: SocketAddr,
    /// The token that it takes.
    pub github_token: String,
    /// Where Entra, Resource Manager and the OIDC issuer listen.
    pub azure: SocketAddr,
    /// Where Azure Container Registry listens, with TLS.
    pub registry: SocketAddr,
    /// The base address of the registry behind it.
    pub registry_upstream: String,
    /// Its name, `<name>.azurecr.io`.
    pub login_server: String,
    /// The folder of `registry.{crt,key}` and `token.{crt,key}`.
    pub tls: PathBuf,
    /// The directory's id.
    pub tenant: String,
    /// The application's id.
    pub client: String,
    /// The subscription's id.
    pub subscription: String,
    /// What a run shows to get an OIDC token.
    pub oidc_request_token: String,
    /// The token that the cluster takes.
    pub cluster_token: String,
    /// User and password with which the node pulls.
    pub node_identity: (String, String),
    /// The cluster's administrator access: its address and authority are handed out.
    pub kubeconfig: PathBuf,
    /// Where GitHub keeps what it was told.
    pub data: PathBuf,
}

/// Run the servers of the local pipeline until the process is told to end.
///
/// # Errors
/// When a port is taken, or a certificate is missing.
pub async fn serve(config: ServeConfig) -> anyhow::Result<()> {
    let mut azure = AzureConfig::new(&config.tenant, &config.client, &config.subscription);
    azure.login_server.clone_from(&config.login_server);
    azure
        .oidc_request_token
        .clone_from(&config.oidc_request_token);
    azure.cluster_token.clone_from(&config.cluster_token);
    azure.kubeconfig = Some(config.kubeconfig.clone());
    let registry = RegistryConfig {
        login_server: config.login_server.clone(),
        upstream: config.registry_upstream.clone(),
        signing: config.tls.clone(),
        node_identity: config.node_identity.clone(),
    };
    let _github = GitHub::at(config.github, &config.github_token, Some(&config.data)).await?;
    let azure = Azure::at(config.azure, azure).await?;
    let _registry = AzureRegistry::with_tls(config.registry, registry, &azure, &config.tls).await?;
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        _ = terminate.recv() => Ok(()),
        stopped = tokio::signal::ctrl_c() => stopped.context("while waiting for a signal"),
    }
}

/// Standard base64, as access files and certificates use it.
pub fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}
