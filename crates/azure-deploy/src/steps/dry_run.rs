//! The dry run: the API server checks every object and responds with what it would be, and nothing changes.

use std::collections::BTreeMap;

use actions_toolkit::{BadInput, Log, text::plural};
use anyhow::anyhow;
use futures_util::future::{join_all, try_join_all};
use oci::ImageRef;
use serde_json::Value;

use crate::kubernetes::{Cluster, Object, Owners, Rejected, Snapshot, is_invalid};
use crate::manifests::{Facts, ImageNames, Manifests, Reading, Stale, stale};
use crate::report::Report;
use crate::request::Request;
use crate::steps::depends::depends;
use crate::steps::left_over;
use crate::steps::taken_over::TakenOver;

/// What has become of the cluster, for an error while nothing was applied.
pub(super) const UNCHANGED: &str = "so nothing was changed";
/// The same once something was, on which others depend.
pub(super) const WORKLOADS_UNCHANGED: &str =
    "which is known only now, so the workloads were not changed";

/// What applying changes of each object, by its label.
type Changes = Vec<(String, Vec<String>)>;

/// What the API server responds for an object.
#[derive(Debug)]
pub(crate) enum Checked {
    /// What it would be.
    Planned(Value),
    /// It cannot be checked before it is applied.
    Unknown,
    /// It can be checked only once the object with this label is applied.
    After(String),
}

impl Checked {
    fn planned(&self) -> Option<&Value> {
        match self {
            Self::Planned(planned) => Some(planned),
            _ => None,
        }
    }

    // What applying it changes of `object`.
    fn changes(&self, object: &Object, snapshot: &Snapshot) -> Vec<String> {
        match self {
            Self::After(other) if snapshot.live(object).is_some() => {
                vec![format!(
                    "unknown: the API server can check it only once {other} is applied"
                )]
            }
            _ => snapshot.changes(object, self.planned()),
        }
    }
}

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
) -> anyhow::Result<TakenOver> {
    let snapshot = Snapshot::read(cluster, objects).await?;
    let taken = TakenOver::take(log, cluster, &snapshot).await?;
    warn_of_continuous(log, &snapshot);
    let absent = snapshot.absent_namespaces(objects);
    log_absent(log, &absent);
    match dry_run(cluster, &snapshot, objects, &absent, UNCHANGED).await {
        Ok(checked) => log_later(log, objects, &checked),
        Err(rejected) => {
            taken.give_back(cluster).await;
            return Err(rejected);
        }
    }
    Ok(taken)
}

// What is checked later than the rest.
fn log_later(log: &Log, objects: &[Object], checked: &[Checked]) {
    for (object, checked) in objects.iter().zip(checked) {
        if let Checked::After(other) = checked {
            log.info(format!(
                "{} is checked once {other} is applied, before the workloads change: the API server does not accept it without",
                object.label()
            ));
        }
    }
}

/// Record in `report` what a deployment of its images would change; the log gets it too. Nothing is changed, and nothing is
/// taken over: what that would remove is found by another dry run.
///
/// # Errors
/// As [`validate`].
pub(crate) async fn show(
    log: &Log,
    request: &Request,
    cluster: &Cluster,
    report: &mut Report,
) -> anyhow::Result<()> {
    let objects = request.manifests.objects();
    let snapshot = Snapshot::read(cluster, objects).await?;
    warn_of_continuous(log, &snapshot);
    log_absent(log, &snapshot.absent_namespaces(objects));
    log_foreign(log, &snapshot);
    let left_over = left_over::find(log, request, cluster, &snapshot).await?;
    let previous = snapshot.image(&request.names);
    let previous = previous.or_else(|| left_over.image(&request.names));
    report.previous = previous.map(ToOwned::to_owned);
    let (_, mut changes) = plan(log, request, cluster, &snapshot, report).await?;
    // The log has them already.
    changes.extend(left_over.changes());
    if changes.iter().all(|(_, changes)| changes.is_empty()) {
        log.info("no object would change");
    }
    report.changes = changes;
    Ok(())
}

fn log_absent(log: &Log, absent: &[&Object]) {
    for namespace in absent {
        log.info(format!(
            "{} does not exist yet: the fields of its objects are checked in the namespace `default`, and what only it can reject once it is created",
            namespace.label()
        ));
    }
}

// The objects that a deployment would take over from who deployed them.
fn log_foreign(log: &Log, snapshot: &Snapshot) {
    for (object, live) in snapshot.objects() {
        let taken = live
            .as_ref()
            .and_then(|live| Owners::of(live).take_over(object, live));
        let from = taken.map(|taken| taken.from).unwrap_or_default();
        if !from.is_empty() {
            let from: Vec<_> = from.into_iter().collect();
            log.info(format!(
                "{} would be taken over from the field manager `{}`: what the manifests do not have would be removed, and is among the changes",
                object.label(),
                from.join("`, `")
            ));
        }
    }
}

// Who else deploys the objects again and again will undo what this deployment changes.
fn warn_of_continuous(log: &Log, snapshot: &Snapshot) {
    let mut by_manager: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (object, live) in snapshot.objects() {
        let owners = live.as_ref().map(Owners::of);
        let by = owners.as_ref().and_then(Owners::continuously_applied_by);
        if let Some(by) = by.filter(|_| !object.is_namespace()) {
            let labels = by_manager.entry(by.to_owned()).or_default();
            labels.push(object.label());
        }
    }
    for (by, labels) in by_manager {
        log.warning(format!(
            "`{by}` deploys {} too, and may undo this deployment at any time; deploy through the repository that it follows, or exclude them there",
            labels.join(", ")
        ));
    }
}

/// The manifests as they are to be applied, with the images of `report`, and every change that they would make, which the log gets
/// too. If only the time would change, the previous time is kept: the pods are not restarted.
///
/// # Errors
/// As [`validate`].
pub(crate) async fn plan(
    log: &Log,
    request: &Request,
    cluster: &Cluster,
    snapshot: &Snapshot,
    report: &Report,
) -> anyhow::Result<(Manifests, Changes)> {
    let image = &report.image;
    let previous = |name: &str| snapshot.variable(&request.names, name);
    let is_same_image = snapshot.image(&request.names) == Some(&image.to_string());
    let previous_time = request.variables.time_of(previous);
    if let Some(time) = previous_time.filter(|_| is_same_image) {
        let (manifests, _) = fill(request, snapshot, report, time);
        let (changes, _) = changes(request, cluster, snapshot, manifests.objects()).await?;
        if changes.iter().all(|(_, changes)| changes.is_empty()) {
            log.info(format!("no changes since {time}; pods are not restarted"));
            return Ok((manifests, changes));
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
    let (changes, stale) = changes(request, cluster, snapshot, manifests.objects()).await?;
    log_changes(log, &changes);
    log_stale(log, &stale);
    Ok((manifests, changes))
}

// The changes of each object, and the workloads whose pods do not get those of the configuration.
async fn changes(
    request: &Request,
    cluster: &Cluster,
    snapshot: &Snapshot,
    objects: &[Object],
) -> anyhow::Result<(Changes, Vec<Stale>)> {
    let absent = snapshot.absent_namespaces(objects);
    let mut results = dry_run(cluster, snapshot, objects, &absent, UNCHANGED).await?;
    if request.is_dry_run {
        results = with_take_over(cluster, snapshot, objects, results).await?;
    }
    let both = || objects.iter().zip(&results);
    let states = both().map(|(object, result)| (snapshot.live(object), result.planned()));
    let stale = stale(objects, &states.collect::<Vec<_>>());
    let changes = both()
        .map(|(object, result)| (object.label(), result.changes(object, snapshot)))
        .collect();
    Ok((changes, stale))
}

// The same if the objects of others were taken over first, as a deployment does.
async fn with_take_over(
    cluster: &Cluster,
    snapshot: &Snapshot,
    objects: &[Object],
    results: Vec<Checked>,
) -> anyhow::Result<Vec<Checked>> {
    let planned = objects.iter().zip(results).map(async |(object, result)| {
        match (result, snapshot.live(object)) {
            (Checked::Planned(planned), Some(live)) => cluster
                .planned_with_take_over(object, live, planned)
                .await
                .map(Checked::Planned),
            (result, _) => Ok(result),
        }
    });
    try_join_all(planned).await
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
/// cluster does not know yet, and those for an admission webhook that a dry run does not call, cannot be checked. One that is
/// rejected may need another one of `objects`, which is new or changes, and is checked once that is applied. `consequence` is
/// what has become of the cluster, for the error.
///
/// # Errors
/// As [`validate`].
pub(crate) async fn dry_run(
    cluster: &Cluster,
    snapshot: &Snapshot,
    objects: &[Object],
    absent: &[&Object],
    consequence: &str,
) -> anyhow::Result<Vec<Checked>> {
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
    let responses = join_all(responses).await;
    let awaited = awaited(objects, &responses, snapshot);
    let mut results = Vec::new();
    let mut rejections = Vec::new();
    for (response, awaited) in responses.into_iter().zip(awaited) {
        match (response, awaited) {
            (Ok(Some(planned)), _) => results.push(Checked::Planned(planned)),
            (Ok(None), _) => results.push(Checked::Unknown),
            (Err(_), Some(other)) => results.push(Checked::After(other)),
            (Err(e), None) if e.downcast_ref::<Rejected>().is_some() => rejections.push(e),
            (Err(e), None) => return Err(e),
        }
    }
    if rejections.is_empty() {
        return Ok(results);
    }
    let is_bad_input = rejections.iter().any(is_invalid);
    let messages: Vec<_> = rejections.iter().map(|e| format!("{e:#}")).collect();
    let problem = format!(
        "the API server would reject the objects, {consequence}: {}",
        messages.join("; ")
    );
    Err(if is_bad_input {
        BadInput::new("manifests", problem).into()
    } else {
        anyhow!(problem)
    })
}

// For each of `objects` that is rejected, what it may need: one that is applied before it, and is new or changes.
fn awaited(
    objects: &[Object],
    responses: &[anyhow::Result<Option<Value>>],
    snapshot: &Snapshot,
) -> Vec<Option<String>> {
    let both = || objects.iter().zip(responses);
    let is_changed = |object: &Object, response: &anyhow::Result<Option<Value>>| match response {
        Ok(planned) => !snapshot.changes(object, planned.as_ref()).is_empty(),
        // It may wait itself. If not, its rejection is the one that counts.
        Err(_) => true,
    };
    // What is in a new namespace is checked once that is created.
    let is_new = |other: &Object| other.is_namespace() && snapshot.live(other).is_none();
    let needs = |(object, response): (&Object, &anyhow::Result<Option<Value>>)| {
        let rejected = response.as_ref().err()?.downcast_ref::<Rejected>()?;
        // Another schema makes an invalid object valid; everything else decides about admission.
        let is_of_admission = !rejected.is_invalid_object() || rejected.is_of_admission();
        let mut others = both().filter(|(other, _)| {
            depends(object, other) && !is_new(other) && (other.is_definition() || is_of_admission)
        });
        let (other, _) = others.find(|(other, response)| is_changed(other, response))?;
        Some(other.label())
    };
    both().map(needs).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_rejected_waits_for_what_changes_before_it() {
        let definition = json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "offers.shop.example"},
            "spec": {"group": "shop.example", "names": {"kind": "Offer"}, "versions": [{"name": "v1", "served": true}]},
        });
        let offer =
            json!({"apiVersion": "shop.example/v1", "kind": "Offer", "metadata": {"name": "best"}});
        let other =
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}});
        let objects = [&definition, &offer, &other].map(|v| Object::of_test(v.clone(), None));
        let mut snapshot = Snapshot::of_test();
        snapshot.set(&objects[0], Some(definition.clone()));
        let mut changed = definition.clone();
        changed["spec"]["versions"][0]["schema"] = json!({"openAPIV3Schema": {"type": "object"}});
        let rejected = || -> anyhow::Result<Option<Value>> { Err(Rejected::of_test(422).into()) };
        let none: [Option<String>; 3] = [None, None, None];
        let waits = |definition: anyhow::Result<Option<Value>>| {
            awaited(&objects, &[definition, rejected(), rejected()], &snapshot)
        };
        let label = "CustomResourceDefinition/offers.shop.example".to_owned();
        let waiting = [None, Some(label), None];
        assert_eq!(waits(Ok(Some(changed))), waiting);
        assert_eq!(waits(rejected()), waiting);
        assert_eq!(waits(Ok(Some(definition.clone()))), none);
        // A namespace may say what is admitted to it, not what is valid; a new one is created before its objects are checked.
        let namespace =
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "web"}});
        let objects = [&namespace, &other].map(|v| Object::of_test(v.clone(), Some("web")));
        let waits = |snapshot: &Snapshot, code: u16| {
            let rejected = Err(Rejected::of_test(code).into());
            let labeled = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "web", "labels": {"a": "b"}}});
            awaited(&objects, &[Ok(Some(labeled)), rejected], snapshot)[1].clone()
        };
        assert_eq!(waits(&snapshot, 403), None);
        snapshot.set(&objects[0], Some(namespace.clone()));
        assert_eq!(waits(&snapshot, 403).as_deref(), Some("Namespace/web"));
        assert_eq!(waits(&snapshot, 422), None);
        // Not what is accepted, and not what another error stops.
        let accepted = [Ok(Some(json!({}))), Ok(None), Err(anyhow!("unreachable"))];
        let objects = [&definition, &offer, &other].map(|v| Object::of_test(v.clone(), None));
        assert_eq!(awaited(&objects, &accepted, &snapshot), none);
    }
}
