//! The deployment itself: apply, wait, ask for health; or go back.

use std::time::Instant;

use actions_toolkit::{Cancelled, Context, Log, PolicyFailure, text::plural};
use anyhow::Context as _;
use futures_util::future::join_all;

use crate::change::{self, Before, Plan};
use crate::cluster::{Cluster, patiently};
use crate::manifests::Manifests;
use crate::object::Object;
use crate::report::{self, Story};
use crate::request::Request;
use crate::rollout;
use crate::serving;
use crate::superseded::{Superseded, any_superseded};
use crate::variables::Facts;

/// Apply the manifests with the story's image, and return when the new version serves.
///
/// # Errors
/// [`PolicyFailure`] when the new version does not hold; anything else when the cluster fails.
pub(crate) async fn deploy(
    ctx: &Context,
    request: &Request,
    cluster: &Cluster,
    story: &mut Story,
) -> anyhow::Result<()> {
    let log = ctx.log();
    let before = Before::of(cluster, request.manifests.objects()).await?;
    story.previous = before.image(&request.repository).map(ToOwned::to_owned);
    let (manifests, plan) = manifests(ctx, request, cluster, story, &before).await?;
    show(log, &plan);
    let objects = manifests.objects();
    prepare_namespaces(ctx, cluster, objects, &before).await?;

    // From here on there is something to take back.
    let before = story.before.insert(before);
    for objects in objects.chunk_by(|one, next| one.rank() == next.rank()) {
        let applied = objects.iter().map(|object| cluster.apply(object, false));
        for (object, applied) in objects.iter().zip(join_all(applied).await) {
            let applied = applied?;
            let changes = before.changes(object, Some(&applied));
            log.info(format!("applied {} ({})", object.label(), brief(&changes)));
            story.changes.push((object.label(), changes));
            story.applied.push(object.with(applied));
        }
    }

    let begun = Instant::now();
    let limit = request.limits.rollout;
    rollout::wait(cluster, &story.applied, limit, log, &mut story.evidence).await?;
    story.took("rollout", begun);
    story.revision = report::revision(cluster, objects).await?;
    let begun = Instant::now();
    serve(ctx, request, cluster, story, objects).await?;
    story.took("health", begun);
    Ok(())
}

// The manifests as they are applied, and what that changes. A deployment that changes nothing but its time changes
// nothing: the pods stay, and what they say of when they were deployed.
async fn manifests(
    ctx: &Context,
    request: &Request,
    cluster: &Cluster,
    story: &Story,
    before: &Before,
) -> anyhow::Result<(Manifests, Plan)> {
    let live = |name: &str| before.variable(&request.repository, name);
    let is_same_image = before.image(&request.repository) == Some(&story.image);
    if let Some(time) = request.variables.time_of(live).filter(|_| is_same_image) {
        let (manifests, _) = filled(request, story, time);
        let plan = before.plan(cluster, manifests.objects()).await?;
        if plan.iter().all(|(_, changes)| changes.is_empty()) {
            ctx.log().info(format!(
                "the cluster has all of this since {time}: no pod is started anew"
            ));
            return Ok((manifests, plan));
        }
    }
    let now = jiff::Timestamp::now().round(jiff::Unit::Second);
    let now = now.map_or_else(|_| String::new(), |now| now.to_string());
    let (manifests, containers) = filled(request, story, &now);
    for container in containers {
        ctx.log().info(format!("{container} gets {}", story.image));
    }
    let plan = before.plan(cluster, manifests.objects()).await?;
    Ok((manifests, plan))
}

// Every change, before the first one is made.
fn show(log: &Log, plan: &Plan) {
    let changed = plan.iter().filter(|(_, changes)| !changes.is_empty());
    let count = changed.clone().count();
    if count == 0 {
        return;
    }
    let title = format!("Changes to {} of {}", plural(count, "object"), plan.len());
    let _group = log.group(title);
    for (label, changes) in changed {
        for change in changes {
            log.info(format!("{label}: {change}"));
        }
    }
}

// The manifests with image and variables, and the containers that got them.
fn filled(request: &Request, story: &Story, time: &str) -> (Manifests, Vec<String>) {
    let mut manifests = request.manifests.clone();
    let facts = Facts {
        image: &story.image,
        digest: &story.digest,
        time,
    };
    manifests.set_variables(&request.repository, &request.variables.filled(facts));
    let containers = manifests.with_image(&request.repository, &story.image);
    (manifests, containers)
}

fn brief(changes: &[String]) -> String {
    match changes {
        [] => "unchanged".into(),
        [one] => one.clone(),
        many => plural(many.len(), "change"),
    }
}

// What is in a namespace that was not there could not be asked about: now it can.
async fn prepare_namespaces(
    ctx: &Context,
    cluster: &Cluster,
    objects: &[Object],
    before: &Before,
) -> anyhow::Result<()> {
    let absent = before.absent_namespaces(objects);
    for namespace in &absent {
        cluster.apply(namespace, false).await?;
        ctx.log().info(format!("made {}", namespace.label()));
    }
    if absent.is_empty() {
        return Ok(());
    }
    if let Err(refused) = change::rehearse(cluster, objects, &[]).await {
        for namespace in absent {
            // It is empty, and ours; to remove one is a right that the identity may well lack.
            if let Err(e) = cluster.delete(namespace).await {
                ctx.log()
                    .warning(format!("{} stays: {e:#}", namespace.label()));
            }
        }
        return Err(refused);
    }
    Ok(())
}

async fn serve(
    ctx: &Context,
    request: &Request,
    cluster: &Cluster,
    story: &mut Story,
    objects: &[Object],
) -> anyhow::Result<()> {
    let log = ctx.log();
    let Some(service) = serving::load_balancer(objects) else {
        if request.health_path.is_some() {
            log.warning("the manifests have no Service of type LoadBalancer, so nothing was asked from outside; `health-path: none` says that this is meant");
        }
        return Ok(());
    };
    let address = serving::wait_for_address(cluster, service, request.limits.address, log).await?;
    log.info(format!(
        "{} has the address {}",
        service.label(),
        address.host
    ));
    story.address = Some(address.clone());
    story.outputs(ctx);
    let Some(path) = &request.health_path else {
        return Ok(());
    };
    let url = format!("{}{path}", address.url);
    let commit = request.expect_commit.as_deref();
    let limit = request.limits.health;
    let healthy = serving::wait_for_health(ctx.http()?, &url, commit, limit, log).await;
    if healthy.is_err() {
        rollout::show_all(cluster, objects, log, &mut story.evidence).await;
    }
    healthy
}

/// Put the previous version back after `error`, and return the error to end with. The step is red whatever
/// happens here; what changes is what serves.
pub(crate) async fn go_back(
    ctx: &Context,
    request: &Request,
    cluster: &Cluster,
    story: &mut Story,
    error: anyhow::Error,
) -> anyhow::Error {
    if error.is::<Superseded>() {
        return error;
    }
    let Some(before) = story.before.take() else {
        return error.context("nothing was changed in the cluster");
    };
    let Some(previous) = story.previous.clone() else {
        return error.context("this was the first deployment, so there is no version to go back to; what was applied is left for a look");
    };
    let _group = ctx.log().group(format!("Back to {previous}"));
    if !error.is::<Cancelled>() {
        // Whatever comes of it: if it is still away, the attempt says so.
        tokio::select! {
            _ = patiently(async || cluster.version().await) => {}
            _ = ctx.cancelled() => {}
        }
    }
    if let Some(superseded) = any_superseded(cluster, &story.applied).await {
        ctx.log().info(format!("before that: {error:#}"));
        let superseded = superseded.into();
        story.failed(&superseded);
        return superseded;
    }
    let restored = match before.restore(cluster, ctx.log()).await {
        Ok(restored) => restored,
        Err(e) => {
            return error.context(format!(
                "going back to `{previous}` failed ({e:#}); look at the cluster now"
            ));
        }
    };
    story.rolled_back = true;
    // What is known of the new version does not hold any more.
    (story.address, story.revision) = (None, None);
    story.outputs(ctx);
    let unawaited = format!("`{previous}` was put back, and its rollout was not awaited");
    if error.downcast_ref::<Cancelled>().is_some() {
        return error.context(unawaited);
    }
    let confirmed = tokio::select! {
        confirmed = confirm(ctx, request, cluster, story, &restored) => confirmed,
        _ = ctx.cancelled() => return error.context(unawaited),
    };
    match confirmed {
        Ok(()) if error.downcast_ref::<PolicyFailure>().is_some() => PolicyFailure(format!(
            "the new version was refused, and `{previous}` serves again: {error:#}"
        ))
        .into(),
        Ok(()) => error.context(format!(
            "the deployment was not finished, and `{previous}` serves again"
        )),
        Err(e) => error.context(format!(
            "`{previous}` was put back, but it does not serve ({e:#}); look at the cluster now"
        )),
    }
}

// The previous version serves again: its rollout is done, and it answers, as whatever commit it is.
async fn confirm(
    ctx: &Context,
    request: &Request,
    cluster: &Cluster,
    story: &mut Story,
    restored: &[Object],
) -> anyhow::Result<()> {
    let log = ctx.log();
    rollout::wait(
        cluster,
        restored,
        request.limits.rollout,
        log,
        &mut Vec::new(),
    )
    .await?;
    story.revision = report::revision(cluster, restored).await?;
    let Some(service) = serving::load_balancer(restored) else {
        return Ok(());
    };
    let address = serving::wait_for_address(cluster, service, request.limits.address, log).await?;
    let url = address.url.clone();
    story.address = Some(address);
    let Some(path) = &request.health_path else {
        return Ok(());
    };
    let url = format!("{url}{path}");
    serving::wait_for_health(ctx.http()?, &url, None, request.limits.health, log)
        .await
        .context("after its rollout")
}
