//! The status of a rollout: done, waiting, or failed. A pure function of the state in the cluster.
//!
//! Rules: kubectl's `rollout status` (generation, then counts), kstatus, and the reasons that the kubelet
//! reports for a waiting container (kubernetes/pkg/kubelet/container and images).

use std::time::Duration;

use actions_toolkit::text::cut;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod, PodCondition};
use serde_json::Value;

use crate::kubernetes::text;

/// The status of a rollout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Status {
    /// Every replica is of the new version, and available.
    Done,
    /// It continues; with a message.
    Waiting(String),
    /// It cannot succeed by itself.
    Failed(Cause),
}

/// Why a rollout failed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Cause {
    /// The message for the reader.
    pub(crate) message: String,
    /// The pod in which it was observed.
    pub(crate) pod: Option<String>,
    /// The container of that pod.
    pub(crate) container: Option<String>,
}

/// How long a transient problem may last: a Secret that is created a moment later, a registry with a short outage, a
/// quota that the old pods still use.
const GRACE: Duration = Duration::from_secs(10);
/// The same for a pod that cannot be scheduled, in a cluster that adds nodes: a node needs a moment.
const NODE_GRACE: Duration = Duration::from_secs(60);

/// Of a runtime's message, this many bytes are shown.
const MESSAGE: usize = 300;

/// Permanent reasons. A container is in `CrashLoopBackOff` only from its second exit on.
const PERMANENT: &[&str] = &["CrashLoopBackOff", "ErrImageNeverPull", "InvalidImageName"];
/// Reasons that are mostly permanent.
const MOSTLY_PERMANENT: &[&str] = &[
    "ImagePullBackOff",
    "CreateContainerConfigError",
    "CreateContainerError",
    "RunContainerError",
];

fn number(value: &Value, pointer: &str) -> i64 {
    value
        .pointer(pointer)
        .and_then(Value::as_i64)
        .unwrap_or_default()
}

fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    let conditions = object.pointer("/status/conditions")?.as_array()?;
    conditions
        .iter()
        .find(|condition| condition["type"] == kind)
}

/// The condition `kind` of a pod.
pub(crate) fn pod_condition<'a>(pod: &'a Pod, kind: &str) -> Option<&'a PodCondition> {
    let mut conditions = pod.status.as_ref()?.conditions.iter().flatten();
    conditions.find(|condition| condition.type_ == kind)
}

/// The status of a workload with the pods of its newest revision, `elapsed` after the change, in a cluster that `adds_nodes`
/// for pods that cannot be scheduled.
pub(crate) fn workload(
    workload: &Value,
    pods: &[Pod],
    elapsed: Duration,
    adds_nodes: bool,
) -> Status {
    if !is_observed(workload) {
        return Status::Waiting("the controller has not observed the change yet".into());
    }
    if let Some(cause) = pods
        .iter()
        .find_map(|pod| failure(pod, elapsed, adds_nodes))
    {
        return Status::Failed(cause);
    }
    let status = match text(workload, "/kind") {
        "StatefulSet" => stateful_set(workload),
        "DaemonSet" => daemon_set(workload),
        _ => deployment(workload, elapsed),
    };
    match (status, pods.iter().find_map(unschedulable)) {
        (Status::Waiting(message), Some(cause)) => {
            Status::Waiting(format!("{message}; a pod cannot be scheduled yet: {cause}"))
        }
        (status, _) => status,
    }
}

/// Why the scheduler has no node for a pod: its message.
pub(crate) fn unschedulable(pod: &Pod) -> Option<&str> {
    let scheduled = pod_condition(pod, "PodScheduled")?;
    let message = scheduled.message.as_deref().unwrap_or_default();
    (scheduled.reason.as_deref() == Some("Unschedulable")).then(|| message.trim_end_matches('.'))
}

/// Whether a pod cannot start by itself, however long it has been waiting.
pub(crate) fn is_stuck(pod: &Pod) -> bool {
    failure(pod, Duration::MAX, false).is_some()
}

/// Whether the controller has observed the last change of `workload`: until then, its status is that of the previous
/// version.
pub(crate) fn is_observed(workload: &Value) -> bool {
    number(workload, "/status/observedGeneration") >= number(workload, "/metadata/generation")
}

fn failed(message: String) -> Status {
    Status::Failed(Cause {
        message,
        ..Cause::default()
    })
}

fn desired(workload: &Value) -> i64 {
    let replicas = workload.pointer("/spec/replicas");
    replicas.and_then(Value::as_i64).unwrap_or(1)
}

fn counted(updated: i64, ready: i64, desired: i64) -> Status {
    if updated < desired {
        Status::Waiting(format!("{updated} of {desired} new replicas"))
    } else if ready < desired {
        Status::Waiting(format!("{ready} of {desired} replicas are available"))
    } else {
        Status::Done
    }
}

fn deployment(deployment: &Value, elapsed: Duration) -> Status {
    let failure = condition(deployment, "ReplicaFailure").filter(|c| c["status"] == "True");
    if let Some(failure) = failure.filter(|_| elapsed > GRACE) {
        return failed(format!(
            "no pod can be created: {}",
            text(failure, "/message")
        ));
    }
    if condition(deployment, "Progressing")
        .is_some_and(|c| c["reason"] == "ProgressDeadlineExceeded")
    {
        return failed(format!(
            "no progress for {}s (`progressDeadlineSeconds`)",
            number(deployment, "/spec/progressDeadlineSeconds")
        ));
    }
    let status = |field: &str| number(deployment, &format!("/status/{field}"));
    let (all, updated) = (status("replicas"), status("updatedReplicas"));
    if updated >= desired(deployment) && all > updated {
        let old = actions_toolkit::text::plural(
            usize::try_from(all - updated).unwrap_or(1),
            "old replica",
        );
        return Status::Waiting(format!("{old} still terminating"));
    }
    counted(updated, status("availableReplicas"), desired(deployment))
}

fn stateful_set(set: &Value) -> Status {
    // Its pods are replaced when they are deleted: there is nothing to wait for.
    if text(set, "/spec/updateStrategy/type") == "OnDelete" {
        return Status::Done;
    }
    let partition = number(set, "/spec/updateStrategy/rollingUpdate/partition");
    let desired = desired(set);
    // Once every replica is new, the new revision is the current one, and `updatedReplicas` is left out.
    let same = text(set, "/status/updateRevision") == text(set, "/status/currentRevision");
    let updated = if same {
        desired
    } else {
        number(set, "/status/updatedReplicas")
    };
    if updated < desired - partition {
        return Status::Waiting(format!("{updated} of {} new replicas", desired - partition));
    }
    counted(desired, number(set, "/status/readyReplicas"), desired)
}

fn daemon_set(set: &Value) -> Status {
    if text(set, "/spec/updateStrategy/type") == "OnDelete" {
        return Status::Done;
    }
    let status = |field: &str| number(set, &format!("/status/{field}"));
    counted(
        status("updatedNumberScheduled"),
        status("numberAvailable"),
        status("desiredNumberScheduled"),
    )
}

fn failure(pod: &Pod, elapsed: Duration, adds_nodes: bool) -> Option<Cause> {
    if pod.metadata.deletion_timestamp.is_some() {
        return None;
    }
    let cause = |message: String, container: Option<&str>| {
        Some(Cause {
            message,
            pod: pod.metadata.name.clone(),
            container: container.map(ToOwned::to_owned),
        })
    };
    let grace = if adds_nodes { NODE_GRACE } else { GRACE };
    if let Some(message) = unschedulable(pod).filter(|_| elapsed > grace) {
        return cause(format!("the pod cannot be scheduled: {message}"), None);
    }
    let status = pod.status.as_ref()?;
    let lists = [&status.init_container_statuses, &status.container_statuses];
    for status in lists.into_iter().flatten().flatten() {
        let container = status.name.as_str();
        let state = status.state.as_ref();
        let waiting = state.and_then(|state| state.waiting.as_ref());
        let message = waiting.and_then(|waiting| waiting.message.as_deref());
        let message = message.unwrap_or_default();
        let waiting = waiting.and_then(|waiting| waiting.reason.as_deref());
        let waiting = waiting.unwrap_or_default();
        let terminated = state.and_then(|state| state.terminated.as_ref());
        let is_absent = waiting == "ErrImagePull"
            && (message.contains("not found") || message.contains("NotFound"));
        // The kubelet reports a back-off up to a sync period later than the exit that causes it.
        let exited_again =
            terminated.is_some_and(|exit| exit.exit_code != 0) && status.restart_count > 0;
        if waiting == "CrashLoopBackOff" || exited_again {
            let exit = last_exit(status);
            let message = format!("container `{container}` is crash-looping{exit}");
            return cause(message, Some(container));
        }
        if is_absent
            || PERMANENT.contains(&waiting)
            || (MOSTLY_PERMANENT.contains(&waiting) && elapsed > GRACE)
        {
            let message = format!("container `{container}` does not start: {waiting}: {message}");
            return cause(message, Some(container));
        }
    }
    None
}

// The last exit of the container: ` (exit code 137, OOMKilled)`.
fn last_exit(status: &ContainerStatus) -> String {
    let mut recorded = [&status.state, &status.last_state].into_iter().flatten();
    let Some(terminated) = recorded.find_map(|state| state.terminated.as_ref()) else {
        return String::new();
    };
    let reason = match terminated.reason.as_deref().unwrap_or_default() {
        "" | "Error" | "Completed" => String::new(),
        reason => format!(", {reason}"),
    };
    // A program that could not be started has no log.
    let why = match terminated.message.as_deref().unwrap_or_default() {
        message if reason.is_empty() || message.is_empty() => String::new(),
        message => format!(": {}", cut(message.trim(), MESSAGE)),
    };
    format!(" (exit code {}{reason}){why}", terminated.exit_code)
}

#[cfg(test)]
mod tests;
