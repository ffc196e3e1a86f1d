//! The `azure-deploy` action: push, deploy, prove, or go back.

mod action;
mod change;
mod cluster;
mod deployment;
mod diff;
mod judge;
mod manifests;
mod object;
mod pods;
mod push;
mod report;
mod request;
mod rollout;
mod serving;

use std::time::Instant;

use actions_toolkit::{Context, Done};
use anyhow::Context as _;
use azure::{Credential, Directory, ResourceManager, Scope};
use container::Engine;

pub use action::ACTION;
use cluster::Cluster;
use report::Story;
use request::{AzureInputs, Request};

/// Run the action.
///
/// # Errors
/// `BadInput` before anything is started; `PolicyFailure` when the new version does not hold, after the
/// previous one was put back; anything else when Azure, the registry or the cluster fails.
pub async fn run(ctx: &Context) -> anyhow::Result<Done> {
    let request = Request::of(ctx)?;
    let engine = Engine::connect(ctx.env().get("DOCKER_HOST")).await?;
    push::check(&engine, &request).await?;

    // Whatever can refuse is asked before anything is pushed.
    let azure = &request.azure;
    let directory = directory(ctx, azure);
    let manager = resource_manager(ctx, azure, &directory).await?;
    let cluster = reach(ctx, &request, &directory, &manager).await?;
    change::rehearse(&cluster, request.manifests.objects()).await?;

    let begun = Instant::now();
    let registry = push::Registry::sign_in(ctx, &directory, &manager, azure).await?;
    let image = registry.push_all(ctx, &engine, &request).await?;
    let mut story = Story::new(&image);
    story.took("push", begun);
    story.outputs(ctx);
    let deployed = tokio::select! {
        deployed = deployment::deploy(ctx, &request, &cluster, &mut story) => deployed,
        cancelled = ctx.cancelled() => Err(cancelled.into()),
    };
    if let Err(error) = deployed {
        story.failed(&error);
        let error = deployment::go_back(ctx, &request, &cluster, &mut story, error).await;
        story.write(ctx);
        return Err(error);
    }
    story.write(ctx);
    if request.latest {
        let moved = registry.move_latest(&image).await;
        moved
            .context("the new version is deployed and serves, but the tag `latest` did not move")?;
        ctx.log().info("the tag `latest` is this image now");
    }
    Ok(Done("deployed"))
}

fn directory<'a>(ctx: &'a Context, azure: &AzureInputs) -> Directory<'a> {
    let credential = match &azure.client_secret {
        Some(secret) => Credential::ClientSecret(secret.clone()),
        None => Credential::Federated,
    };
    Directory::new(ctx, &azure.cloud, &azure.tenant, &azure.client, credential)
}

async fn resource_manager<'a>(
    ctx: &'a Context,
    azure: &AzureInputs,
    directory: &Directory<'_>,
) -> anyhow::Result<ResourceManager<'a>> {
    let token = directory.token(Scope::ResourceManager).await?;
    let by = match azure.client_secret {
        Some(_) => "a client secret",
        None => "OIDC",
    };
    ctx.log()
        .info(format!("signed in to Azure as {} by {by}", azure.client));
    Ok(ResourceManager::new(
        ctx,
        &azure.cloud,
        &azure.subscription,
        token,
    ))
}

async fn reach(
    ctx: &Context,
    request: &Request,
    directory: &Directory<'_>,
    manager: &ResourceManager<'_>,
) -> anyhow::Result<Cluster> {
    let (group, name) = (&request.azure.group, &request.azure.cluster);
    let access = manager.cluster_access(directory, group, name).await?;
    let mut cluster = Cluster::connect(&access).await?;
    match cluster.version().await {
        Ok(version) => ctx
            .log()
            .info(format!("cluster {name}: Kubernetes {version}")),
        Err(e) => {
            let described = manager.cluster(group, name).await.ok();
            return Err(cluster::unreachable(e, &access, described.as_ref()));
        }
    }
    cluster.learn(request.manifests.objects()).await?;
    Ok(cluster)
}
