//! The dry run: the API server checks every object and responds with what it would be, and nothing changes.

use actions_toolkit::{BadInput, Log, text::plural};
use anyhow::anyhow;
use futures_util::future::{join_all, try_join_all};
use oci::ImageRef;
use serde_json::Value;

use crate::kubernetes::{Cluster, Object, Rejected, Snapshot};
use crate::manifests::{Facts, ImageNames, Manifests, Reading, Stale, stale};
use crate::report::Report;
use crate::request::Request;

/// What applying changes of each object, by its label.
type Changes = Vec<(String, Vec<String>)>;

/// Have the API server check `objects`. An object that it would reject stops the deployment before its first change.
///
/// Objects that were deployed in another way are taken over first: what the API server would reject, and what the diff
/// has, depends on it.
///
/// # Errors
/// With every rejection; [`BadInput`] when the objects themselves are invalid.
pub(crate) async fn validate(
    log: &Log,
    cluster: &Cluster,
    objects: &[Object],
) -> anyhow::Result<()> {
    let snapshot = Snapshot::read(cluster, objects).await?;
    let objects_and_states = snapshot.objects().iter();
    let taken = objects_and_states.map(async |(object, live)| {
        let taken = cluster.take_over(object, live.as_ref()).await?;
        anyhow::Ok(taken.map(|(owners, from)| (object, owners, from)))
    });
    let taken = try_join_all(taken).await?;
    let taken: Vec<_> = taken.into_iter().flatten().collect();
    for (object, _, from) in taken.iter().filter(|(_, _, from)| !from.is_empty()) {
        log.info(format!(
            "took over {} from the field manager `{}`: what the manifests do not have is removed",
            object.label(),
            from.join("`, `")
        ));
    }
    let absent = snapshot.absent_namespaces(objects);
    for namespace in &absent {
        log.info(format!(
            "{} does not exist yet: the fields of its objects are checked in the namespace `default`, and what only it can reject once it is created",
            namespace.label()
        ));
    }
    let checked = dry_run(cluster, &snapshot, objects, &absent).await;
    if checked.is_err() {
        for (object, owners, _) in taken {
            // It changes no value, and the next deployment takes over again: an object that cannot be read is left so.
            if let Ok(Some(live)) = cluster.get(object).await {
                let _ = cluster.set_owners(object, &live, owners).await;
            }
        }
    }
    checked.map(drop)
}

/// The manifests as they are to be applied, with the images of `report`; the log gets every change that they would make. If only the time
/// would change, the previous time is kept: the pods are not restarted.
///
/// # Errors
/// As [`validate`].
pub(crate) async fn plan(
    log: &Log,
    request: &Request,
    cluster: &Cluster,
    snapshot: &Snapshot,
    report: &Report,
) -> anyhow::Result<Manifests> {
    let image = &report.image;
    let previous = |name: &str| snapshot.variable(&request.names, name);
    let is_same_image = snapshot.image(&request.names) == Some(&image.to_string());
    let previous_time = request.variables.time_of(previous);
    if let Some(time) = previous_time.filter(|_| is_same_image) {
        let (manifests, _) = fill(request, snapshot, report, time);
        let (changes, _) = changes(cluster, snapshot, manifests.objects()).await?;
        if changes.iter().all(|(_, changes)| changes.is_empty()) {
            log.info(format!("no changes since {time}; pods are not restarted"));
            return Ok(manifests);
        }
    }
    let now = jiff::Timestamp::now().round(jiff::Unit::Second);
    let now = now.map_or_else(|_| String::new(), |now| now.to_string());
    let (manifests, containers) = fill(request, snapshot, report, &now);
    let undone = manifests.objects().iter();
    let undone = undone.filter_map(|object| snapshot.scaling_undone(object));
    // What is undone now says more than what may be undone.
    let mut warnings: Vec<_> = undone.collect();
    if warnings.is_empty() {
        warnings = manifests.scaled_twice();
    }
    for warning in warnings {
        log.warning(warning);
    }
    for container in containers {
        log.info(container);
    }
    let (changes, stale) = changes(cluster, snapshot, manifests.objects()).await?;
    log_changes(log, &changes);
    log_stale(log, &stale);
    Ok(manifests)
}

// The changes of each object, and the workloads whose pods do not get those of the configuration.
async fn changes(
    cluster: &Cluster,
    snapshot: &Snapshot,
    objects: &[Object],
) -> anyhow::Result<(Changes, Vec<Stale>)> {
    let absent = snapshot.absent_namespaces(objects);
    let results = dry_run(cluster, snapshot, objects, &absent).await?;
    let both = || objects.iter().zip(&results);
    let states = both().map(|(object, result)| (snapshot.live(object), result.as_ref()));
    let stale = stale(objects, &states.collect::<Vec<_>>());
    let changes = both()
        .map(|(object, result)| (object.label(), snapshot.changes(object, result.as_ref())))
        .collect();
    Ok((changes, stale))
}

// What the pods do not see, or see later.
fn log_stale(log: &Log, stale: &[Stale]) {
    for Stale {
        workload,
        source,
        reading,
    } in stale
    {
        match reading {
            Reading::Kept => log.warning(format!(
                "{source} changes, and the pods of {workload} keep the old one until they are replaced; set `restart-on-config-change: true` to replace them"
            )),
            Reading::Updated => log.info(format!(
                "{source} changes, and the pods of {workload} get the new files within about a minute; unless the application reads them again, set `restart-on-config-change: true`"
            )),
        }
    }
}

// The manifests with the images and variables of a deployment at `time`, and a line for each container that got an image.
fn fill(
    request: &Request,
    snapshot: &Snapshot,
    report: &Report,
    time: &str,
) -> (Manifests, Vec<String>) {
    let image = &report.image;
    let pinned = image.to_string();
    let facts = Facts {
        image: &pinned,
        digest: image.reference(),
        time,
    };
    let mut manifests = request.manifests.clone();
    if let Some(set) = &request.apply_set {
        // Until the deployment is done, the members of the last one count too.
        let parent = set.parent_of(manifests.objects(), None);
        let parent = set.parent_of(manifests.objects(), snapshot.live(&parent));
        manifests.add(parent);
    }
    manifests.set_variables(&request.names, &request.variables.filled(facts));
    let of = |names: &ImageNames, image: &ImageRef, manifests: &mut Manifests| {
        let pinned = image.to_string();
        let containers = manifests.with_image(names, &pinned).into_iter();
        containers
            .map(move |container| format!("{container} gets {pinned}"))
            .collect::<Vec<_>>()
    };
    let mut containers = of(&request.names, image, &mut manifests);
    for ((_, names), pinned) in request.also_deploy.iter().zip(&report.more) {
        containers.extend(of(names, pinned, &mut manifests));
    }
    (manifests, containers)
}

// Every change, before the first one is made.
fn log_changes(log: &Log, plan: &Changes) {
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

// Whether an admission webhook has effects elsewhere, so that the API server does not call it in a dry run
// (kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers, "Side effects").
fn is_without_dry_run(error: &anyhow::Error) -> bool {
    error.is::<Rejected>() && format!("{error:#}").contains("does not support dry run")
}

/// Each object as it would be. Of those in one of the namespaces `absent` only the fields are checked; those of kinds that the
/// cluster does not know yet, and those for an admission webhook that a dry run does not call, cannot be checked: `None`.
///
/// # Errors
/// As [`validate`].
pub(crate) async fn dry_run(
    cluster: &Cluster,
    snapshot: &Snapshot,
    objects: &[Object],
    absent: &[&Object],
) -> anyhow::Result<Vec<Option<Value>>> {
    let responses = objects.iter().map(async |object| {
        let namespace = object.namespace();
        let is_absent = absent.iter().any(|absent| Some(absent.name()) == namespace);
        if !cluster.knows(object) {
            return Ok(None);
        }
        if is_absent {
            return cluster.check_fields(object).await.map(|()| None);
        }
        let live = snapshot.live(object);
        match cluster.dry_run(object, live).await {
            // It may change the object when it is applied: what, is known only then.
            Err(e) if is_without_dry_run(&e) => Ok(None),
            result => result.map(Some),
        }
    });
    let mut results = Vec::new();
    let mut rejections = Vec::new();
    for response in join_all(responses).await {
        match response {
            Ok(result) => results.push(result),
            Err(e) if e.downcast_ref::<Rejected>().is_some() => rejections.push(e),
            Err(e) => return Err(e),
        }
    }
    if rejections.is_empty() {
        return Ok(results);
    }
    let is_invalid = |e: &anyhow::Error| {
        e.downcast_ref::<Rejected>()
            .is_some_and(Rejected::is_invalid_object)
    };
    let is_bad_input = rejections.iter().any(is_invalid);
    let messages: Vec<_> = rejections.iter().map(|e| format!("{e:#}")).collect();
    let problem = format!(
        "the API server would reject the objects, so nothing was changed: {}",
        messages.join("; ")
    );
    Err(if is_bad_input {
        BadInput::new("manifests", problem).into()
    } else {
        anyhow!(problem)
    })
}
