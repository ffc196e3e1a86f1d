//! The process of the fake GitHub and Azure.

use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use super::{AZURE, GITHUB, HOST_ADDRESS, process};
use crate::paths;
use crate::setup::command::command;

/// The token of the workflow's runs.
pub const GITHUB_TOKEN: &str = "local-token-of-a-run";
/// The bearer token of a run's requests for OIDC tokens.
pub const OIDC_REQUEST_TOKEN: &str = "local-oidc-request-token";
/// The tenant's id.
pub const TENANT: &str = "11111111-1111-4111-8111-111111111111";
/// The application's id.
pub const CLIENT: &str = "22222222-2222-4222-8222-222222222222";
/// The subscription's id.
pub const SUBSCRIPTION: &str = "33333333-3333-4333-8333-333333333333";
/// The token with which the deployment's identity talks to the local node.
pub const CLUSTER_TOKEN: &str = "local-cluster-token-of-the-deployer";
/// The variable with the file of another one.
pub const TOKEN_FILE: &str = "SEAWORTHY_CLUSTER_TOKEN_FILE";
/// The user and password with which the node pulls images.
pub const NODE_IDENTITY: (&str, &str) = ("node", "local-node-pull-password");

/// Start the program `services` in the background. The deployment's identity uses the token in the file `token`, or the one
/// that the local node knows.
///
/// # Errors
/// When it does not start.
pub(super) fn start(
    services: &Path,
    kubeconfig: &Path,
    token: Option<&Path>,
) -> anyhow::Result<()> {
    let mut serve = command(&services.to_string_lossy(), ["serve"]);
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
