//! The status of a rollout: done, waiting, or failed; and what the state in the cluster has of it.
//!
//! Rules: kubectl's `rollout status` (generation, then counts), kstatus, and the reasons that the kubelet
//! reports for a waiting container (kubernetes/pkg/kubelet/container and images).

use actions_toolkit::text::cut;
use k8s_openapi::api::apps::v1::{DaemonSet, StatefulSet};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod, PodCondition};

use crate::kubernetes::job_outcome;

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
    /// The restarts of that container, if another one may help: what it depends on may be ready then.
    pub(crate) restarts: Option<i32>,
}

/// Of a runtime's message, this many bytes are shown.
const MESSAGE: usize = 300;

/// The replicas of a workload whose manifest gives no number.
pub(super) const REPLICAS: i32 = 1;
/// The update strategy that replaces no pod.
const ON_DELETE: &str = "OnDelete";

/// The condition `kind` of a pod.
pub(crate) fn pod_condition<'a>(pod: &'a Pod, kind: &str) -> Option<&'a PodCondition> {
    let mut conditions = pod.status.as_ref()?.conditions.iter().flatten();
    conditions.find(|condition| condition.type_ == kind)
}

/// Why a pod is not ready yet, where its containers are not the cause.
pub(super) fn obstacle(pod: &Pod) -> Option<String> {
    if let Some(cause) = unschedulable(pod) {
        return Some(format!("a pod cannot be scheduled yet: {cause}"));
    }
    let statuses = pod.status.as_ref()?.container_statuses.iter().flatten();
    let init = pod
        .status
        .as_ref()?
        .init_container_statuses
        .iter()
        .flatten();
    if let Some(status) = init.chain(statuses).find(|status| has_exited(status)) {
        let (name, exit) = (&status.name, last_exit(status));
        return Some(format!("container `{name}` exited{exit} and is restarted"));
    }
    let is_true = |kind: &str| pod_condition(pod, kind).is_some_and(|it| it.status == "True");
    let mut gates = pod.spec.as_ref()?.readiness_gates.iter().flatten();
    let gate = gates.find(|gate| !is_true(&gate.condition_type))?;
    is_true("ContainersReady").then(|| {
        let gate = &gate.condition_type;
        format!("a pod waits for its readiness gate `{gate}`")
    })
}

pub(super) fn job(job: &Job, pods: &[Pod]) -> Status {
    let spec = job.spec.as_ref();
    match job_outcome(job) {
        Some(true) => Status::Done,
        Some(false) => {
            let conditions = job
                .status
                .iter()
                .flat_map(|s| s.conditions.iter().flatten());
            let mut failed = conditions.filter(|condition| condition.type_ == "Failed");
            let reason = failed.next().map(|condition| {
                let (reason, message) = (&condition.reason, &condition.message);
                let reason = reason.as_deref().unwrap_or_default();
                format!(": {reason}: {}", message.as_deref().unwrap_or_default())
            });
            let pod = pods.last().and_then(|pod| pod.metadata.name.clone());
            Status::Failed(Cause {
                message: format!("the Job failed{}", reason.unwrap_or_default()),
                pod,
                ..Cause::default()
            })
        }
        None if spec.and_then(|spec| spec.suspend) == Some(true) => Status::Done,
        None => {
            let completions = spec.and_then(|spec| spec.completions).unwrap_or(1);
            let succeeded = job.status.as_ref().and_then(|status| status.succeeded);
            let succeeded = succeeded.unwrap_or_default();
            Status::Waiting(format!("{succeeded} of {completions} completions"))
        }
    }
}

/// Whether the container has failed, and is not running again.
pub(super) fn has_exited(status: &ContainerStatus) -> bool {
    let state = status.state.as_ref();
    let waiting = state.and_then(|state| state.waiting.as_ref());
    let terminated = state.and_then(|state| state.terminated.as_ref());
    waiting.is_some_and(|waiting| waiting.reason.as_deref() == Some("CrashLoopBackOff"))
        || terminated.is_some_and(|exit| exit.exit_code != 0)
}

/// Why the scheduler has no node for a pod: its message.
pub(crate) fn unschedulable(pod: &Pod) -> Option<&str> {
    let scheduled = pod_condition(pod, "PodScheduled")?;
    let message = scheduled.message.as_deref().unwrap_or_default();
    (scheduled.reason.as_deref() == Some("Unschedulable")).then(|| message.trim_end_matches('.'))
}

pub(super) fn failed(message: String) -> Status {
    Status::Failed(Cause {
        message,
        ..Cause::default()
    })
}

pub(super) fn counted(updated: i32, ready: i32, desired: i32) -> Status {
    if updated < desired {
        Status::Waiting(format!("{updated} of {desired} new replicas"))
    } else if ready < desired {
        Status::Waiting(format!("{ready} of {desired} replicas are available"))
    } else {
        Status::Done
    }
}

pub(super) fn stateful_set(set: &StatefulSet) -> Status {
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

pub(super) fn daemon_set(set: &DaemonSet) -> Status {
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

/// The reason of the last exit of the container; empty if there is none.
pub(super) fn exit_reason(status: &ContainerStatus) -> &str {
    let mut recorded = [&status.state, &status.last_state].into_iter().flatten();
    let terminated = recorded.find_map(|state| state.terminated.as_ref());
    let reason = terminated.and_then(|terminated| terminated.reason.as_deref());
    reason.unwrap_or_default()
}

/// The last exit of the container: ` (exit code 137, OOMKilled)`.
pub(super) fn last_exit(status: &ContainerStatus) -> String {
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
