//! The process of the fake GitHub and Azure.

use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;

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
    let config = testkit::ServeConfig {
        github: GITHUB.parse()?,
        github_token: GITHUB_TOKEN.into(),
        azure: AZURE.parse()?,
        registry: format!("{HOST_ADDRESS}:443").parse()?,
        registry_upstream: format!("http://{REGISTRY}"),
        login_server: LOGIN_SERVER.into(),
        tls: host::tls(),
        tenant: TENANT.into(),
        client: CLIENT.into(),
        subscription: SUBSCRIPTION.into(),
        oidc_request_token: OIDC_REQUEST_TOKEN.into(),
        cluster_token: token,
        node_identity: (NODE_IDENTITY.0.into(), NODE_IDENTITY.1.into()),
        kubeconfig,
        data: paths::state().join("github"),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    super::install_tls();
    runtime.block_on(async {
        let pki = kubernetes::pki();
        let server = format!("https://{NODE_ADDRESS}:6443");
        // In one task: if the controller fails permanently, the process exits, and `status` reports it.
        tokio::select! {
            outcome = testkit::serve(config) => outcome,
            () = load_balancer::run(&pki, &server) => Ok(()),
        }
    })
}
