//! The process of the fake GitHub and Azure.

use std::path::PathBuf;

use anyhow::Context as _;
use fake_azure::{Azure, AzureConfig, AzureRegistry, RegistryConfig};
use fake_github::GitHub;
use xtask::paths;
use xtask::stack::{
    self, AZURE, CLIENT, CLUSTER_TOKEN, GITHUB, GITHUB_TOKEN, HOST_ADDRESS, LOGIN_SERVER,
    NODE_ADDRESS, NODE_IDENTITY, OIDC_REQUEST_TOKEN, REGISTRY, SUBSCRIPTION, TENANT, TOKEN_FILE,
};

use crate::load_balancer;

/// Run it in the foreground.
///
/// # Errors
/// When a port is in use, or a certificate is missing.
pub(crate) fn run() -> anyhow::Result<()> {
    let kubeconfig = std::env::var_os("SEAWORTHY_KUBECONFIG")
        .map_or_else(stack::local_kubeconfig, PathBuf::from);
    let token = match std::env::var_os(TOKEN_FILE) {
        Some(file) => {
            std::fs::read_to_string(file).context("failed to read the cluster's token")?
        }
        None => CLUSTER_TOKEN.to_owned(),
    };
    let tls = stack::registry_tls();
    let mut azure = AzureConfig::new(TENANT, CLIENT, SUBSCRIPTION);
    azure.login_server = LOGIN_SERVER.into();
    azure.oidc_request_token = OIDC_REQUEST_TOKEN.into();
    azure.cluster_token = token;
    azure.kubeconfig = Some(kubeconfig);
    let registry = RegistryConfig {
        login_server: LOGIN_SERVER.into(),
        upstream: format!("http://{REGISTRY}"),
        signing: tls.clone(),
        node_identity: (NODE_IDENTITY.0.into(), NODE_IDENTITY.1.into()),
    };
    crate::runtime()?.block_on(async {
        let data = paths::state().join("github");
        let _github = GitHub::at(GITHUB.parse()?, GITHUB_TOKEN, Some(&data)).await?;
        let azure = Azure::at(AZURE.parse()?, azure).await?;
        let address = format!("{HOST_ADDRESS}:443").parse()?;
        let _registry = AzureRegistry::with_tls(address, registry, &azure, &tls).await?;
        let pki = stack::cluster_pki();
        let server = format!("https://{NODE_ADDRESS}:6443");
        // In one task: if the controller fails permanently, the process exits, and `status` reports it.
        tokio::select! {
            stopped = stopped() => stopped,
            () = load_balancer::run(&pki, &server) => Ok(()),
        }
    })
}

async fn stopped() -> anyhow::Result<()> {
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        _ = terminate.recv() => Ok(()),
        stopped = tokio::signal::ctrl_c() => stopped.context("failed to wait for a signal"),
    }
}
