//! The `azure-deploy` action: push an image, deploy it, and verify the service, or roll back.

mod action;
#[cfg(fuzzing)]
pub mod fuzz;
mod kubernetes;
mod manifests;
mod network;
mod report;
mod request;
mod rollout;
mod steps;

use std::time::Instant;

use actions_toolkit::{Context, Done};
use anyhow::Context as _;
use docker::Docker;

pub use action::ACTION;
use kubernetes::{Cluster, Snapshot};
pub use network::NETWORK;
use report::Report;
use request::{Draft, Request};
use steps::connect::Azure;
use steps::github_deployment::GithubDeployment;
use steps::images::{Images, Resolved};
use steps::push::Registry;
use steps::{apply, connect, dry_run, health, left_over, preview, roll_back};

/// Run the action.
///
/// # Errors
/// `BadInput` before anything is started; `PolicyFailure` when the new version is unhealthy, after the rollback; anything
/// else when Azure, the registry or the cluster fails.
pub async fn run(ctx: &Context) -> anyhow::Result<Done> {
    let read = async {
        let draft = Draft::read(ctx).await?;
        if draft
            .preview
            .as_ref()
            .is_some_and(|preview| preview.is_closed)
        {
            remove_preview(ctx, &draft).await?;
            return Ok(None);
        }
        read(ctx, draft).await.map(Some)
    };
    let read = tokio::select! {
        read = read => read?,
        // kustomize and Helm are stopped with it.
        cancelled = ctx.cancelled() => return Err(cancelled.into()),
    };
    let Some((request, connected)) = read else {
        return Ok(Done("removed"));
    };
    let images = Images::find(ctx, &request).await?;
    let overdue = images.docker().map(Docker::remove_overdue);

    // Everything that may reject the deployment is queried before anything is pushed.
    let (azure, cluster) = if let Some((azure, cluster)) = connected {
        (azure, Some(cluster))
    } else {
        let azure = connect::sign_in(ctx, request.target.azure.as_ref()).await?;
        (azure, None)
    };
    let cluster = async {
        let target = &request.target.cluster;
        let cluster = match cluster {
            Some(cluster) => cluster,
            None => connect::cluster(ctx, target, azure.as_ref()).await?,
        };
        cluster.discover_kinds(request.manifests.objects()).await?;
        if let Some(preview) = &request.preview {
            preview::check(&cluster, preview, request.manifests.objects()).await?;
            preview::remove_overdue(ctx.log(), &cluster, preview).await;
        }
        dry_run::validate(ctx.log(), &cluster, request.manifests.objects()).await?;
        anyhow::Ok(cluster)
    };
    let registry = async {
        let registry = Registry::sign_in(ctx, azure.as_ref(), &request.target.registry).await?;
        let pushes = images
            .resolve(ctx, &request, azure.as_ref(), &registry)
            .await?;
        anyhow::Ok((registry, pushes))
    };
    let (cluster, (registry, images)) = tokio::try_join!(cluster, registry)?;
    if let Some(overdue) = overdue
        && let Some(removed) = overdue.finish(ctx.cancelled()).await
    {
        ctx.log().info(removed);
    }

    let github = GithubDeployment::start(ctx, &request).await;
    let deployed = deploy(ctx, &request, &images, &registry, &cluster);
    let deployed = Box::pin(deployed).await;
    github.finish(&deployed).await;
    if let Some(preview) = &request.preview {
        preview::report(ctx, preview, request.token.as_ref(), &deployed).await;
    }
    let report = deployed?;
    if request.latest && images.moves_latest() {
        let moved = registry.move_latest(&report.image).await;
        moved.context(
            "the new version is deployed and healthy, but the tag `latest` did not move",
        )?;
        ctx.log().info("moved the tag `latest` to this image");
    }
    Ok(Done("deployed"))
}

// The request. For a chart, the cluster is connected first: it is rendered with its version.
async fn read(
    ctx: &Context,
    draft: Draft,
) -> anyhow::Result<(Request, Option<(Option<Azure>, Cluster)>)> {
    let Some(chart) = &draft.chart else {
        return Ok((Request::read(ctx, draft, None).await?, None));
    };
    let azure = connect::sign_in(ctx, draft.target.azure.as_ref()).await?;
    let cluster = connect::cluster(ctx, &draft.target.cluster, azure.as_ref()).await?;
    let rendered = chart.render(ctx, &cluster).await?;
    let request = Request::read(ctx, draft, Some(rendered)).await?;
    Ok((request, Some((azure, cluster))))
}

// Remove the preview of a closed pull request.
async fn remove_preview(ctx: &Context, draft: &Draft) -> anyhow::Result<()> {
    let Some(preview) = &draft.preview else {
        return Ok(());
    };
    let azure = connect::sign_in(ctx, draft.target.azure.as_ref()).await?;
    let cluster = connect::cluster(ctx, &draft.target.cluster, azure.as_ref()).await?;
    preview::remove(ctx, &cluster, preview, draft.token()).await
}

// Push the image and update the cluster, or roll back.
async fn deploy(
    ctx: &Context,
    request: &Request,
    images: &Resolved,
    registry: &Registry,
    cluster: &Cluster,
) -> anyhow::Result<Report> {
    let started = Instant::now();
    let (image, more) = tokio::select! {
        pushed = registry.push_all(ctx, images, request) => pushed?,
        cancelled = ctx.cancelled() => return Err(cancelled.into()),
    };
    let mut report = Report::new(image, started);
    report.more = more;
    let commit = images.expected_commit(ctx, request);
    let mut updated = tokio::select! {
        updated = update(ctx, request, cluster, commit, &mut report) => updated,
        cancelled = ctx.cancelled() => Err(cancelled.into()),
    };
    if let Err(error) = updated {
        report.failed(&error);
        // There may be no time left after the rollback.
        report.set_outputs(ctx);
        updated = Err(roll_back::roll_back(ctx, request, cluster, &mut report, error).await);
    }
    report.write(ctx);
    updated.map(|()| report)
}

// Apply the manifests, wait for the rollout, and check the health.
async fn update(
    ctx: &Context,
    request: &Request,
    cluster: &Cluster,
    commit: Option<&str>,
    report: &mut Report,
) -> anyhow::Result<()> {
    let log = ctx.log();
    let snapshot = Snapshot::read(cluster, request.manifests.objects()).await?;
    report.previous = snapshot.image(&request.names).map(ToOwned::to_owned);
    let left_over = left_over::find(log, request, cluster, &snapshot).await?;
    if report.previous.is_none() {
        report.previous = left_over.image(&request.names).map(ToOwned::to_owned);
    }
    let manifests = dry_run::plan(log, request, cluster, &snapshot, report).await?;
    let limits = request.timeouts.rollout;
    apply::apply(log, cluster, manifests.objects(), snapshot, limits, report).await?;
    let objects = report.applied.clone();

    let started = Instant::now();
    let evidence = &mut report.evidence;
    report.revision = rollout::wait(cluster, &objects, limits, log, evidence).await?;
    report.finished("rollout", started);

    let started = Instant::now();
    let healthy = health::check(ctx, request, cluster, report, &objects, commit).await;
    if healthy.is_err() && report.address.is_some() {
        rollout::collect_all(cluster, &objects, log, &mut report.evidence).await;
    }
    report.finished("health", started);
    healthy?;
    if left_over::prune(log, request, cluster, left_over, report).await? {
        // It may have needed what was removed.
        health::check(ctx, request, cluster, report, &objects, commit).await?;
    }
    Ok(())
}
