//! Roll back to the previous version.

use actions_toolkit::{Cancelled, Context, Log, PolicyFailure};
use anyhow::anyhow;
use futures_util::future::join_all;

use super::health::{self, Checked};
use crate::kubernetes::{Cluster, Object, Snapshot, retry_outage};
use crate::manifests::replaces_login;
use crate::report::Report;
use crate::request::Request;
use crate::rollout::{self, Superseded, find_superseded};

/// The end of the error of a first deployment.
const FIRST: &str = "this was the first deployment, so there is no version to roll back to; the applied objects are left for inspection";

/// Restore the previous version after `error`, and return the error of the step. The step fails in any case; the
/// rollback decides which version is deployed.
pub(crate) async fn roll_back(
    ctx: &Context,
    request: &Request,
    cluster: &Cluster,
    report: &mut Report,
    error: anyhow::Error,
) -> anyhow::Error {
    if error.is::<Superseded>() {
        return error;
    }
    let Some(snapshot) = report.snapshot.take() else {
        report.taken.give_back(cluster).await;
        return error.context("nothing was changed in the cluster");
    };
    let previous = report.previous.clone();
    let (title, new_jobs) = match &previous {
        Some(previous) => (format!("Roll back to {previous}"), Vec::new()),
        None => ("Restore what existed".to_owned(), new_jobs(&snapshot)),
    };
    let snapshot = match previous {
        Some(_) => snapshot,
        None => snapshot.existing(),
    };
    if previous.is_none() && snapshot.objects().is_empty() && new_jobs.is_empty() {
        return error.context(FIRST);
    }
    let _group = ctx.log().group(title);
    if !error.is::<Cancelled>() {
        // The result does not matter: if the API server is still unreachable, the attempt reports it.
        tokio::select! {
            _ = retry_outage(|| cluster.version()) => {}
            _ = ctx.cancelled() => {}
        }
    }
    if let Some(superseded) = find_superseded(cluster, &report.applied).await {
        ctx.log().info(format!("before that: {error:#}"));
        let superseded = superseded.into();
        report.failed(&superseded);
        return superseded;
    }
    stop(&new_jobs, &report.applied, cluster, ctx.log()).await;
    if previous.is_none() && snapshot.objects().is_empty() {
        return error.context(FIRST);
    }
    let restored = match restore(&snapshot, &report.applied, cluster, ctx.log()).await {
        Ok(restored) => restored,
        Err(e) => {
            let what = match &previous {
                Some(previous) => format!("roll back to `{previous}`"),
                None => "restore what existed before".to_owned(),
            };
            return error.context(format!("failed to {what} ({e:#}); check the cluster now"));
        }
    };
    // What is known of the new version is no longer true.
    (report.address, report.revision) = (None, None);
    report.exposed = None;
    let Some(previous) = previous else {
        return error.context("this was the first deployment, so there is no version to roll back to; what existed before is as it was, and the new objects are left for inspection");
    };
    report.rolled_back = true;
    let unverified = format!("rolled back to `{previous}` without waiting for its rollout");
    if error.downcast_ref::<Cancelled>().is_some() {
        return error.context(unverified);
    }
    // The outcome of what runs to its end is not a version's health.
    let ends = |o: &Object| {
        let policy = o.text("/spec/restartPolicy");
        o.is_job() || (o.is_of("", "Pod") && matches!(policy, "Never" | "OnFailure"))
    };
    let restored: Vec<_> = restored.into_iter().filter(|o| !ends(o)).collect();
    let verified = tokio::select! {
        verified = verify(ctx, request, cluster, report, &restored) => verified,
        _ = ctx.cancelled() => return error.context(unverified),
    };
    let state = match &verified {
        Ok(Checked::NothingServes) => "which has no replicas, so that nothing serves",
        _ => "which is healthy",
    };
    match verified {
        Ok(_) if error.downcast_ref::<PolicyFailure>().is_some() => PolicyFailure(format!(
            "the new version failed; rolled back to `{previous}`, {state}: {error:#}"
        ))
        .into(),
        Ok(_) => error.context(format!(
            "the deployment did not finish; rolled back to `{previous}`, {state}"
        )),
        Err(e) => error.context(format!(
            "rolled back to `{previous}`, but it is unhealthy ({e:#}); check the cluster now"
        )),
    }
}

// After a first deployment the new objects stay for inspection, but for Jobs that still run: the next deployment could not
// replace them.
fn new_jobs(snapshot: &Snapshot) -> Vec<Object> {
    let jobs = snapshot.objects().iter();
    let jobs = jobs.filter(|(object, live)| object.is_job() && live.is_none());
    jobs.map(|(job, _)| job.clone()).collect()
}

async fn stop(jobs: &[Object], applied: &[Object], cluster: &Cluster, log: &Log) {
    let stopped = jobs.iter().map(async |job| {
        let applied = applied.iter().find(|applied| applied.is_same(job));
        let stopped = cluster.stop_job(job, applied.map(|applied| &applied.value));
        (job.label(), stopped.await)
    });
    for (label, stopped) in join_all(stopped).await {
        match stopped {
            Ok(true) => log.info(format!("stopped and removed {label}, which still ran")),
            Ok(false) => {}
            Err(e) => log.warning(format!(
                "{label} may still run, and the next deployment may have to wait for it: {e:#}"
            )),
        }
    }
}

/// Decide per object: one that existed gets its fields and their owners back, a new one is deleted. A new namespace is kept, and
/// so is a newer login. A Job that replaced a finished one is stopped; `applied` has what this deployment applied. Each object is
/// tried, even if another one fails. Returns the objects that existed.
pub(crate) async fn restore(
    snapshot: &Snapshot,
    applied: &[Object],
    cluster: &Cluster,
    log: &Log,
) -> anyhow::Result<Vec<Object>> {
    let restore = async |(object, live): &(Object, Option<_>)| {
        let label = object.label();
        let done = |done: &str| (format!("{done} {label}"), None);
        match live {
            Some(live) if replaces_login(object, live) => Ok(done("kept")),
            Some(live) => {
                if object.is_job() {
                    let new = applied.iter().find(|new| new.is_same(object));
                    let new = new.map(|new| &new.value);
                    if let Some(line) = cluster.roll_back_job(object, live, new).await? {
                        return Ok((line, None));
                    }
                }
                let restored = cluster.restore(object, live, log).await?;
                anyhow::Ok((format!("restored {label}"), Some(object.with(restored))))
            }
            // Deleting a namespace deletes everything that is in it.
            None if object.is_namespace() => Ok(done("kept")),
            // Its definition was not served.
            None if !cluster.knows(object) => Ok(done("did not create")),
            None => cluster.delete(object).await.map(|()| done("deleted")),
        }
    };
    let mut problems = Vec::new();
    let mut restored = Vec::new();
    let objects = snapshot.objects().iter();
    let (definitions, others): (Vec<_>, Vec<_>) = objects.partition(|(o, _)| o.is_definition());
    // Without its definition an object cannot be changed.
    for objects in [others, definitions] {
        // In parallel: a cancelled run has seconds.
        let outcomes = join_all(objects.iter().copied().map(&restore)).await;
        for outcome in outcomes {
            match outcome {
                Ok((line, previous)) => {
                    log.info(line);
                    restored.extend(previous);
                }
                Err(e) => problems.push(format!("{e:#}")),
            }
        }
    }
    if problems.is_empty() {
        Ok(restored)
    } else {
        Err(anyhow!(problems.join("; ")))
    }
}

// The rollout of the previous version is done, and it is healthy, with any commit.
async fn verify(
    ctx: &Context,
    request: &Request,
    cluster: &Cluster,
    report: &mut Report,
    restored: &[Object],
) -> anyhow::Result<Checked> {
    let limits = request.timeouts.rollout;
    let mut evidence = Vec::new();
    let wait = rollout::wait(cluster, restored, limits, ctx.log(), &mut evidence);
    let live = Box::pin(wait).await?;
    report.revision = live;
    health::check(ctx, request, cluster, report, restored, None).await
}
