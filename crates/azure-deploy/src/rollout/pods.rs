//! The pods of a workload, and their logs.

use std::fmt::Debug;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::serde::de::DeserializeOwned;
use kube::api::{Api, DeleteParams, ListParams, LogParams, WatchParams};
use kube::core::NamespaceResourceScope;
use kube::discovery::ApiResource;
use kube::{Resource, ResourceExt as _};
use serde_json::Value;
use tokio::time::sleep;
use tokio::{join, try_join};

use super::status::{REPLICAS, is_over, is_ready, is_starting};
use crate::kubernetes::{
    Changes, Cluster, Object, REVISION, TEMPLATE_GENERATION, Workload, poll_interval, text,
};

const LINES: i64 = 30;

/// A workload and its pods, as in the cluster.
pub(crate) struct Rollout {
    pub(crate) workload: Workload,
    /// The pods of its newest revision.
    pub(crate) pods: Vec<Pod>,
    /// The pods of a `StatefulSet`'s other revisions, which it replaces only when they are ready
    /// (kubernetes.io/docs/concepts/workloads/controllers/statefulset/#forced-rollback).
    pub(crate) older: Vec<Pod>,
    /// Whether some of its pods, of any revision, are terminating.
    pub(crate) has_terminating_pods: bool,
    /// Whether it removes more pods of other revisions by itself: new ones are about to be ready.
    pub(crate) makes_room: bool,
}

impl Rollout {
    /// Whether every pod that a Deployment should have is ready.
    pub(crate) fn is_ready(&self) -> bool {
        let Workload::Deployment(deployment) = &self.workload else {
            return false;
        };
        let spec = deployment.spec.as_ref();
        let desired = spec.and_then(|spec| spec.replicas).unwrap_or(REPLICAS);
        let ready = self.pods.iter().filter(|pod| is_ready(pod)).count();
        i32::try_from(ready).is_ok_and(|ready| ready >= desired)
    }

    // That of a pod without a controller.
    fn of_pod(workload: Workload) -> Self {
        let pods = match &workload {
            Workload::Pod(pod) => vec![pod.clone()],
            _ => Vec::new(),
        };
        Self {
            has_terminating_pods: !pods.iter().all(is_alive),
            workload,
            pods,
            older: Vec::new(),
            makes_room: false,
        }
    }

    /// The restarts of the containers of all pods.
    pub(crate) fn restarts(&self) -> i32 {
        let statuses = self.pods.iter().filter_map(|pod| pod.status.as_ref());
        let statuses = statuses.flat_map(|status| status.container_statuses.iter().flatten());
        statuses.map(|status| status.restart_count).sum()
    }
}

impl Cluster {
    /// The workload `object` and its pods; `None` if it does not exist.
    pub(crate) async fn rollout(&self, object: &Object) -> anyhow::Result<Option<Rollout>> {
        if object.kind() == "Pod" {
            let workload = self.workload(object).await?;
            return Ok(workload.map(Rollout::of_pod));
        }
        let namespace = object.namespace_or_default();
        let params = ListParams::default().labels(&selector(object));
        let sets = async {
            if object.kind() != "Deployment" {
                return Ok(Vec::new());
            }
            self.list::<ReplicaSet>(namespace, &params).await
        };
        let pods = self.list::<Pod>(namespace, &params);
        // In parallel: with `run-command` each request takes seconds.
        let (workload, sets, pods) = try_join!(self.workload(object), sets, pods)?;
        let Some(workload) = workload else {
            return Ok(None);
        };
        let mut metadata = pods.iter().map(|pod| &pod.metadata);
        let has_terminating_pods = metadata.any(|pod| pod.deletion_timestamp.is_some());
        let newest = newest(&workload, &sets);
        let (pods, mut older): (Vec<_>, Vec<_>) = pods
            .into_iter()
            .partition(|pod| newest.as_ref().is_some_and(|newest| newest.has(pod)));
        let own = uid(workload.metadata());
        let owners = sets.iter().filter(|set| owned_by(&set.metadata, own));
        let owners: Vec<_> = owners.map(|set| uid(&set.metadata)).chain([own]).collect();
        older.retain(|pod| owners.iter().any(|owner| owned_by(&pod.metadata, owner)));
        let is_settling = newest.is_some_and(|newest| newest.is_settling);
        let uses_room = |pod: &Pod| is_alive(pod) && !is_over(pod);
        let makes_room =
            older.iter().any(uses_room) && (is_settling || pods.iter().any(is_starting));
        if !matches!(workload, Workload::StatefulSet(_)) {
            older.clear();
        }
        Ok(Some(Rollout {
            workload,
            pods,
            older,
            has_terminating_pods,
            makes_room,
        }))
    }

    /// The changes of a workload and of its pods.
    pub(crate) async fn changes(&self, object: &Object) -> Vec<Changes> {
        let Ok(workload) = self.api(object) else {
            return Vec::new();
        };
        let namespace = object.namespace_or_default();
        let pods = Api::namespaced_with(
            self.client.clone(),
            namespace,
            &ApiResource::erase::<Pod>(&()),
        );
        let name = format!("metadata.name={}", object.name());
        let by_name = WatchParams::default().fields(&name);
        if object.kind() == "Pod" {
            let pod = self.watch(&workload, &by_name).await;
            return pod.into_iter().collect();
        }
        let by_label = WatchParams::default().labels(&selector(object));
        let (workload, pods) = join!(
            self.watch(&workload, &by_name),
            self.watch(&pods, &by_label)
        );
        [workload, pods].into_iter().flatten().collect()
    }

    /// Delete a pod.
    ///
    /// # Errors
    /// When the identity lacks the right to.
    pub(crate) async fn remove_pod(&self, namespace: &str, pod: &str) -> anyhow::Result<()> {
        let api: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
        let deleted = self
            .response(api.delete(pod, &DeleteParams::default()))
            .await;
        deleted
            .map(drop)
            .with_context(|| format!("failed to remove the pod `{pod}`"))
    }

    /// Delete `object`, whose state is `live`; of a workload, wait until its pods get no more requests, or for `timeout`.
    ///
    /// # Errors
    /// When the identity lacks the right to.
    pub(crate) async fn retire(
        &self,
        object: &Object,
        live: &Value,
        timeout: Duration,
    ) -> anyhow::Result<()> {
        if !object.is_workload() {
            return self.delete(object).await;
        }
        let namespace = object.namespace_or_default();
        let params = ListParams::default().labels(&selector(&object.with(live.clone())));
        let own = text(live, "/metadata/uid");
        let sets = self.list::<ReplicaSet>(namespace, &params).await;
        let sets = sets.unwrap_or_default();
        let owned = sets.iter().filter(|set| owned_by(&set.metadata, own));
        let owners: Vec<_> = owned.map(|set| uid(&set.metadata)).chain([own]).collect();
        self.delete(object).await?;
        let started = Instant::now();
        while started.elapsed() < timeout {
            let pods = self.list::<Pod>(namespace, &params).await?;
            let mut metadata = pods.iter().map(|pod| &pod.metadata);
            let serves = |pod: &ObjectMeta| {
                let mut owners = owners.iter();
                pod.deletion_timestamp.is_none() && owners.any(|owner| owned_by(pod, owner))
            };
            if !metadata.any(serves) {
                break;
            }
            sleep(poll_interval::after(started.elapsed())).await;
        }
        Ok(())
    }

    pub(super) async fn list<K>(
        &self,
        namespace: &str,
        params: &ListParams,
    ) -> anyhow::Result<Vec<K>>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
        K: Clone + Debug + DeserializeOwned,
    {
        let api: Api<K> = Api::namespaced(self.client.clone(), namespace);
        let list = self
            .response(api.list(params))
            .await
            .with_context(|| format!("failed to list {} in `{namespace}`", K::plural(&())))?;
        Ok(list.items)
    }

    /// The last log lines of a pod's container (its first one without `container`): of the current one,
    /// or of the one that exited before it.
    pub(crate) async fn log_tail(
        &self,
        namespace: &str,
        pod: &str,
        container: Option<&str>,
    ) -> Vec<String> {
        let api: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
        let container = match container {
            Some(container) => Some(container.to_owned()),
            None => self.response(api.get(pod)).await.ok().and_then(|pod| {
                let containers = pod.spec?.containers;
                containers.into_iter().next().map(|first| first.name)
            }),
        };
        for previous in [false, true] {
            let params = LogParams {
                container: container.clone(),
                tail_lines: Some(LINES),
                previous,
                ..LogParams::default()
            };
            let log = self
                .response(api.logs(pod, &params))
                .await
                .unwrap_or_default();
            // The kubelet responds with this sentence, as if it were the log, where it has none.
            if !log.trim().is_empty() && !log.starts_with("unable to retrieve container logs") {
                return log.lines().map(ToOwned::to_owned).collect();
            }
        }
        Vec::new()
    }
}

// The labels of a workload's pods.
fn selector(workload: &Object) -> String {
    let labels = match workload.kind() {
        "ReplicationController" => "/spec/selector",
        _ => "/spec/selector/matchLabels",
    };
    let labels = workload.value.pointer(labels);
    let labels = labels.and_then(Value::as_object).into_iter().flatten();
    let pairs: Vec<_> = labels
        .filter_map(|(key, value)| Some(format!("{key}={}", value.as_str()?)))
        .collect();
    pairs.join(",")
}

// Which pods are of the newest revision of a workload.
struct Newest<'a> {
    // A label and its value, if there are other revisions.
    label: Option<(&'static str, &'a str)>,
    // The UID of their owner.
    owner: &'a str,
    // Whether some are ready, and not for long enough to count (`minReadySeconds`).
    is_settling: bool,
}

impl<'a> Newest<'a> {
    fn new(owner: &'a ObjectMeta, label: Option<(&'static str, &'a str)>) -> Self {
        Self {
            label,
            owner: uid(owner),
            is_settling: false,
        }
    }

    fn has(&self, pod: &Pod) -> bool {
        let has = |name, value| pod.labels().get(name).map(String::as_str) == Some(value);
        let is_newest = self.label.is_none_or(|(name, value)| has(name, value));
        is_newest && owned_by(&pod.metadata, self.owner)
    }
}

// The pods of the newest revision of `workload`.
fn newest<'a>(workload: &'a Workload, sets: &'a [ReplicaSet]) -> Option<Newest<'a>> {
    match workload {
        Workload::StatefulSet(set) => {
            let status = set.status.as_ref()?;
            let revision = status.update_revision.as_deref()?;
            let label = ("controller-revision-hash", revision);
            Some(Newest::new(&set.metadata, Some(label)))
        }
        Workload::DaemonSet(set) => {
            let generation = workload.annotation(TEMPLATE_GENERATION);
            let label = ("pod-template-generation", generation);
            Some(Newest::new(&set.metadata, Some(label)))
        }
        Workload::Job(job) => {
            let label = (
                "batch.kubernetes.io/job-name",
                job.metadata.name.as_deref()?,
            );
            Some(Newest::new(&job.metadata, Some(label)))
        }
        // They replace no pod.
        Workload::ReplicaSet(_) | Workload::ReplicationController(_) => {
            Some(Newest::new(workload.metadata(), None))
        }
        Workload::Pod(_) => None,
        Workload::Deployment(deployment) => {
            let set = sets.iter().find(|set| {
                let revision = set.annotations().get(REVISION).map_or("", String::as_str);
                let is_newest = revision == workload.annotation(REVISION);
                is_newest && owned_by(&set.metadata, uid(&deployment.metadata))
            })?;
            let hash = set.labels().get("pod-template-hash")?;
            set.metadata.uid.as_ref()?;
            let status = set.status.as_ref();
            let ready = status.and_then(|status| status.ready_replicas);
            let available = status.and_then(|status| status.available_replicas);
            Some(Newest {
                is_settling: ready.unwrap_or_default() > available.unwrap_or_default(),
                ..Newest::new(&set.metadata, Some(("pod-template-hash", hash.as_str())))
            })
        }
    }
}

// Whether the pod is not terminating.
fn is_alive(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_none()
}

fn uid(metadata: &ObjectMeta) -> &str {
    metadata.uid.as_deref().unwrap_or_default()
}

fn owned_by(object: &ObjectMeta, owner: &str) -> bool {
    let mut owners = object.owner_references.iter().flatten();
    owners.any(|reference| reference.uid == owner)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn workload(kind: &str, more: Value) -> Workload {
        let mut live = json!({"kind": kind, "metadata": {"name": "app", "uid": "1"}});
        live["spec"] = more;
        let object = Object::of_test(live.clone(), None);
        Workload::read(&object, live).unwrap()
    }

    fn pod(owner: &str, labels: Value) -> Pod {
        let mut pod = json!({"metadata": {"name": "p", "ownerReferences": [
            {"apiVersion": "v1", "kind": "X", "name": "x", "uid": owner},
        ]}});
        pod["metadata"]["labels"] = labels;
        serde_json::from_value(pod).unwrap()
    }

    #[test]
    fn the_pods_of_a_set_without_revisions_are_those_that_it_owns() {
        for kind in ["ReplicaSet", "ReplicationController"] {
            let workload = workload(kind, json!({}));
            let newest = newest(&workload, &[]).unwrap();
            assert!(newest.has(&pod("1", json!({}))), "{kind}");
            assert!(!newest.has(&pod("2", json!({}))), "{kind}");
        }
        let job = workload("Job", json!({}));
        let newest = newest(&job, &[]).unwrap();
        let label = "batch.kubernetes.io/job-name";
        assert!(newest.has(&pod("1", json!({label: "app"}))));
        assert!(!newest.has(&pod("1", json!({label: "other"}))));
    }

    #[test]
    fn a_pod_is_a_rollout_of_itself() {
        let rollout = Rollout::of_pod(workload("Pod", json!({"containers": []})));
        assert_eq!(rollout.pods.len(), 1);
        assert!(!rollout.has_terminating_pods);
    }

    #[test]
    fn the_selector_of_a_replication_controller_is_a_map() {
        let labels = json!({"app": "shop"});
        for (kind, selector) in [
            ("ReplicationController", labels.clone()),
            ("ReplicaSet", json!({"matchLabels": labels})),
        ] {
            let object = json!({"kind": kind, "spec": {"selector": selector}});
            let object = Object::of_test(object, None);
            assert_eq!(super::selector(&object), "app=shop", "{kind}");
        }
    }
}
