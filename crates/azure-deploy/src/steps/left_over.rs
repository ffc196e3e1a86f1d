//! What is left of earlier deployments: objects that the manifests no longer have.

use std::collections::BTreeSet;
use std::time::Duration;

use actions_toolkit::Log;
use anyhow::Context as _;
use futures_util::future::join_all;
use serde_json::Value;

use crate::kubernetes::{Cluster, Object, Owners, Snapshot, containers, is_listed_as};
use crate::manifests::ImageNames;
use crate::report::Report;
use crate::request::Request;
use crate::steps::canary;

/// How long the pods of a removed workload may take until they get no more requests.
const RETIREMENT: Duration = Duration::from_secs(30);
/// How many objects that the manifests do not have are named.
const SHOWN: usize = 10;
/// The change to an object that is removed.
const REMOVED: &str = "removed";
/// The kinds whose pods may serve behind a Service of the manifests.
const WORKLOADS: [&str; 3] = ["Deployment", "StatefulSet", "DaemonSet"];

/// The members of the last deployment that the manifests no longer have, each with its state.
#[derive(Default)]
pub(crate) struct LeftOver(Vec<(Object, Value)>);

impl LeftOver {
    /// The image of `names` in one of them: a workload may only have another name.
    pub(crate) fn image(&self, names: &ImageNames) -> Option<&str> {
        let containers = self.0.iter().flat_map(|(_, live)| containers(live));
        let mut images = containers.filter_map(|c| c["image"].as_str());
        images.find(|image| names.is_of(image))
    }

    /// What removing them changes.
    pub(crate) fn changes(&self) -> impl Iterator<Item = (String, Vec<String>)> {
        let removed = |(object, _): &(Object, Value)| (object.label(), vec![REMOVED.to_owned()]);
        self.0.iter().map(removed)
    }
}

/// Find what is left over. It is in the log before anything changes; what will not be removed, and runs the application
/// together with the new version, is a warning.
///
/// # Errors
/// When the request has `prune`, and the API server rejects to list the objects.
pub(crate) async fn find(
    log: &Log,
    request: &Request,
    cluster: &Cluster,
    snapshot: &Snapshot,
) -> anyhow::Result<LeftOver> {
    let objects = request.manifests.objects();
    let mut left_over = LeftOver::default();
    if let Some(set) = &request.apply_set {
        let parent = set.parent_of(objects, None);
        if let Some(live) = snapshot.live(&parent) {
            left_over.0 = cluster.left_over(set, live, objects).await?;
        }
        for (object, _) in &left_over.0 {
            log.info(format!(
                "{} is left from the last deployment, and is removed once the new version is healthy",
                object.label()
            ));
        }
    }
    let exist = others(cluster, objects).await;
    let others = exist.iter().filter(|(object, _)| {
        !left_over
            .0
            .iter()
            .any(|(removed, _)| removed.is_same(object))
    });
    let mut said = Vec::new();
    for (object, live) in others {
        if canary::is_left_over(live, objects, &exist, &request.names) {
            if request.is_dry_run {
                log.info(format!(
                    "{} is left from a deployment that was interrupted, and would be removed",
                    object.label()
                ));
            } else {
                remove_canary(log, cluster, object).await;
            }
        } else if let Some(warning) = overlap(object, live, objects, &request.names) {
            log.warning(warning);
        } else {
            continue;
        }
        said.push(object);
    }
    let deployed = namespaces(objects, |object| object.namespace().is_some());
    let deployed = deployed.into_iter();
    let deployed = join_all(deployed.map(|namespace| cluster.deployed(namespace))).await;
    let mut unlisted: Vec<_> = deployed.into_iter().flatten().collect();
    unlisted.retain(|object| {
        let is_removed = || left_over.0.iter().any(|(o, _)| o.is_same(object));
        let is_said = || said.iter().any(|s| s.is_same(object));
        !is_listed(object, objects) && !is_removed() && !is_said()
    });
    if let Some(line) = unlisted_line(&unlisted) {
        log.info(line);
    }
    Ok(left_over)
}

// A run that was killed has left it. Where it cannot be removed it serves another version, which is a warning.
async fn remove_canary(log: &Log, cluster: &Cluster, canary: &Object) {
    let label = canary.label();
    let removed = async {
        cluster.discover_kinds(std::slice::from_ref(canary)).await?;
        cluster.delete(canary).await
    };
    match removed.await {
        Ok(()) => log.info(format!(
            "removed {label}, which a deployment that was interrupted has left"
        )),
        Err(e) => log.warning(format!(
            "{label} is left from a deployment that was interrupted, and serves its version: {e:#}"
        )),
    }
}

// The workloads in the namespaces of the manifests that this action deployed, and that the manifests do not have. They are
// only for a warning: where they cannot be read there are none.
async fn others(cluster: &Cluster, objects: &[Object]) -> Vec<(Object, Value)> {
    let serving =
        |object: &Object| object.is_of("", "Service") || object.is_of("apps", "Deployment");
    let namespaces = namespaces(objects, serving).into_iter();
    let lists =
        namespaces.flat_map(|namespace| WORKLOADS.map(|kind| cluster.workloads(kind, namespace)));
    let lists = join_all(lists).await;
    let found = lists.into_iter().filter_map(Result::ok).flatten();
    let is_of_another = |(object, live): &(Object, Value)| {
        Owners::of(live).is_applied_by_us()
            && live["metadata"]["ownerReferences"].is_null()
            && live["spec"]["replicas"] != 0
            && !is_listed(object, objects)
    };
    found.filter(is_of_another).collect()
}

// The namespaces of those among `objects` that count.
fn namespaces(objects: &[Object], counts: impl Fn(&Object) -> bool) -> BTreeSet<&str> {
    let counting = objects.iter().filter(|object| counts(object));
    counting.map(Object::namespace_or_default).collect()
}

// Whether `object`, as it was read, is among those of the manifests.
fn is_listed(object: &Object, objects: &[Object]) -> bool {
    objects.iter().any(|listed| is_listed_as(listed, object))
}

// What this action deployed and the manifests do not have: of what is in no set it is unknown whether that was for the same
// application.
fn unlisted_line(unlisted: &[Object]) -> Option<String> {
    let (shown, rest) = unlisted.split_at(unlisted.len().min(SHOWN));
    let mut labels: Vec<_> = shown.iter().map(Object::label).collect();
    if !rest.is_empty() {
        labels.push(format!("{} more", rest.len()));
    }
    (!labels.is_empty()).then(|| {
        format!(
            "deployed by earlier runs, and not in the manifests: {}; what is left of this application, and not of another one, `kubectl delete` removes; `prune: true` removes what deployments with it applied",
            labels.join(", ")
        )
    })
}

// The warning that `workload`, which the manifests do not have, serves together with the application.
fn overlap(
    workload: &Object,
    live: &Value,
    objects: &[Object],
    names: &ImageNames,
) -> Option<String> {
    let labels = &live["spec"]["template"]["metadata"]["labels"];
    let selects = |service: &&Object| {
        let selector = service.value["spec"]["selector"].as_object();
        let namespace = service.namespace_or_default();
        service.is_of("", "Service")
            && workload.namespace() == Some(namespace)
            && selector.is_some_and(|s| !s.is_empty() && s.iter().all(|(k, v)| labels[k] == *v))
    };
    let service = objects.iter().find(selects)?;
    let containers = containers(live);
    let mut images = containers.iter().filter_map(|c| c["image"].as_str());
    let runs = if images.any(|image| names.is_of(image)) {
        format!("runs `{}` too, ", names.repository())
    } else {
        String::new()
    };
    let namespace = workload.namespace_or_default();
    let (label, kind) = (workload.label(), workload.kind().to_lowercase());
    Some(format!(
        "{label} {runs}serves behind {} together with the new version, and is not in the manifests; if it is left from an earlier deployment, remove it (`kubectl --namespace {namespace} delete {kind} {}`)",
        service.label(),
        workload.name()
    ))
}

/// Remove what is left over; returns whether there was something. A rollback brings it back.
///
/// # Errors
/// When an object cannot be removed.
pub(crate) async fn prune(
    log: &Log,
    request: &Request,
    cluster: &Cluster,
    left_over: LeftOver,
    report: &mut Report,
) -> anyhow::Result<bool> {
    let Some(set) = &request.apply_set else {
        return Ok(false);
    };
    let is_any = !left_over.0.is_empty();
    for (object, live) in left_over.0 {
        if let Some(snapshot) = report.snapshot.as_mut().filter(|_| !object.is_job()) {
            snapshot.set(&object, Some(live.clone()));
        }
        let retired = cluster.retire(&object, &live, RETIREMENT).await;
        retired.context("failed to remove what is left of the last deployment; the identity needs the right to delete it")?;
        log.info(format!("removed {}", object.label()));
        report
            .changes
            .push((object.label(), vec![REMOVED.to_owned()]));
    }
    // From now on, only the members of this deployment count. If that fails, the next one looks in more places.
    let parent = set.parent_of(request.manifests.objects(), None);
    if let Err(e) = cluster.apply(&parent, false).await {
        log.info(format!("{e:#}"));
    }
    Ok(is_any)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object(value: Value) -> Object {
        Object::of_test(value, Some("web"))
    }

    #[test]
    fn what_is_left_over_is_among_the_changes() {
        let old = object(json!({"kind": "Deployment", "metadata": {"name": "old"}}));
        let left_over = LeftOver(vec![(old, json!({}))]);
        let changes: Vec<_> = left_over.changes().collect();
        let expected = ("Deployment/old".to_owned(), vec!["removed".to_owned()]);
        assert_eq!(changes, [expected]);
    }

    #[test]
    fn a_workload_that_serves_beside_the_new_version_is_a_warning() {
        let service = |selector: Value| {
            object(
                json!({"kind": "Service", "metadata": {"name": "app"}, "spec": {"selector": selector}}),
            )
        };
        let old = object(json!({"kind": "Deployment", "metadata": {"name": "old"}}));
        let live = json!({"spec": {"template": {
            "metadata": {"labels": {"app": "app", "tier": "web"}}, "spec": {"containers": [{"image": "seaworthy.azurecr.io/app:1"}]},
        }}});
        let warning = |selector, name| {
            let names = ImageNames::of_test(name);
            overlap(&old, &live, &[service(selector)], &names)
        };
        insta::assert_snapshot!(warning(json!({"app": "app"}), "app").unwrap(), @"Deployment/old runs `app` too, serves behind Service/app together with the new version, and is not in the manifests; if it is left from an earlier deployment, remove it (`kubectl --namespace web delete deployment old`)");
        insta::assert_snapshot!(warning(json!({"app": "app"}), "other").unwrap(), @"Deployment/old serves behind Service/app together with the new version, and is not in the manifests; if it is left from an earlier deployment, remove it (`kubectl --namespace web delete deployment old`)");
        for selector in [
            json!({"app": "other"}),
            json!({}),
            json!(null),
            json!({"app": "app", "x": "y"}),
        ] {
            assert_eq!(warning(selector, "app"), None);
        }
    }
}
