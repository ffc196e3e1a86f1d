//! How the cluster is reached, and why it is not.

use actions_toolkit::{BadInput, Context, Log, Secret};
use anyhow::Context as _;
use azure::{ClusterAccess, Directory, Identity};
use base64::Engine as _;
use kube::Config;
use kube::config::{KubeConfigOptions, Kubeconfig};
use secrecy::ExposeSecret as _;
use serde_json::json;

use crate::cluster::{Cluster, Refused, RunCommand};
use crate::login::Login;
use crate::request::{AccessInput, ClusterInput, Request};

const PREPARING: &str = "while preparing the access to the cluster";

/// The cluster of the request, reached, with the kinds of its objects learnt.
///
/// # Errors
/// With what Azure and the cluster say, and the remedy.
pub(crate) async fn reach(
    ctx: &Context,
    request: &Request,
    login: Option<&Login>,
) -> anyhow::Result<Cluster> {
    let log = ctx.log();
    let (mut cluster, server, described) = match (&request.target.cluster, login) {
        (
            ClusterInput::Azure {
                name,
                group,
                access: AccessInput::RunCommand,
            },
            Some(login),
        ) => {
            let described = login.manager.cluster(group, name).await?;
            let command = command(login, group, &described)?;
            (
                Cluster::through(command, log),
                name.clone(),
                Some(described),
            )
        }
        (ClusterInput::Azure { name, group, .. }, Some(login)) => {
            let (access, described) = tokio::join!(
                login.manager.cluster_access(group, name),
                login.manager.cluster(group, name)
            );
            let access = access?;
            let directory = match &access.identity {
                Identity::Entra(directory) => Some(directory.clone()),
                Identity::Token(_) | Identity::Certificate(..) => None,
            };
            let (cluster, server) = connect(of_access(&access).await?, directory, log)?;
            // Who may not read the cluster's description does without.
            (cluster, server, described.ok())
        }
        (ClusterInput::Kubeconfig(text), _) => {
            let (cluster, server) = connect(of_kubeconfig(ctx, text).await?, None, log)?;
            (cluster, server, None)
        }
        (ClusterInput::Azure { .. }, None) => anyhow::bail!("nobody signed in to Azure"),
    };
    cluster.nodes = described.as_ref().map(|described| described.nodes);
    match cluster.version().await {
        Ok(version) => log.info(format!("cluster {server}: Kubernetes {version}")),
        Err(e) => return Err(unreachable(e, &server, described.as_ref())),
    }
    cluster.learn(request.manifests.objects()).await?;
    Ok(cluster)
}

fn connect(
    config: Config,
    directory: Option<Directory>,
    log: &Log,
) -> anyhow::Result<(Cluster, String)> {
    let server = config.cluster_url.to_string();
    let server = server.trim_end_matches('/').to_owned();
    Ok((Cluster::connect(config, directory, log)?, server))
}

// Commands that Azure runs in the cluster, if it is one that runs them.
fn command(login: &Login, group: &str, found: &azure::Cluster) -> anyhow::Result<RunCommand> {
    let name = &found.name;
    if !found.runs_commands {
        let problem = format!(
            "`run-command` can't be had: the cluster `{name}` has run-command disabled; enable it (`az aks update --enable-run-command`) or use a runner in its network"
        );
        return Err(BadInput::new("cluster-access", problem).into());
    }
    let directory = found.entra.then(|| login.directory.clone());
    Ok(RunCommand {
        manager: login.manager.clone(),
        group: group.to_owned(),
        name: name.clone(),
        directory,
    })
}

// The access stays in memory.
async fn of_access(access: &ClusterAccess) -> anyhow::Result<Config> {
    let encode = |bytes: &[u8]| base64::engine::general_purpose::STANDARD.encode(bytes);
    let user = match &access.identity {
        // Put to each request, as the one that holds then.
        Identity::Entra(_) => json!({}),
        Identity::Token(token) => json!({"token": token.expose()}),
        Identity::Certificate(certificate, key) => json!({
            "client-certificate-data": encode(certificate),
            "client-key-data": encode(key.expose().as_bytes()),
        }),
    };
    let kubeconfig: Kubeconfig = serde_json::from_value(json!({
        "clusters": [{"name": "c", "cluster": {"server": access.server, "certificate-authority-data": encode(&access.authority)}}],
        "users": [{"name": "u", "user": user}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }))
    .context(PREPARING)?;
    Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
        .await
        .context(PREPARING)
}

async fn of_kubeconfig(ctx: &Context, text: &Secret) -> anyhow::Result<Config> {
    let bad = |problem: String| BadInput::new("kubeconfig", problem);
    // The parser's own words may quote the text: the input is a secret.
    let kubeconfig = Kubeconfig::from_yaml(text.expose())
        .map_err(|_| bad("is no kubeconfig; its whole text is wanted, not a path".into()))?;
    for named in &kubeconfig.auth_infos {
        let Some(user) = &named.auth_info else {
            continue;
        };
        if user.exec.is_some() || user.auth_provider.is_some() {
            return Err(bad(format!(
                "the user `{}` signs in by running a program, which is not done; give a kubeconfig with a token or a certificate",
                named.name
            ))
            .into());
        }
        let secrets = [&user.token, &user.password, &user.client_key_data];
        for secret in secrets.into_iter().flatten() {
            ctx.log().mask(secret.expose_secret());
        }
    }
    let options = KubeConfigOptions::default();
    let config = Config::from_custom_kubeconfig(kubeconfig, &options).await;
    Ok(config.map_err(|e| bad(format!("can't be used: {e}")))?)
}

/// Why the API server can't be used, as far as it and Resource Manager know.
fn unreachable(
    error: anyhow::Error,
    server: &str,
    cluster: Option<&azure::Cluster>,
) -> anyhow::Error {
    let hint = match cluster {
        // It was reached; what it said is in the error.
        _ if error.downcast_ref::<Refused>().is_some() => String::new(),
        Some(c) if c.power == "Stopped" => ": the cluster is stopped; start it".into(),
        Some(c) if c.private => ": it is a private cluster; set `cluster-access: run-command`, or use a runner in its network".into(),
        Some(c) if !c.authorized_ranges.is_empty() => format!(
            ": only {} may reach it; add the runner's address to the authorized IP ranges, or use a runner inside them",
            c.authorized_ranges.join(", ")
        ),
        _ => ": is the cluster running, and can the runner reach it?".into(),
    };
    error.context(format!(
        "the cluster's API server `{server}` can't be used{hint}"
    ))
}
