//! The process of the fake GitHub and Azure.

use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use fake_azure::{Azure, AzureConfig, AzureRegistry, RegistryConfig};
use fake_github::GitHub;

use super::{
    AZURE, GITHUB, HOST_ADDRESS, LOGIN_SERVER, NODE_ADDRESS, REGISTRY, host, kubernetes,
    load_balancer, process,
};
use crate::paths;
use crate::setup::command::command;

/// The token of the workflow's runs.
pub(crate) const GITHUB_TOKEN: &str = "local-token-of-a-run";
/// The bearer token of a run's requests for OIDC tokens.
pub(crate) const OIDC_REQUEST_TOKEN: &str = "local-oidc-request-token";
/// The tenant's id.
pub(crate) const TENANT: &str = "11111111-1111-4111-8111-111111111111";
/// The application's id.
pub(crate) const CLIENT: &str = "22222222-2222-4222-8222-222222222222";
/// The subscription's id.
pub(crate) const SUBSCRIPTION: &str = "33333333-3333-4333-8333-333333333333";
/// The token with which the deployment's identity talks to the local node.
pub(super) const CLUSTER_TOKEN: &str = "local-cluster-token-of-the-deployer";
// The variable with the file of another one.
const TOKEN_FILE: &str = "SEAWORTHY_CLUSTER_TOKEN_FILE";
/// The user and password with which the node pulls images.
pub(super) const NODE_IDENTITY: (&str, &str) = ("node", "local-node-pull-password");

/// Start it in the background. The deployment's identity uses the token in the file `token`, or the one
/// that the local node knows.
///
/// # Errors
/// When it does not start.
pub(super) fn start(kubeconfig: &Path, token: Option<&Path>) -> anyhow::Result<()> {
    let program = std::env::current_exe().context("failed to find the path of this program")?;
    let mut serve = command(&program.to_string_lossy(), ["serve"]);
    serve
        .env("SEAWORTHY_STATE", paths::state())
        .env("SEAWORTHY_KUBECONFIG", kubeconfig);
    if let Some(token) = token {
        serve.env(TOKEN_FILE, token);
    }
    process::start("serve", &serve)?;
    process::wait("serve", Duration::from_secs(20), || {
        [
            GITHUB.to_owned(),
            AZURE.to_owned(),
            format!("{HOST_ADDRESS}:443"),
        ]
        .iter()
        .all(|address| TcpStream::connect(address).is_ok())
    })
}

/// Run it in the foreground.
///
/// # Errors
/// When a port is in use, or a certificate is missing.
pub(super) fn run() -> anyhow::Result<()> {
    let kubeconfig =
        std::env::var_os("SEAWORTHY_KUBECONFIG").map_or_else(kubernetes::kubeconfig, PathBuf::from);
    let token = match std::env::var_os(TOKEN_FILE) {
        Some(file) => {
            std::fs::read_to_string(file).context("failed to read the cluster's token")?
        }
        None => CLUSTER_TOKEN.to_owned(),
    };
    let tls = host::tls();
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
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    super::install_tls();
    runtime.block_on(async {
        let data = paths::state().join("github");
        let _github = GitHub::at(GITHUB.parse()?, GITHUB_TOKEN, Some(&data)).await?;
        let azure = Azure::at(AZURE.parse()?, azure).await?;
        let address = format!("{HOST_ADDRESS}:443").parse()?;
        let _registry = AzureRegistry::with_tls(address, registry, &azure, &tls).await?;
        let pki = kubernetes::pki();
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
