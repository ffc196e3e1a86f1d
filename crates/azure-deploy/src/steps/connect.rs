//! Sign in to Azure, and connect to the cluster.

use actions_toolkit::{BadInput, Context, Log, Secret};
use anyhow::Context as _;
use azure::{ClusterAccess, Credential, Entra, Identity, ResourceManager, Scope};
use base64::Engine as _;
use kube::Config;
use kube::config::{KubeConfigOptions, Kubeconfig};
use secrecy::ExposeSecret as _;
use serde_json::json;

use crate::kubernetes::{Cluster, Rejected, RunCommand};
use crate::request::{Access, AzureTarget, ClusterTarget};

const FAILED: &str = "failed to prepare the access to the cluster";

/// Azure after the sign-in: tokens come from Entra, addresses from Resource Manager.
pub(crate) struct Azure {
    pub(crate) entra: Entra,
    pub(crate) manager: ResourceManager,
}

/// Sign in to Azure, if the registry or the cluster is there.
///
/// # Errors
/// When Entra rejects the sign-in; with the values that the application lacks.
pub(crate) async fn sign_in(
    ctx: &Context,
    target: Option<&AzureTarget>,
) -> anyhow::Result<Option<Azure>> {
    let Some(target) = target else {
        return Ok(None);
    };
    let (credential, by) = match &target.client_secret {
        Some(secret) => (Credential::ClientSecret(secret.clone()), "a client secret"),
        None => (Credential::Federated, "OIDC"),
    };
    let entra = Entra::new(
        ctx,
        &target.cloud,
        &target.tenant,
        &target.client,
        credential,
    )?;
    // Whether the sign-in works is known before anything else is queried.
    entra.token(Scope::ResourceManager).await?;
    ctx.log()
        .info(format!("signed in to Azure as {} by {by}", target.client));
    let manager = ResourceManager::new(&entra, &target.cloud, &target.subscription);
    Ok(Some(Azure { entra, manager }))
}

/// Connect to the cluster of the request.
///
/// # Errors
/// When Azure or the API server rejects a request, or the API server is unreachable; with a hint.
pub(crate) async fn cluster(
    ctx: &Context,
    target: &ClusterTarget,
    azure: Option<&Azure>,
) -> anyhow::Result<Cluster> {
    let log = ctx.log();
    let (mut cluster, server, described) = match (target, azure) {
        (
            ClusterTarget::Azure {
                name,
                group,
                access: Access::RunCommand,
            },
            Some(azure),
        ) => {
            let described = azure.manager.cluster(group, name).await?;
            let command = run_command(azure, group, &described)?;
            (
                Cluster::through_run_command(command, log),
                name.clone(),
                Some(described),
            )
        }
        (ClusterTarget::Azure { name, group, .. }, Some(azure)) => {
            let (access, described) = tokio::join!(
                azure.manager.cluster_access(group, name),
                azure.manager.cluster(group, name)
            );
            let access = access?;
            let entra = match &access.identity {
                Identity::Entra(entra) => Some(entra.clone()),
                Identity::Token(_) | Identity::Certificate(..) => None,
            };
            let (cluster, server) = client(azure_config(&access).await?, entra, log)?;
            // Without the right to read the cluster's description the deployment goes on.
            (cluster, server, described.ok())
        }
        (ClusterTarget::Kubeconfig(text), _) => {
            let (cluster, server) = client(kubeconfig(ctx, text).await?, None, log)?;
            (cluster, server, None)
        }
        (ClusterTarget::Azure { .. }, None) => anyhow::bail!("the run is not signed in to Azure"),
    };
    cluster.nodes = described.as_ref().map(|described| described.nodes);
    match cluster.version().await {
        Ok(version) => log.info(format!("cluster {server}: Kubernetes {version}")),
        Err(e) => return Err(unreachable(e, &server, described.as_ref())),
    }
    Ok(cluster)
}

fn client(config: Config, entra: Option<Entra>, log: &Log) -> anyhow::Result<(Cluster, String)> {
    let server = config.cluster_url.to_string();
    let server = server.trim_end_matches('/').to_owned();
    Ok((Cluster::connect(config, entra, log)?, server))
}

// Commands that Azure runs in the cluster, if they are enabled there.
fn run_command(azure: &Azure, group: &str, cluster: &azure::Cluster) -> anyhow::Result<RunCommand> {
    let name = &cluster.name;
    if !cluster.runs_commands {
        let problem = format!(
            "`run-command` is unavailable: the cluster `{name}` has run-command disabled; enable it (`az aks update --enable-run-command`) or use a runner in its network"
        );
        return Err(BadInput::new("cluster-access", problem).into());
    }
    let entra = cluster.entra.then(|| azure.entra.clone());
    Ok(RunCommand {
        manager: azure.manager.clone(),
        group: group.to_owned(),
        name: name.clone(),
        entra,
    })
}

// The credentials stay in memory.
async fn azure_config(access: &ClusterAccess) -> anyhow::Result<Config> {
    let encode = |bytes: &[u8]| base64::engine::general_purpose::STANDARD.encode(bytes);
    let user = match &access.identity {
        // Each request gets the token that is valid then.
        Identity::Entra(_) => json!({}),
        Identity::Token(token) => json!({"token": token.expose()}),
        Identity::Certificate(certificate, key) => json!({
            "client-certificate-data": encode(certificate),
            "client-key-data": encode(key.expose().as_bytes()),
        }),
    };
    let kubeconfig: Kubeconfig = serde_json::from_value(json!({
        "clusters": [{"name": "c", "cluster": {"server": access.server, "certificate-authority-data": encode(&access.ca_certificates)}}],
        "users": [{"name": "u", "user": user}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }))
    .context(FAILED)?;
    Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
        .await
        .context(FAILED)
}

async fn kubeconfig(ctx: &Context, text: &Secret) -> anyhow::Result<Config> {
    let bad = |problem: String| BadInput::new("kubeconfig", problem);
    // The parser's message may quote the text: the input is a secret.
    let kubeconfig = Kubeconfig::from_yaml(text.expose())
        .map_err(|_| bad("not a valid kubeconfig; pass its content, not a path".into()))?;
    for named in &kubeconfig.auth_infos {
        let Some(user) = &named.auth_info else {
            continue;
        };
        if user.exec.is_some() || user.auth_provider.is_some() {
            return Err(bad(format!(
                "the user `{}` uses an exec credential plugin, which is not supported; use a kubeconfig with a token or a certificate",
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
    Ok(config.map_err(|e| bad(format!("cannot be used: {e}")))?)
}

// With the cause, if the API server or Resource Manager knows it.
fn unreachable(
    error: anyhow::Error,
    server: &str,
    cluster: Option<&azure::Cluster>,
) -> anyhow::Error {
    let hint = match cluster {
        // It was reached; its message is in the error.
        _ if error.downcast_ref::<Rejected>().is_some() => String::new(),
        Some(c) if c.power == "Stopped" => ": the cluster is stopped; start it".into(),
        Some(c) if c.private => ": it is a private cluster; set `cluster-access: run-command`, or use a runner in its network".into(),
        Some(c) if !c.authorized_ranges.is_empty() => format!(
            ": only {} may reach it; add the runner's address to the authorized IP ranges, or use a runner inside them",
            c.authorized_ranges.join(", ")
        ),
        _ => ": check that the cluster is running, and that the runner can reach it".into(),
    };
    error.context(format!(
        "the cluster's API server `{server}` is unavailable{hint}"
    ))
}
