//! The status of a rollout: done, waiting, or failed; and what the state in the cluster has of it.
//!
//! Rules: kubectl's `rollout status` (generation, then counts), kstatus, and the reasons that the kubelet
//! reports for a waiting container (kubernetes/pkg/kubelet/container and images).

use std::time::Duration;

use actions_toolkit::text::{cut, plural};
use k8s_openapi::api::apps::v1::{
    DaemonSet, Deployment, DeploymentCondition, ReplicaSet, StatefulSet,
};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod, PodCondition, ReplicationController};

use crate::kubernetes::{Workload, job_outcome};

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
/// The reasons of a container whose pod is prepared.
const CREATING: [&str; 2] = ["ContainerCreating", "PodInitializing"];
/// The update strategy that replaces no pod.
const ON_DELETE: &str = "OnDelete";

// The condition `kind` of a pod.
fn pod_condition<'a>(pod: &'a Pod, kind: &str) -> Option<&'a PodCondition> {
    let mut conditions = pod.status.as_ref()?.conditions.iter().flatten();
    conditions.find(|condition| condition.type_ == kind)
}

// Whether the condition `kind` of a pod is true.
fn is_true(pod: &Pod, kind: &str) -> bool {
    pod_condition(pod, kind).is_some_and(|condition| condition.status == "True")
}

/// Whether a pod gets requests.
pub(super) fn is_ready(pod: &Pod) -> bool {
    is_true(pod, "Ready")
}

/// Whether a pod is about to be ready: it has a node.
pub(super) fn is_starting(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_none()
        && is_true(pod, "PodScheduled")
        && !is_ready(pod)
        && !is_over(pod)
}

// The phase of a pod: empty if it has none.
fn phase(pod: &Pod) -> &str {
    let status = pod.status.as_ref();
    let phase = status.and_then(|status| status.phase.as_deref());
    phase.unwrap_or_default()
}

/// Whether a pod has ended, and uses nothing of its node.
pub(super) fn is_over(pod: &Pod) -> bool {
    matches!(phase(pod), "Failed" | "Succeeded")
}

// Whether the containers of a pod are started again, however they end.
fn runs_on(pod: &Pod) -> bool {
    let spec = pod.spec.as_ref();
    let policy = spec.and_then(|spec| spec.restart_policy.as_deref());
    policy.is_none_or(|policy| policy == "Always")
}

/// Whether a pod that runs on was ended from outside, which is not the fault of its containers: it was evicted or preempted, its
/// node was shut down or had no room for it. Its controller creates another one.
pub(super) fn is_lost(pod: &Pod) -> bool {
    phase(pod) == "Failed" && runs_on(pod)
}

/// Whether a pod ends by itself, or is ending: what it uses is free then.
pub(super) fn is_leaving(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_some() || !runs_on(pod)
}

/// Why a pod has ended, by its status: `Evicted: The node was low on resource: memory.`
pub(super) fn end_of(pod: &Pod) -> String {
    let status = pod.status.as_ref();
    let reason = status.and_then(|status| status.reason.as_deref());
    let message = status.and_then(|status| status.message.as_deref());
    let message = message.map(|message| cut(message.trim(), MESSAGE).trim_end_matches('.'));
    match (reason, message.filter(|message| !message.is_empty())) {
        (Some(reason), Some(message)) => format!("{reason}: {message}"),
        (Some(reason), None) => reason.to_owned(),
        (None, Some(message)) => message.to_owned(),
        (None, None) => "no reason is known".to_owned(),
    }
}

/// Why a pod is not ready yet, where its containers are not the cause.
pub(super) fn obstacle(pod: &Pod) -> Option<String> {
    if let Some(cause) = unschedulable(pod) {
        return Some(format!("a pod cannot be scheduled yet: {cause}"));
    }
    if let Some(status) = container_statuses(pod).find(|status| has_exited(status)) {
        let (name, exit) = (&status.name, last_exit(status));
        return Some(format!("container `{name}` exited{exit} and is restarted"));
    }
    let mut gates = pod.spec.as_ref()?.readiness_gates.iter().flatten();
    let gate = gates.find(|gate| !is_true(pod, &gate.condition_type))?;
    is_true(pod, "ContainersReady").then(|| {
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

/// The statuses of the containers of a pod, first of those that run before the others.
/// A pod that was lost has none: how its containers ended says nothing of them. Ephemeral ones are not the application's.
pub(super) fn container_statuses(pod: &Pod) -> impl Iterator<Item = &ContainerStatus> {
    let status = pod.status.as_ref().filter(|_| !is_lost(pod));
    status.into_iter().flat_map(|status| {
        let init = status.init_container_statuses.iter().flatten();
        init.chain(status.container_statuses.iter().flatten())
    })
}

/// The containers of a pod that run, and that no probe checks.
pub(super) fn unprobed(pod: &Pod) -> impl Iterator<Item = &ContainerStatus> {
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    let unprobed = containers.filter(|c| c.readiness_probe.is_none() && c.startup_probe.is_none());
    let names: Vec<_> = unprobed.map(|container| container.name.as_str()).collect();
    let statuses = pod.status.iter();
    let statuses = statuses.flat_map(|status| status.container_statuses.iter().flatten());
    statuses.filter(move |status| {
        let state = status.state.as_ref();
        state.is_some_and(|state| state.running.is_some()) && names.contains(&status.name.as_str())
    })
}

/// Whether the kubelet prepares the first start of a pod: it mounts volumes, creates the sandbox, or pulls images.
pub(super) fn is_creating(pod: &Pod) -> bool {
    let mut statuses = container_statuses(pod).peekable();
    let is_creating = |status: &ContainerStatus| {
        let state = status.state.as_ref();
        let waiting = state.and_then(|state| state.waiting.as_ref());
        let reason = waiting.and_then(|waiting| waiting.reason.as_deref());
        status.restart_count == 0 && reason.is_some_and(|reason| CREATING.contains(&reason))
    };
    pod.metadata.deletion_timestamp.is_none()
        && statuses.peek().is_some()
        && statuses.all(is_creating)
}

/// Whether the container has failed, and is not running again.
pub(super) fn has_exited(status: &ContainerStatus) -> bool {
    let state = status.state.as_ref();
    let waiting = state.and_then(|state| state.waiting.as_ref());
    let terminated = state.and_then(|state| state.terminated.as_ref());
    waiting.is_some_and(|waiting| waiting.reason.as_deref() == Some("CrashLoopBackOff"))
        || terminated.is_some_and(|exit| exit.exit_code != 0)
}

/// How long the container ran before its last exit; `None` if that is unknown.
pub(super) fn ran_for(status: &ContainerStatus) -> Option<Duration> {
    let mut recorded = [&status.state, &status.last_state].into_iter().flatten();
    let exit = recorded.find_map(|state| state.terminated.as_ref())?;
    let (started, finished) = (exit.started_at.as_ref()?, exit.finished_at.as_ref()?);
    finished.0.duration_since(started.0).try_into().ok()
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

fn deployment_condition<'a>(
    deployment: &'a Deployment,
    kind: &str,
) -> Option<&'a DeploymentCondition> {
    let mut conditions = deployment.status.as_ref()?.conditions.iter().flatten();
    conditions.find(|condition| condition.type_ == kind)
}

/// Why a Deployment cannot create a pod, if it cannot.
pub(super) fn replica_failure(deployment: &Deployment) -> Option<&str> {
    let failure = deployment_condition(deployment, "ReplicaFailure");
    let failure = failure.filter(|failure| failure.status == "True")?;
    Some(failure.message.as_deref().unwrap_or_default())
}

pub(super) fn deployment(deployment: &Deployment) -> Status {
    let spec = deployment.spec.as_ref();
    let status = deployment.status.clone().unwrap_or_default();
    let progress = deployment_condition(deployment, "Progressing");
    let progress = progress.and_then(|progress| progress.reason.as_deref());
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
    if updated < desired && spec.and_then(|spec| spec.paused) == Some(true) {
        return failed(
            "it is paused (`spec.paused`), so no pod is replaced; resume it (`kubectl rollout resume`)"
                .into(),
        );
    }
    if updated >= desired && all > updated {
        let old = usize::try_from(all.saturating_sub(updated)).unwrap_or(1);
        let old = plural(old, "old replica");
        return Status::Waiting(format!("{old} still terminating"));
    }
    let available = status.available_replicas.unwrap_or_default();
    counted(updated, available, desired)
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

pub(super) fn replica_set(set: &ReplicaSet) -> Status {
    let desired = set.spec.as_ref().and_then(|spec| spec.replicas);
    let desired = desired.unwrap_or(REPLICAS);
    let available = set.status.as_ref();
    let available = available.and_then(|status| status.available_replicas);
    counted(desired, available.unwrap_or_default(), desired)
}

pub(super) fn replication_controller(controller: &ReplicationController) -> Status {
    let desired = controller.spec.as_ref().and_then(|spec| spec.replicas);
    let desired = desired.unwrap_or(REPLICAS);
    let available = controller.status.as_ref();
    let available = available.and_then(|status| status.available_replicas);
    counted(desired, available.unwrap_or_default(), desired)
}

/// The status of a pod that nothing replaces. One whose containers are not always started again must succeed, unless a probe says
/// that it serves.
pub(super) fn bare_pod(pod: &Pod) -> Status {
    if pod.metadata.deletion_timestamp.is_some() {
        return Status::Waiting("the pod is being deleted".into());
    }
    match phase(pod) {
        "Succeeded" => return Status::Done,
        "Failed" => {
            let exited = container_statuses(pod).find(|status| has_exited(status));
            let why = match exited {
                Some(status) => format!("container `{}` exited{}", status.name, last_exit(status)),
                None => end_of(pod),
            };
            return Status::Failed(Cause {
                message: format!(
                    "the pod failed, and nothing replaces it: {why}; delete it before the next deployment, or use a Deployment or a Job"
                ),
                pod: pod.metadata.name.clone(),
                container: exited.map(|status| status.name.clone()),
                restarts: None,
            });
        }
        _ => {}
    }
    let mut containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    let is_probed = containers.any(|container| container.readiness_probe.is_some());
    let may_be_ready = runs_on(pod) || is_probed;
    if may_be_ready && is_ready(pod) {
        return Status::Done;
    }
    let expected = if may_be_ready { "ready" } else { "done" };
    Status::Waiting(format!("the pod is not {expected} yet"))
}

/// How many pods the workload should have.
pub(super) fn desired(workload: &Workload) -> i32 {
    match workload {
        Workload::Deployment(live) => live.spec.as_ref().and_then(|spec| spec.replicas),
        Workload::StatefulSet(live) => live.spec.as_ref().and_then(|spec| spec.replicas),
        Workload::ReplicaSet(live) => live.spec.as_ref().and_then(|spec| spec.replicas),
        Workload::ReplicationController(live) => live.spec.as_ref().and_then(|spec| spec.replicas),
        Workload::DaemonSet(live) => {
            let status = live.status.as_ref();
            return status.map_or(0, |status| status.desired_number_scheduled);
        }
        Workload::Job(_) | Workload::Pod(_) => None,
    }
    .unwrap_or(REPLICAS)
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
