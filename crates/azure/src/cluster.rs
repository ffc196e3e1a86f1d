//! Azure Kubernetes Service: where the API server is, and whom to trust.

use actions_toolkit::Secret;
use anyhow::{Context as _, bail};
use base64::Engine as _;
use serde::Deserialize;
use serde_json::Value;

use crate::{Directory, ResourceManager, Scope};

pub(crate) const VERSION: &str = "2025-10-01";

/// What Resource Manager says of a cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cluster {
    /// Its name.
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
    /// What becomes of pods that find no room.
    pub nodes: Nodes,
}

/// Whether a cluster gets more nodes by itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Nodes {
    /// It has those that it has.
    #[default]
    Fixed,
    /// A pool has the autoscaler, or nodes are provisioned as pods need them.
    Added,
}

/// How to talk to a cluster's API server.
#[derive(Clone)]
pub struct ClusterAccess {
    /// Its address, `https://…`.
    pub server: String,
    /// The authorities that sign its certificate, as PEM.
    pub authority: Vec<u8>,
    /// Who we are.
    pub identity: Identity,
}

/// Who we are to an API server.
#[derive(Clone)]
pub enum Identity {
    /// Whoever the directory gives tokens to, each for as long as it holds.
    Entra(Directory),
    /// A token that stays.
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
    authority: String,
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
    /// What Resource Manager says of the cluster `name`.
    ///
    /// # Errors
    /// When there is none, or the identity may not read it.
    pub async fn cluster(&self, group: &str, name: &str) -> anyhow::Result<Cluster> {
        let found = self.get(&path(group, name), VERSION).await?;
        let access = &found["properties"]["apiServerAccessProfile"];
        let ranges = access["authorizedIPRanges"]
            .as_array()
            .into_iter()
            .flatten();
        Ok(Cluster {
            name: name.to_owned(),
            power: found
                .pointer("/properties/powerState/code")
                .and_then(Value::as_str)
                .unwrap_or("unknown")
                .to_owned(),
            private: access["enablePrivateCluster"].as_bool().unwrap_or_default(),
            authorized_ranges: ranges
                .filter_map(|range| range.as_str().map(ToOwned::to_owned))
                .collect(),
            entra: found
                .pointer("/properties/aadProfile")
                .is_some_and(Value::is_object),
            runs_commands: access["disableRunCommand"] != true,
            nodes: nodes(&found["properties"]),
        })
    }

    /// How to talk to the cluster `name`. Nothing is written to disk, and `kubelogin` is not needed:
    /// where the cluster signs in with Entra, tokens come from the directory.
    ///
    /// # Errors
    /// When the identity may not have the credentials, or they are of a kind that is not known.
    pub async fn cluster_access(&self, group: &str, name: &str) -> anyhow::Result<ClusterAccess> {
        let answer = self
            .post(
                &format!("{}/listClusterUserCredential", path(group, name)),
                VERSION,
            )
            .await?;
        let encoded = answer
            .pointer("/kubeconfigs/0/value")
            .and_then(Value::as_str)
            .context("the cluster has no user credential")?;
        let text = decode(encoded).context("in the cluster's credential")?;
        let text = String::from_utf8(text).context("in the cluster's credential")?;
        let config: Kubeconfig = serde_saphyr::from_str(&text)
            .map_err(|e| anyhow::anyhow!("in the cluster's credential: {e}"))?;
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
        Ok(ClusterAccess {
            server: cluster.server,
            authority: decode(&cluster.authority).context("in the cluster's authority")?,
            identity: identity(user, &self.directory).await?,
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

async fn identity(user: User, directory: &Directory) -> anyhow::Result<Identity> {
    // With Entra the credential names a program to run, kubelogin, and the server's application id. We
    // get the same token ourselves.
    if user.exec.as_ref().is_some_and(signs_in_with_entra) || user.auth_provider.is_some() {
        // Whether the application may sign in is known before the API server is asked.
        directory.token(Scope::Cluster).await?;
        return Ok(Identity::Entra(directory.clone()));
    }
    if let Some(exec) = user.exec {
        bail!(
            "the cluster's credential wants the program {} to be run, which is not done",
            exec["command"]
        );
    }
    match (
        user.token,
        user.client_certificate_data,
        user.client_key_data,
    ) {
        (Some(token), _, _) => Ok(Identity::Token(directory.masked(token))),
        (None, Some(certificate), Some(key)) => {
            let key = String::from_utf8(decode(&key)?).context("in the cluster's client key")?;
            Ok(Identity::Certificate(
                decode(&certificate)?,
                directory.masked(key),
            ))
        }
        _ => bail!("the cluster's credential holds neither a token nor a certificate"),
    }
}

fn signs_in_with_entra(exec: &Value) -> bool {
    let args = exec["args"].as_array();
    args.is_some_and(|args| args.iter().any(|arg| arg == "--server-id"))
}

fn decode(text: &str) -> anyhow::Result<Vec<u8>> {
    base64::engine::general_purpose::STANDARD
        .decode(text.trim())
        .context("it is no base64")
}

/// A cluster's path below the subscription.
pub(crate) fn path(group: &str, name: &str) -> String {
    format!("resourceGroups/{group}/providers/Microsoft.ContainerService/managedClusters/{name}")
}
