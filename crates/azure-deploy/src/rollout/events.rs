//! Events of a workload and its pods, and what holds up a rollout that only events have: no status says that a controller other
//! than a Deployment's cannot create a pod, or that a volume cannot be mounted.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::ListParams;
use tokio::join;

use super::claims::Claim;
use super::pods::Rollout;
use super::status::{desired, is_creating};
use crate::kubernetes::{Cluster, Object, Workload, job_outcome};

/// The field selector of warnings.
const WARNING: &str = "type=Warning";
/// The reason of the event of a controller that cannot create a pod: a quota, an admission, an absent `ServiceAccount`.
const FAILED_CREATE: &str = "FailedCreate";
/// The reason of the kubelet's event of a volume that it cannot mount.
const FAILED_MOUNT: &str = "FailedMount";

/// The reasons of the Job controller's event of a Job that has failed (kubernetes/pkg/controller/job).
const JOB_FAILURES: &[&str] = &[
    "BackoffLimitExceeded",
    "DeadlineExceeded",
    "FailedIndexes",
    "MaxFailedIndexesExceeded",
    "PodFailurePolicy",
];

/// What holds up a rollout, by events.
#[derive(Debug, Default)]
pub(crate) struct Obstacles {
    /// Why no pod can be created.
    pub(crate) creation: Option<String>,
    /// A pod with a volume of an object that does not exist: its name, and the message.
    pub(crate) mount: Option<(String, String)>,
    /// The claims without a volume of pods that have no node, by their names.
    pub(crate) claims: BTreeMap<String, Claim>,
}

impl Cluster {
    /// What holds up `rollout`, which is waited for since `started`. Where events cannot be read it is nothing.
    pub(crate) async fn obstacles(&self, rollout: &Rollout, started: Timestamp) -> Obstacles {
        let (creation, mount, claims) = join!(
            self.failed_creation(rollout, started),
            self.failed_mount(&rollout.pods),
            self.claims(rollout)
        );
        Obstacles {
            creation,
            mount,
            claims,
        }
    }

    async fn failed_creation(&self, rollout: &Rollout, started: Timestamp) -> Option<String> {
        let kind = lacks_pods(rollout)?;
        // What an earlier attempt says is over once a pod was created.
        let created = rollout.pods.iter();
        let created = created.filter_map(|pod| pod.metadata.creation_timestamp.as_ref());
        let since = created.map(|time| time.0).max();
        let since = since.map_or(started, |created| created.max(started));
        let reason = format!("{WARNING},reason={FAILED_CREATE}");
        let events = self.events(kind, rollout.workload.metadata(), &reason);
        last_after(events.await, since)
    }

    async fn failed_mount(&self, pods: &[Pod]) -> Option<(String, String)> {
        let pod = pods.iter().find(|pod| is_creating(pod))?;
        let events = self.events("Pod", &pod.metadata, "").await;
        let message = absent_volume(events)?;
        Some((pod.metadata.name.clone()?, message))
    }

    /// Why the Job `object`, which no longer exists, has failed since `started`, as its events have it, which outlive it.
    pub(crate) async fn failure_of_job(
        &self,
        object: &Object,
        started: Timestamp,
    ) -> Option<String> {
        let namespace = object.namespace_or_default();
        let events = self.events_of("Job", namespace, object.name(), "").await;
        let failures = events.into_iter().filter(|event| {
            let reason = event.reason.as_deref().unwrap_or_default();
            JOB_FAILURES.contains(&reason)
        });
        last_after(failures.collect(), started)
    }

    /// The warnings about an object, oldest first: `Reason: message`. They explain a failure and are
    /// optional: where they cannot be read there are none.
    pub(crate) async fn warnings(&self, kind: &str, namespace: &str, name: &str) -> Vec<String> {
        let mut events = self.events_of(kind, namespace, name, WARNING).await;
        events.sort_by(|one, next| one.last_timestamp.cmp(&next.last_timestamp));
        let line = |event: Event| {
            let (reason, message) = (event.reason, event.message);
            format!(
                "{}: {}",
                reason.unwrap_or_default(),
                message.unwrap_or_default()
            )
        };
        let mut lines: Vec<_> = events.into_iter().map(line).collect();
        lines.dedup();
        lines
    }

    /// A pod's events; none where they cannot be read.
    pub(super) async fn events_of_pod(&self, pod: &Pod) -> Vec<Event> {
        self.events("Pod", &pod.metadata, "").await
    }

    // Those of the object with this `metadata`; one of the same name may have been there before.
    async fn events(&self, kind: &str, metadata: &ObjectMeta, and: &str) -> Vec<Event> {
        let name = metadata.name.as_deref().unwrap_or_default();
        let namespace = metadata.namespace.as_deref().unwrap_or_default();
        let events = self.events_of(kind, namespace, name, and).await;
        let of_object = events.into_iter().filter(|event| {
            let of = &event.involved_object.uid;
            of.is_none() || *of == metadata.uid
        });
        of_object.collect()
    }

    // The events of objects of this kind and name that the field selector `and` selects; none where they cannot be read.
    pub(super) async fn events_of(
        &self,
        kind: &str,
        namespace: &str,
        name: &str,
        and: &str,
    ) -> Vec<Event> {
        let mut fields = format!("involvedObject.kind={kind},involvedObject.name={name}");
        if !and.is_empty() {
            fields = format!("{fields},{and}");
        }
        let params = ListParams::default().fields(&fields);
        let events = self.list::<Event>(namespace, &params).await;
        events.unwrap_or_default()
    }
}

// The kind of the workload, if it has fewer pods than it should have. A Deployment's status says why (`ReplicaFailure`).
fn lacks_pods(rollout: &Rollout) -> Option<&'static str> {
    let kind = match &rollout.workload {
        Workload::Deployment(_) | Workload::Pod(_) => return None,
        Workload::StatefulSet(_) => "StatefulSet",
        Workload::DaemonSet(_) => "DaemonSet",
        Workload::ReplicaSet(_) => "ReplicaSet",
        Workload::ReplicationController(_) => "ReplicationController",
        Workload::Job(job) => {
            let active = job.status.as_ref().and_then(|status| status.active);
            let lacks = job_outcome(job).is_none() && active.unwrap_or_default() == 0;
            return lacks.then_some("Job");
        }
    };
    let pods = i32::try_from(rollout.pods.len()).unwrap_or(i32::MAX);
    (pods < desired(&rollout.workload)).then_some(kind)
}

/// When the event was seen last. Of events that the newer API records, the second one is known.
pub(super) fn time(event: &Event) -> Option<Timestamp> {
    let recorded = event.last_timestamp.as_ref().map(|time| time.0);
    recorded.or_else(|| event.event_time.as_ref().map(|time| time.0))
}

// The message of the last of `events` that was seen after `since`.
fn last_after(events: Vec<Event>, since: Timestamp) -> Option<String> {
    let after = events.into_iter().filter(|event| time(event) > Some(since));
    after.max_by_key(time)?.message
}

// Why a volume cannot be mounted, if that is the last of a pod's `events`, and an object or a key of one does not exist. A node
// whose driver is not registered yet is another cause, which passes.
fn absent_volume(events: Vec<Event>) -> Option<String> {
    let last = events.into_iter().max_by_key(time)?;
    let message = last.message.unwrap_or_default();
    let names_source = message.contains("configmap") || message.contains("secret");
    let is_absent = (message.contains("\" not found") && names_source)
        || message.contains("references non-existent");
    (last.reason.as_deref() == Some(FAILED_MOUNT) && is_absent).then_some(message)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn events(events: &[Value]) -> Vec<Event> {
        let events = events.iter().map(|event| {
            let mut event = event.clone();
            event["metadata"] = json!({});
            event["involvedObject"] = json!({});
            serde_json::from_value(event)
        });
        events.collect::<Result<_, _>>().unwrap()
    }

    #[test]
    fn an_event_of_before_is_over() {
        let event = |second: u32, message: &str| json!({"lastTimestamp": format!("2026-12-01T08:00:{second:02}Z"), "message": message});
        let all = [event(9, "quota"), event(5, "old"), json!({"message": "?"})];
        let since = |second: u32| format!("2026-12-01T08:00:{second:02}Z").parse().unwrap();
        assert_eq!(last_after(events(&all), since(8)).as_deref(), Some("quota"));
        assert_eq!(last_after(events(&all), since(9)), None);
    }

    #[test]
    fn a_volume_of_an_object_that_does_not_exist_is_known() {
        let event = |second: u32, reason: &str, message: &str| json!({"lastTimestamp": format!("2026-12-01T08:00:{second:02}Z"), "reason": reason, "message": message});
        let failed = |message: &str| event(2, "FailedMount", message);
        let scheduled = json!({"eventTime": "2026-12-01T08:00:01.500000Z", "reason": "Scheduled"});
        let secret = r#"MountVolume.SetUp failed for volume "v" : secret "absent" not found"#;
        let key =
            r#"MountVolume.SetUp failed for volume "v" : references non-existent config key: a"#;
        let driver = r#"MountVolume.MountDevice failed for volume "v" : driver name secrets-store.csi.k8s.io not found in the list of registered CSI drivers"#;
        let pulling = event(9, "Pulling", "Pulling image");
        for (all, expected) in [
            (vec![failed(secret), scheduled.clone()], Some(secret)),
            (vec![scheduled.clone(), failed(key)], Some(key)),
            (vec![failed(driver)], None),
            (vec![failed(secret), pulling], None),
            (vec![scheduled], None),
            (vec![], None),
        ] {
            assert_eq!(absent_volume(events(&all)).as_deref(), expected);
        }
    }
}
