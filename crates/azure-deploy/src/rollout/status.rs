//! The status of a rollout: done, waiting, or failed. A pure function of the state in the cluster.
//!
//! Rules: kubectl's `rollout status` (generation, then counts), kstatus, and the reasons that the kubelet
//! reports for a waiting container (kubernetes/pkg/kubelet/container and images).

use std::time::Duration;

use actions_toolkit::text::{cut, plural};
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
use k8s_openapi::api::core::v1::{ContainerStatus, Pod, PodCondition};

use crate::kubernetes::Workload;

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

/// The replicas of a workload whose manifest gives no number.
const REPLICAS: i32 = 1;
/// The update strategy that replaces no pod.
const ON_DELETE: &str = "OnDelete";

/// Permanent reasons. A container is in `CrashLoopBackOff` only from its second exit on.
const PERMANENT: &[&str] = &["CrashLoopBackOff", "ErrImageNeverPull", "InvalidImageName"];
/// Reasons that are mostly permanent.
const MOSTLY_PERMANENT: &[&str] = &[
    "ImagePullBackOff",
    "CreateContainerConfigError",
    "CreateContainerError",
    "RunContainerError",
];

/// The condition `kind` of a pod.
pub(crate) fn pod_condition<'a>(pod: &'a Pod, kind: &str) -> Option<&'a PodCondition> {
    let mut conditions = pod.status.as_ref()?.conditions.iter().flatten();
    conditions.find(|condition| condition.type_ == kind)
}

/// The status of a workload with the pods of its newest revision, `elapsed` after the change, in a cluster that `adds_nodes`
/// for pods that cannot be scheduled.
pub(crate) fn workload(
    workload: &Workload,
    pods: &[Pod],
    elapsed: Duration,
    adds_nodes: bool,
) -> Status {
    if !workload.is_observed() {
        return Status::Waiting("the controller has not observed the change yet".into());
    }
    if let Some(cause) = pods
        .iter()
        .find_map(|pod| failure(pod, elapsed, adds_nodes))
    {
        return Status::Failed(cause);
    }
    let status = match workload {
        Workload::Deployment(live) => deployment(live, elapsed),
        Workload::StatefulSet(live) => stateful_set(live),
        Workload::DaemonSet(live) => daemon_set(live),
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

fn failed(message: String) -> Status {
    Status::Failed(Cause {
        message,
        ..Cause::default()
    })
}

fn counted(updated: i32, ready: i32, desired: i32) -> Status {
    if updated < desired {
        Status::Waiting(format!("{updated} of {desired} new replicas"))
    } else if ready < desired {
        Status::Waiting(format!("{ready} of {desired} replicas are available"))
    } else {
        Status::Done
    }
}

fn deployment(deployment: &Deployment, elapsed: Duration) -> Status {
    let spec = deployment.spec.as_ref();
    let status = deployment.status.clone().unwrap_or_default();
    let condition = |kind: &str| {
        let mut conditions = status.conditions.iter().flatten();
        conditions.find(|condition| condition.type_ == kind)
    };
    let failure = condition("ReplicaFailure").filter(|failure| failure.status == "True");
    if let Some(failure) = failure.filter(|_| elapsed > GRACE) {
        let message = failure.message.as_deref().unwrap_or_default();
        return failed(format!("no pod can be created: {message}"));
    }
    let progress = condition("Progressing").and_then(|progress| progress.reason.as_deref());
    if progress == Some("ProgressDeadlineExceeded") {
        let deadline = spec.and_then(|spec| spec.progress_deadline_seconds);
        let seconds = deadline.unwrap_or_default();
        return failed(format!(
            "no progress for {seconds}s (`progressDeadlineSeconds`)"
        ));
    }
    let desired = spec.and_then(|spec| spec.replicas).unwrap_or(REPLICAS);
    let all = status.replicas.unwrap_or_default();
    let updated = status.updated_replicas.unwrap_or_default();
    if updated >= desired && all > updated {
        let old = usize::try_from(all.saturating_sub(updated)).unwrap_or(1);
        let old = plural(old, "old replica");
        return Status::Waiting(format!("{old} still terminating"));
    }
    let available = status.available_replicas.unwrap_or_default();
    counted(updated, available, desired)
}

fn stateful_set(set: &StatefulSet) -> Status {
    let spec = set.spec.as_ref();
    let status = set.status.clone().unwrap_or_default();
    let strategy = spec.and_then(|spec| spec.update_strategy.as_ref());
    // Its pods are replaced when they are deleted: there is nothing to wait for.
    if strategy.is_some_and(|strategy| strategy.type_.as_deref() == Some(ON_DELETE)) {
        return Status::Done;
    }
    let rolling = strategy.and_then(|strategy| strategy.rolling_update.as_ref());
    let partition = rolling.and_then(|rolling| rolling.partition);
    let desired = spec.and_then(|spec| spec.replicas).unwrap_or(REPLICAS);
    // Once every replica is new, the new revision is the current one, and `updatedReplicas` is left out.
    let updated = if status.update_revision == status.current_revision {
        desired
    } else {
        status.updated_replicas.unwrap_or_default()
    };
    let expected = desired.saturating_sub(partition.unwrap_or_default());
    if updated < expected {
        return Status::Waiting(format!("{updated} of {expected} new replicas"));
    }
    counted(desired, status.ready_replicas.unwrap_or_default(), desired)
}

fn daemon_set(set: &DaemonSet) -> Status {
    let spec = set.spec.as_ref();
    let status = set.status.clone().unwrap_or_default();
    let strategy = spec.and_then(|spec| spec.update_strategy.as_ref());
    if strategy.is_some_and(|strategy| strategy.type_.as_deref() == Some(ON_DELETE)) {
        return Status::Done;
    }
    counted(
        status.updated_number_scheduled.unwrap_or_default(),
        status.number_available.unwrap_or_default(),
        status.desired_number_scheduled,
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
