//! Apply the manifests with the new image, and record what changes.

use actions_toolkit::{Context, Log, text::plural};
use futures_util::future::join_all;

use super::dry_run::dry_run;
use crate::kubernetes::{Cluster, Object, Snapshot};
use crate::manifests::{Facts, Manifests};
use crate::report::Report;
use crate::request::Request;

/// What applying changes of each object, by its label.
type Plan = Vec<(String, Vec<String>)>;

/// Apply the manifests with the report's image. The report gets the previous state before the first change, and every
/// object that was applied.
///
/// # Errors
/// When the API server rejects an object, or is unreachable.
pub(crate) async fn apply(
    ctx: &Context,
    request: &Request,
    cluster: &Cluster,
    report: &mut Report,
) -> anyhow::Result<()> {
    let log = ctx.log();
    let snapshot = Snapshot::read(cluster, request.manifests.objects()).await?;
    report.previous = snapshot.image(&request.repository).map(ToOwned::to_owned);
    let (manifests, plan) = prepare(log, request, cluster, report, &snapshot).await?;
    log_plan(log, &plan);
    let objects = manifests.objects();
    create_namespaces(log, cluster, objects, &snapshot).await?;

    // From here on there is something to roll back.
    let snapshot = report.snapshot.insert(snapshot);
    for objects in objects.chunk_by(|one, next| one.rank() == next.rank()) {
        let applied = objects.iter().map(|object| cluster.apply(object, false));
        for (object, applied) in objects.iter().zip(join_all(applied).await) {
            let applied = applied?;
            let changes = snapshot.changes(object, Some(&applied));
            log.info(format!("applied {} ({})", object.label(), brief(&changes)));
            report.changes.push((object.label(), changes));
            report.applied.push(object.with(applied));
        }
    }
    Ok(())
}

// The manifests as they are applied, and what that changes. If only the time would change, the previous time is kept:
// the pods are not restarted.
async fn prepare(
    log: &Log,
    request: &Request,
    cluster: &Cluster,
    report: &Report,
    snapshot: &Snapshot,
) -> anyhow::Result<(Manifests, Plan)> {
    let previous = |name: &str| snapshot.variable(&request.repository, name);
    let is_same_image = snapshot.image(&request.repository) == Some(&report.image);
    let previous_time = request.variables.time_of(previous);
    if let Some(time) = previous_time.filter(|_| is_same_image) {
        let (manifests, _) = fill(request, report, time);
        let plan = plan(cluster, snapshot, manifests.objects()).await?;
        if plan.iter().all(|(_, changes)| changes.is_empty()) {
            log.info(format!("no changes since {time}; pods are not restarted"));
            return Ok((manifests, plan));
        }
    }
    let now = jiff::Timestamp::now().round(jiff::Unit::Second);
    let now = now.map_or_else(|_| String::new(), |now| now.to_string());
    let (manifests, containers) = fill(request, report, &now);
    for container in containers {
        log.info(format!("{container} gets {}", report.image));
    }
    let plan = plan(cluster, snapshot, manifests.objects()).await?;
    Ok((manifests, plan))
}

async fn plan(cluster: &Cluster, snapshot: &Snapshot, objects: &[Object]) -> anyhow::Result<Plan> {
    let results = dry_run(cluster, objects, &snapshot.absent_namespaces(objects)).await?;
    let both = objects.iter().zip(results);
    Ok(both
        .map(|(object, result)| (object.label(), snapshot.changes(object, result.as_ref())))
        .collect())
}

// Every change, before the first one is made.
fn log_plan(log: &Log, plan: &Plan) {
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
fn fill(request: &Request, report: &Report, time: &str) -> (Manifests, Vec<String>) {
    let mut manifests = request.manifests.clone();
    let facts = Facts {
        image: &report.image,
        digest: &report.digest,
        time,
    };
    manifests.set_variables(&request.repository, &request.variables.filled(facts));
    let containers = manifests.with_image(&request.repository, &report.image);
    (manifests, containers)
}

fn brief(changes: &[String]) -> String {
    match changes {
        [] => "unchanged".into(),
        [one] => one.clone(),
        many => plural(many.len(), "change"),
    }
}

// The objects of a namespace that did not exist could not be checked: now they can.
async fn create_namespaces(
    log: &Log,
    cluster: &Cluster,
    objects: &[Object],
    snapshot: &Snapshot,
) -> anyhow::Result<()> {
    let absent = snapshot.absent_namespaces(objects);
    for namespace in &absent {
        cluster.apply(namespace, false).await?;
        log.info(format!("created {}", namespace.label()));
    }
    if absent.is_empty() {
        return Ok(());
    }
    if let Err(rejected) = dry_run(cluster, objects, &[]).await {
        for namespace in absent {
            // It is empty, and ours; the identity may lack the right to delete one.
            if let Err(e) = cluster.delete(namespace).await {
                log.warning(format!("{} is kept: {e:#}", namespace.label()));
            }
        }
        return Err(rejected);
    }
    Ok(())
}
