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

use std::ops::ControlFlow;
use std::pin::pin;
use std::time::{Duration, Instant};

use actions_toolkit::{Cancelled, Context, Done};
use anyhow::Context as _;
use docker::Docker;

pub use action::ACTION;
use kubernetes::{Cluster, Snapshot};
pub use network::NETWORK;
use report::Report;
use request::{Draft, Preview, Request};
use steps::apply::Apply;
use steps::connect::Azure;
use steps::deployment_record::{self, Change};
use steps::github_deployment::GithubDeployment;
use steps::images::{Images, Resolved};
use steps::push::Registry;
use steps::taken_over::TakenOver;
use steps::{canary, connect, dry_run, health, left_over, preview, roll_back};

/// How long a step that has failed waits for what it is taking over in the cluster.
const TAKE_OVER: Duration = Duration::from_secs(5);
/// The same for one that is stopped, and how long that one waits for GitHub.
const STOPPED: Duration = Duration::from_secs(1);

/// Run the action.
///
/// # Errors
/// `BadInput` before anything is started; `PolicyFailure` when the new version is unhealthy, after the rollback; anything
/// else when Azure, the registry or the cluster fails.
pub async fn run(ctx: &Context) -> anyhow::Result<Done> {
    let read = async {
        let draft = Draft::read(ctx).await?;
        if draft.preview.as_ref().is_some_and(Preview::only_removes) {
            let done = remove_preview(ctx, &draft).await?;
            return Ok(ControlFlow::Break(done));
        }
        read(ctx, draft).await.map(ControlFlow::Continue)
    };
    // kustomize and Helm are stopped with it.
    let (request, connected) = match Box::pin(unless_stopped(ctx, read)).await? {
        ControlFlow::Continue(read) => read,
        ControlFlow::Break(done) => return Ok(done),
    };
    let images = unless_stopped(ctx, Images::find(ctx, &request)).await?;
    let docker = images.docker().filter(|_| !request.is_dry_run);
    let overdue = docker.map(Docker::remove_overdue);

    // Everything that may reject the deployment is queried before anything is pushed.
    let (azure, cluster) = if let Some((azure, cluster)) = connected {
        (azure, Some(cluster))
    } else {
        let sign_in = connect::sign_in(ctx, request.target.azure.as_ref());
        (unless_stopped(ctx, sign_in).await?, None)
    };
    let cluster = async {
        let target = &request.target.cluster;
        let cluster = match cluster {
            Some(cluster) => cluster,
            None => connect::cluster(ctx, target, azure.as_ref()).await?,
        };
        let taken = check(ctx, &request, &cluster).await?;
        anyhow::Ok((cluster, taken))
    };
    let registry = async {
        let registry = Registry::sign_in(ctx, azure.as_ref(), &request.target.registry).await?;
        let pushes = images
            .resolve(ctx, &request, azure.as_ref(), &registry)
            .await?;
        anyhow::Ok((registry, pushes))
    };
    let ((cluster, taken), (registry, images)) =
        Box::pin(both(ctx.cancelled(), cluster, registry)).await?;
    if let Some(overdue) = overdue
        && let Some(removed) = overdue.finish(ctx.cancelled()).await
    {
        ctx.log().info(removed);
    }
    if request.is_dry_run {
        let show = show_changes(ctx, &request, &images, &registry, &cluster);
        Box::pin(unless_stopped(ctx, show)).await?;
        return Ok(Done("planned"));
    }

    // A deployment that GitHub has made gets its final state below.
    let stopped = async {
        let cancelled = ctx.cancelled().await;
        tokio::time::sleep(STOPPED).await;
        cancelled
    };
    let github = tokio::select! {
        github = GithubDeployment::start(ctx, &request) => github,
        cancelled = stopped => {
            taken.give_back(&cluster).await;
            return Err(cancelled.into());
        }
    };
    let deployed = deploy(ctx, &request, &images, &registry, (&cluster, taken));
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

// Whether the cluster takes the objects; what is taken over for that. In a dry run, the objects are checked with the changes.
async fn check(ctx: &Context, request: &Request, cluster: &Cluster) -> anyhow::Result<TakenOver> {
    let objects = request.manifests.objects();
    cluster.discover_kinds(objects).await?;
    if let Some(preview) = &request.preview {
        preview::check(cluster, preview, objects).await?;
        if !request.is_dry_run {
            preview::remove_overdue(ctx.log(), cluster, preview).await;
        }
    }
    canary::check(cluster, request).await?;
    if request.is_dry_run {
        return Ok(TakenOver::default());
    }
    dry_run::validate(ctx.log(), cluster, objects).await
}

// What a deployment would change.
async fn show_changes(
    ctx: &Context,
    request: &Request,
    images: &Resolved,
    registry: &Registry,
    cluster: &Cluster,
) -> anyhow::Result<()> {
    let (image, more) = registry.show(ctx, images, request)?;
    let mut report = Report::of_dry_run(image, more);
    dry_run::show(ctx.log(), request, cluster, &mut report).await?;
    if request.latest && images.moves_latest() {
        ctx.log().info("the tag `latest` would move to this image");
    }
    report.write(ctx);
    Ok(())
}

// The result of `work`, unless the step is stopped.
async fn unless_stopped<T>(
    ctx: &Context,
    work: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<T> {
    tokio::select! {
        done = work => done,
        cancelled = ctx.cancelled() => Err(cancelled.into()),
    }
}

// Both, at the same time. If the registry fails, or the step is stopped, what was taken over in the cluster is given back.
async fn both<T>(
    stopped: impl Future<Output = Cancelled>,
    cluster: impl Future<Output = anyhow::Result<(Cluster, TakenOver)>>,
    registry: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<((Cluster, TakenOver), T)> {
    let (mut cluster, mut registry, mut stopped) = (pin!(cluster), pin!(registry), pin!(stopped));
    let (mut connected, mut signed_in) = (None, None);
    let (failed, timeout) = loop {
        (connected, signed_in) = match (connected, signed_in) {
            (Some(connected), Some(signed_in)) => return Ok((connected, signed_in)),
            waiting => waiting,
        };
        tokio::select! {
            done = &mut cluster, if connected.is_none() => connected = Some(done?),
            done = &mut registry, if signed_in.is_none() => match done {
                Ok(done) => signed_in = Some(done),
                Err(e) => break (e, TAKE_OVER),
            },
            cancelled = &mut stopped => break (cancelled.into(), STOPPED),
        }
    };
    if connected.is_none() {
        let late = tokio::time::timeout(timeout, cluster).await;
        connected = late.ok().and_then(Result::ok);
    }
    if let Some((cluster, taken)) = connected {
        taken.give_back(&cluster).await;
    }
    Err(failed)
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
    let rendered = chart.render(ctx, azure.as_ref(), &cluster).await?;
    let request = Request::read(ctx, draft, Some(rendered)).await?;
    Ok((request, Some((azure, cluster))))
}

// Remove the preview of a closed pull request, or those whose deadline has passed.
async fn remove_preview(ctx: &Context, draft: &Draft) -> anyhow::Result<Done> {
    let Some(preview) = &draft.preview else {
        return Ok(Done("removed"));
    };
    let azure = connect::sign_in(ctx, draft.target.azure.as_ref()).await?;
    let cluster = connect::cluster(ctx, &draft.target.cluster, azure.as_ref()).await?;
    if draft.is_dry_run() {
        preview::show_removal(ctx, &cluster, preview).await?;
        return Ok(Done("planned"));
    }
    if preview.is_of_schedule {
        preview::clean_up(ctx, &cluster, preview).await?;
    } else {
        preview::remove(ctx, &cluster, preview, draft.token()).await?;
    }
    Ok(Done("removed"))
}

// Push the image and update the cluster, or roll back.
async fn deploy(
    ctx: &Context,
    request: &Request,
    images: &Resolved,
    registry: &Registry,
    (cluster, taken): (&Cluster, TakenOver),
) -> anyhow::Result<Report> {
    let started = Instant::now();
    let pushed = unless_stopped(ctx, registry.push_all(ctx, images, request));
    let (image, more) = match pushed.await {
        Ok(pushed) => pushed,
        Err(e) => {
            taken.give_back(cluster).await;
            return Err(e);
        }
    };
    let mut report = Report::new(image, started);
    (report.more, report.taken) = (more, taken);
    let commit = images.expected_commit(ctx, request);
    let update = update(ctx, request, cluster, commit, &mut report);
    let mut updated = Box::pin(unless_stopped(ctx, update)).await;
    let change = Change::of(request, &report);
    if let Err(error) = updated {
        report.failed(&error);
        // There may be no time left after the rollback.
        report.set_outputs(ctx);
        let rolled_back = roll_back::roll_back(ctx, request, cluster, &mut report, error);
        updated = Err(Box::pin(rolled_back).await);
    }
    report.write(ctx);
    deployment_record::write(ctx, request, &change, &report, updated.is_ok()).await;
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
    let mut snapshot = Snapshot::read(cluster, request.manifests.objects()).await?;
    report.taken.restore_in(&mut snapshot);
    report.previous = snapshot.image(&request.names).map(ToOwned::to_owned);
    let left_over = left_over::find(log, request, cluster, &snapshot).await?;
    if report.previous.is_none() {
        report.previous = left_over.image(&request.names).map(ToOwned::to_owned);
    }
    let (manifests, _) = dry_run::plan(log, request, cluster, &snapshot, report).await?;
    let limits = request.timeouts.rollout;
    let apply = Apply {
        log,
        cluster,
        objects: manifests.objects(),
        limits,
    };
    apply.begin(snapshot, report).await?;
    apply.before_workloads(report).await?;
    let canaries = canary::run(ctx, request, cluster, manifests.objects(), report).await?;
    apply.workloads(report).await?;
    let (objects, unfinished) = (
        report.applied_in_order(manifests.objects()),
        report.unfinished(),
    );

    let started = Instant::now();
    let evidence = &mut report.evidence;
    let wait = rollout::wait(cluster, &unfinished, limits, log, evidence);
    report.revision = Box::pin(wait).await?;
    report.finished("rollout", started);

    let started = Instant::now();
    let healthy = health::check(ctx, request, cluster, report, &objects, commit).await;
    if healthy.is_err() && report.address.is_some() {
        rollout::collect_all(cluster, &objects, log, &mut report.evidence).await;
    }
    report.finished("health", started);
    healthy?;
    canaries.remove(log, cluster).await;
    if left_over::prune(log, request, cluster, left_over, report).await? {
        // It may have needed what was removed. Which commit it is of is known.
        health::check(ctx, request, cluster, report, &objects, None).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_step_that_is_stopped_waits_neither_for_the_cluster_nor_for_the_registry() {
        let stopped = || async {
            tokio::time::sleep(Duration::from_secs(60)).await;
            Cancelled("SIGTERM")
        };
        let started = tokio::time::Instant::now();
        let signed_in = async { anyhow::Ok(()) };
        let error = both(stopped(), std::future::pending(), signed_in).await;
        assert!(error.err().unwrap().is::<Cancelled>());
        let error = both::<()>(stopped(), std::future::pending(), std::future::pending()).await;
        assert!(error.err().unwrap().is::<Cancelled>());
        assert!(started.elapsed() < Duration::from_secs(2 * 62));
    }
}
