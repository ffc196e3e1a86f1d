//! The `azure-deploy` action: push, deploy, prove, or go back.

mod action;
mod change;
mod cluster;
mod judge;
mod manifests;
mod push;
mod report;
mod request;
mod rollout;
mod serving;

use actions_toolkit::{Context, Done, PolicyFailure};
use azure::{Credential, Directory, ResourceManager, Scope};
use container::Engine;

pub use action::ACTION;
use change::Before;
use cluster::Cluster;
use report::Story;
use request::Request;

/// Run the action.
///
/// # Errors
/// `BadInput` before anything is started; `PolicyFailure` when the new version does not hold, after the
/// previous one was put back; anything else when Azure, the registry or the cluster fails.
pub async fn run(ctx: &Context) -> anyhow::Result<Done> {
    let request = Request::of(ctx)?;
    let engine = Engine::connect(ctx.env().get("DOCKER_HOST")).await?;
    push::check(&engine, &request).await?;

    let azure = &request.azure;
    let credential = match &azure.client_secret {
        Some(secret) => Credential::ClientSecret(secret.clone()),
        None => Credential::Federated(azure.audience.clone()),
    };
    let directory = Directory::new(
        ctx,
        &azure.authority,
        &azure.tenant,
        &azure.client,
        credential,
    );
    let token = directory.token(Scope::ResourceManager).await?;
    let manager = ResourceManager::new(ctx, &azure.resource_manager, &azure.subscription, token);
    let by = if azure.client_secret.is_some() {
        "a client secret"
    } else {
        "OIDC"
    };
    ctx.log()
        .info(format!("signed in to Azure as {} by {by}", azure.client));

    // Whatever can refuse is asked before anything is pushed.
    let access = manager
        .cluster_access(&directory, &azure.group, &azure.cluster)
        .await?;
    let mut cluster = Cluster::connect(&access).await?;
    match cluster.version().await {
        Ok(version) => ctx
            .log()
            .info(format!("cluster {}: Kubernetes {version}", azure.cluster)),
        Err(e) => {
            let described = manager.cluster(&azure.group, &azure.cluster).await.ok();
            return Err(cluster::unreachable(&e, &access, described.as_ref()));
        }
    }
    cluster.learn(request.manifests.objects()).await?;

    let registry = push::Registry::sign_in(ctx, &directory, &manager, azure).await?;
    let image = registry.push_all(ctx, &engine, &request).await?;
    let mut story = Story::new(&image);
    story.outputs(ctx);
    let deployed = tokio::select! {
        deployed = deploy(ctx, &request, &cluster, &mut story) => deployed,
        cancelled = ctx.cancelled() => Err(cancelled.into()),
    };
    if let Err(error) = deployed {
        story.failed(&error);
        let error = go_back(ctx, &request, &cluster, &mut story, error).await;
        story.write(ctx);
        return Err(error);
    }
    if request.latest {
        registry.move_latest(&image).await?;
        ctx.log().info("`latest` is this image now");
    }
    story.write(ctx);
    Ok(Done("deployed"))
}

async fn deploy(
    ctx: &Context,
    request: &Request,
    cluster: &Cluster,
    story: &mut Story,
) -> anyhow::Result<()> {
    let log = ctx.log();
    let mut manifests = request.manifests.clone();
    for container in manifests.with_image(&request.image, &story.image) {
        log.info(format!("{container} gets {}", story.image));
    }
    let objects = manifests.objects();
    let before = Before::of(cluster, objects).await?;
    story.previous = before.image().map(ToOwned::to_owned);

    // A namespace must be there for the dry run of what is in it.
    for object in objects.iter().filter(|object| object.kind() == "Namespace") {
        cluster.apply(object, false).await?;
    }
    // All or nothing: an object that would be refused stops the deployment before the first change.
    for object in objects {
        cluster.apply(object, true).await?;
    }
    story.before = Some(before);
    for object in objects {
        cluster.apply(object, false).await?;
        log.info(format!("applied {}", object.label()));
    }
    rollout::wait(cluster, objects, request.limits.rollout, log).await?;
    story.revision = report::revision(cluster, objects).await?;
    if let Some(service) = serving::load_balancer(objects) {
        let address =
            serving::wait_for_address(cluster, service, request.limits.address, log).await?;
        story.address = Some(address.clone());
        story.outputs(ctx);
        if let Some(path) = &request.health_path {
            let url = format!("{}{path}", address.url);
            serving::wait_for_health(
                ctx.http()?,
                &url,
                request.expect_commit.as_deref(),
                request.limits.health,
                log,
            )
            .await?;
        }
    }
    story.outputs(ctx);
    Ok(())
}

// The step is red whatever happens here; what changes is what serves.
async fn go_back(
    ctx: &Context,
    request: &Request,
    cluster: &Cluster,
    story: &mut Story,
    error: anyhow::Error,
) -> anyhow::Error {
    let Some(before) = story.before.take() else {
        return error;
    };
    let Some(previous) = story.previous.clone() else {
        return error.context("this was the first deployment, so there is no version to go back to; what was applied is left for a look");
    };
    let _group = ctx.log().group(format!("Back to {previous}"));
    let restored = match before.restore(cluster, ctx.log()).await {
        Ok(restored) => rollout::wait(cluster, &restored, request.limits.rollout, ctx.log()).await,
        Err(e) => Err(e),
    };
    match restored {
        Ok(()) => {
            story.rolled_back = true;
            story.outputs(ctx);
            if error.downcast_ref::<PolicyFailure>().is_some() {
                PolicyFailure(format!(
                    "the new version was refused, and `{previous}` serves again: {error:#}"
                ))
                .into()
            } else {
                error.context(format!(
                    "the deployment was not finished, and `{previous}` serves again"
                ))
            }
        }
        Err(e) => error.context(format!(
            "going back to `{previous}` failed as well ({e:#}); look at the cluster now"
        )),
    }
}
