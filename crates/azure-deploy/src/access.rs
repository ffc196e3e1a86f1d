//! How the cluster is reached, and why it is not.

use actions_toolkit::{BadInput, Context, Secret};
use anyhow::Context as _;
use azure::{ClusterAccess, Identity};
use base64::Engine as _;
use kube::Config;
use kube::config::{KubeConfigOptions, Kubeconfig};
use secrecy::ExposeSecret as _;
use serde_json::json;

use crate::cluster::{Cluster, Refused};
use crate::login::Login;
use crate::request::{ClusterInput, Request};

const PREPARING: &str = "while preparing the access to the cluster";

/// The cluster of the request, reached, with the kinds of its objects learnt.
///
/// # Errors
/// With what Azure and the cluster say, and the remedy.
pub(crate) async fn reach(
    ctx: &Context,
    request: &Request,
    login: Option<&Login<'_>>,
) -> anyhow::Result<Cluster> {
    let config = match (&request.target.cluster, login) {
        (ClusterInput::Azure { name, group }, Some(login)) => {
            let access = login
                .manager
                .cluster_access(&login.directory, group, name)
                .await?;
            of_access(&access).await?
        }
        (ClusterInput::Kubeconfig(text), _) => of_kubeconfig(ctx, text).await?,
        (ClusterInput::Azure { .. }, None) => anyhow::bail!("nobody signed in to Azure"),
    };
    let server = config.cluster_url.to_string();
    let server = server.trim_end_matches('/');
    let mut cluster = Cluster::connect(config)?;
    match cluster.version().await {
        Ok(version) => ctx
            .log()
            .info(format!("cluster {server}: Kubernetes {version}")),
        Err(e) => {
            let described = match (&request.target.cluster, login) {
                (ClusterInput::Azure { name, group }, Some(login)) => {
                    login.manager.cluster(group, name).await.ok()
                }
                _ => None,
            };
            return Err(unreachable(e, server, described.as_ref()));
        }
    }
    cluster.learn(request.manifests.objects()).await?;
    Ok(cluster)
}

// The access stays in memory.
async fn of_access(access: &ClusterAccess) -> anyhow::Result<Config> {
    let encode = |bytes: &[u8]| base64::engine::general_purpose::STANDARD.encode(bytes);
    let user = match &access.identity {
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
    let bad = |problem: String| BadInput::of("kubeconfig", problem);
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
        Some(c) if c.private => ": it is a private cluster; use a runner in its network".into(),
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
