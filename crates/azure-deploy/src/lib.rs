//! The `azure-deploy` action: push, deploy, prove, or go back.

mod access;
mod action;
mod announcement;
mod change;
mod cluster;
mod deployment;
mod diff;
mod judge;
mod kustomize;
mod login;
mod manifests;
mod nodes;
mod object;
mod pace;
mod pods;
mod push;
mod report;
mod request;
mod rollout;
mod serving;
mod superseded;
mod variables;
mod watch;

use std::time::Instant;

use actions_toolkit::{Context, Done};
use anyhow::Context as _;
use docker::Docker;

pub use action::ACTION;
use announcement::Announcement;
use login::Login;
use report::Story;
use request::Request;

/// Run the action.
///
/// # Errors
/// `BadInput` before anything is started; `PolicyFailure` when the new version does not hold, after the
/// previous one was put back; anything else when Azure, the registry or the cluster fails.
pub async fn run(ctx: &Context) -> anyhow::Result<Done> {
    let request = Request::of(ctx).await?;
    let docker = Docker::connect(ctx.env().get("DOCKER_HOST")).await?;
    push::check(&docker, &request).await?;

    // Whatever can refuse is asked before anything is pushed.
    let login = match &request.target.azure {
        Some(azure) => Some(Login::new(ctx, azure).await?),
        None => None,
    };
    let cluster = async {
        let cluster = access::reach(ctx, &request, login.as_ref()).await?;
        let objects = request.manifests.objects();
        let absent = change::absent_namespaces(&cluster, objects).await?;
        change::rehearse(&cluster, objects, &absent).await?;
        anyhow::Ok(cluster)
    };
    let registry = push::Registry::sign_in(ctx, login.as_ref(), &request.target.registry);
    let (cluster, registry) = tokio::try_join!(cluster, registry)?;

    let announcement = Announcement::begin(ctx, &request).await;
    let begun = Instant::now();
    let pushed = tokio::select! {
        pushed = registry.push_all(ctx, &docker, &request) => pushed,
        cancelled = ctx.cancelled() => Err(cancelled.into()),
    };
    let image = match pushed {
        Ok(image) => image,
        Err(error) => {
            announcement.failed(&error).await;
            return Err(error);
        }
    };
    let mut story = Story::new(&image, begun);
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
        announcement.failed(&error).await;
        return Err(error);
    }
    story.write(ctx);
    announcement.succeeded(&story).await;
    if request.latest {
        let moved = registry.move_latest(&image).await;
        moved
            .context("the new version is deployed and serves, but the tag `latest` did not move")?;
        ctx.log().info("the tag `latest` is this image now");
    }
    Ok(Done("deployed"))
}
