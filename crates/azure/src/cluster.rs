//! Azure Kubernetes Service: the API server, its CA certificate and the credentials.

use actions_toolkit::Secret;
use anyhow::{Context as _, bail, ensure};
use base64::Engine as _;
use serde::Deserialize;
use serde_json::Value;

use crate::{Entra, ResourceManager, Scope};

pub(crate) const VERSION: &str = "2025-10-01";

/// A cluster, as Resource Manager describes it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cluster {
    /// The name of the resource.
    pub name: String,
    /// `Running` or `Stopped`.
    pub power: String,
    /// Whether its API server is reached only from its own network.
    pub private: bool,
    /// The address ranges that may reach its API server; empty means all.
    pub authorized_ranges: Vec<String>,
    /// Whether its users sign in with Entra.
    pub entra: bool,
    /// Whether it runs commands that come through Resource Manager.
    pub runs_commands: bool,
    /// Whether nodes are added for pods that cannot be scheduled.
    pub nodes: Nodes,
}

/// Whether nodes are added automatically.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Nodes {
    /// The number of nodes is fixed.
    #[default]
    Fixed,
    /// A pool has the autoscaler, or nodes are provisioned for pods.
    Added,
}

/// The access to a cluster's API server.
#[derive(Clone)]
pub struct ClusterAccess {
    /// Its URL, `https://…`.
    pub server: String,
    /// The CA certificates that sign its certificate, as PEM.
    pub ca_certificates: Vec<u8>,
    /// The credentials.
    pub identity: Identity,
}

/// The credentials for an API server.
#[derive(Clone)]
pub enum Identity {
    /// Tokens of Entra, renewed before they expire.
    Entra(Entra),
    /// A token that does not expire during the run.
    Token(Secret),
    /// A certificate and its key, as PEM: a cluster with local accounts.
    Certificate(Vec<u8>, Secret),
}

#[derive(Deserialize)]
struct Kubeconfig {
    clusters: Vec<NamedCluster>,
    users: Vec<NamedUser>,
}

#[derive(Deserialize)]
struct NamedCluster {
    cluster: ClusterEntry,
}

#[derive(Deserialize)]
struct ClusterEntry {
    server: String,
    #[serde(rename = "certificate-authority-data")]
    ca_certificates: String,
}

#[derive(Deserialize)]
struct NamedUser {
    user: User,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "kebab-case")]
struct User {
    token: Option<String>,
    client_certificate_data: Option<String>,
    client_key_data: Option<String>,
    exec: Option<Value>,
    auth_provider: Option<Value>,
}

impl ResourceManager {
    /// The cluster `name`.
    ///
    /// # Errors
    /// When it does not exist, or the identity may not read it.
    pub async fn cluster(&self, group: &str, name: &str) -> anyhow::Result<Cluster> {
        let cluster = self.get(&path(group, name), VERSION).await?;
        let access = &cluster["properties"]["apiServerAccessProfile"];
        let ranges = access["authorizedIPRanges"]
            .as_array()
            .into_iter()
            .flatten();
        Ok(Cluster {
            name: name.to_owned(),
            power: cluster
                .pointer("/properties/powerState/code")
                .and_then(Value::as_str)
                .unwrap_or("unknown")
                .to_owned(),
            private: access["enablePrivateCluster"].as_bool().unwrap_or_default(),
            authorized_ranges: ranges
                .filter_map(|range| range.as_str().map(ToOwned::to_owned))
                .collect(),
            entra: cluster
                .pointer("/properties/aadProfile")
                .is_some_and(Value::is_object),
            runs_commands: access["disableRunCommand"] != true,
            nodes: nodes(&cluster["properties"]),
        })
    }

    /// The access to the cluster `name`. Nothing is written to disk, and `kubelogin` is not needed:
    /// where the cluster signs in with Entra, the tokens are requested here.
    ///
    /// # Errors
    /// When the identity may not read the credentials, or their kind is not supported.
    pub async fn cluster_access(&self, group: &str, name: &str) -> anyhow::Result<ClusterAccess> {
        let response = self
            .post(
                &format!("{}/listClusterUserCredential", path(group, name)),
                VERSION,
            )
            .await?;
        let encoded = response
            .pointer("/kubeconfigs/0/value")
            .and_then(Value::as_str)
            .context("the cluster has no user credential")?;
        let text = decode(encoded).context("invalid user credential of the cluster")?;
        let text = String::from_utf8(text).context("invalid user credential of the cluster")?;
        let config: Kubeconfig = serde_saphyr::from_str(&text)
            .map_err(|e| anyhow::anyhow!("invalid user credential of the cluster: {e}"))?;
        let cluster = config
            .clusters
            .into_iter()
            .next()
            .context("the cluster's credential names no cluster")?
            .cluster;
        let user = config
            .users
            .into_iter()
            .next()
            .map(|named| named.user)
            .unwrap_or_default();
        ensure!(
            cluster.server.starts_with("https://"),
            "the cluster's API server is not at an https address, so it gets no credential"
        );
        Ok(ClusterAccess {
            server: cluster.server,
            ca_certificates: decode(&cluster.ca_certificates)
                .context("invalid CA certificate of the cluster")?,
            identity: identity(user, &self.entra).await?,
        })
    }
}

fn nodes(cluster: &Value) -> Nodes {
    let pools = cluster["agentPoolProfiles"].as_array();
    let mut pools = pools.into_iter().flatten();
    let is_scaled = pools.any(|pool| pool["enableAutoScaling"] == true);
    if is_scaled || cluster["nodeProvisioningProfile"]["mode"] == "Auto" {
        Nodes::Added
    } else {
        Nodes::Fixed
    }
}

async fn identity(user: User, entra: &Entra) -> anyhow::Result<Identity> {
    // With Entra the credential names an exec plugin, kubelogin, and the server's application ID. The same token is
    // requested here.
    if user.exec.as_ref().is_some_and(signs_in_with_entra) || user.auth_provider.is_some() {
        // Whether the application may sign in is known before the first request to the API server.
        entra.token(Scope::Cluster).await?;
        return Ok(Identity::Entra(entra.clone()));
    }
    if let Some(exec) = user.exec {
        bail!(
            "the cluster's credential uses the exec credential plugin {}, which is not supported",
            exec["command"]
        );
    }
    match (
        user.token,
        user.client_certificate_data,
        user.client_key_data,
    ) {
        (Some(token), _, _) => Ok(Identity::Token(entra.masked(token))),
        (None, Some(certificate), Some(key)) => {
            let key =
                String::from_utf8(decode(&key)?).context("invalid client key of the cluster")?;
            Ok(Identity::Certificate(
                decode(&certificate)?,
                entra.masked(key),
            ))
        }
        _ => bail!("the cluster's credential has neither a token nor a certificate"),
    }
}

fn signs_in_with_entra(exec: &Value) -> bool {
    let args = exec["args"].as_array();
    args.is_some_and(|args| args.iter().any(|arg| arg == "--server-id"))
}

fn decode(text: &str) -> anyhow::Result<Vec<u8>> {
    base64::engine::general_purpose::STANDARD
        .decode(text.trim())
        .context("invalid base64")
}

/// A cluster's path below the subscription.
pub(crate) fn path(group: &str, name: &str) -> String {
    format!("resourceGroups/{group}/providers/Microsoft.ContainerService/managedClusters/{name}")
}
