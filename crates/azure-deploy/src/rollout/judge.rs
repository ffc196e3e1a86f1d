//! The verdict on a rollout over time: a problem counts for as long as it has lasted.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use actions_toolkit::text::plural;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;

use super::status::{
    Cause, REPLICAS, Status, counted, daemon_set, exit_reason, failed, has_exited, job, last_exit,
    obstacle, stateful_set, unschedulable,
};
use crate::kubernetes::Workload;

/// Whether a node may be added for a pod that cannot be scheduled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NewNodes {
    /// One was requested, or the pool grows.
    Expected,
    /// That is unknown, or the autoscaler has found no pool to grow.
    Possible,
    /// No pool grows.
    Excluded,
}

/// What is around a workload.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Surroundings {
    /// Since the change.
    pub(crate) elapsed: Duration,
    /// Nodes for its pods.
    pub(crate) nodes: NewNodes,
    /// Whether some of its pods are terminating, which still use a quota.
    pub(crate) has_terminating_pods: bool,
}

/// Judges rollouts over time: how long a problem has lasted counts, and not how long the rollout has.
#[derive(Debug, Default)]
pub(crate) struct Judge {
    max_restarts: i32,
    /// When each problem was seen first.
    since: BTreeMap<String, Duration>,
    /// The problems that began while pods were terminating.
    outlasting: BTreeSet<String>,
    /// The workloads that are waited for, or were a moment ago: until when.
    waiting: BTreeMap<String, Duration>,
    /// The restarts up to which a container of a pod is tolerated.
    limits: BTreeMap<(String, String), i32>,
    /// Whether each problem counts as if it had lasted forever.
    is_final: bool,
}

/// How long a transient problem may last: a Secret that is created a moment later, a quota.
const GRACE: Duration = Duration::from_secs(10);
/// The same for an image: the kubelet pulls again after ten seconds (kubernetes/pkg/kubelet, `backOffPeriod`). A registry
/// that is replicated to several regions may not have it there yet (github.com/Azure/acr/issues/880).
const IMAGE_GRACE: Duration = Duration::from_secs(12);
/// The same for a quota that terminating pods used: the controller tries again after longer and longer pauses.
const QUOTA_GRACE: Duration = Duration::from_secs(30);
/// The same for a pod that cannot be scheduled, where a node may be added: a node needs a moment.
const NODE_GRACE: Duration = Duration::from_secs(60);
/// What a container did before this time belongs to the past.
const PAST: Duration = Duration::from_secs(1);

/// Permanent reasons.
const PERMANENT: &[&str] = &["ErrImageNeverPull", "InvalidImageName"];
/// Reasons that are an image's.
const IMAGE: &[&str] = &["ErrImagePull", "ImagePullBackOff"];
/// Reasons of an exit that another start does not change.
const FINAL_EXITS: &[&str] = &["OOMKilled", "StartError", "ContainerCannotRun"];
/// Reasons that are mostly permanent.
const MOSTLY_PERMANENT: &[&str] = &[
    "CreateContainerConfigError",
    "CreateContainerError",
    "RunContainerError",
];

impl Judge {
    /// A judge that tolerates so many restarts of each container.
    pub(crate) fn new(max_restarts: u16) -> Self {
        Self {
            max_restarts: max_restarts.into(),
            ..Self::default()
        }
    }

    /// The status of a workload with the pods of its newest revision.
    pub(crate) fn workload(
        &mut self,
        workload: &Workload,
        pods: &[Pod],
        around: Surroundings,
    ) -> Status {
        if !workload.is_observed() {
            return Status::Waiting("the controller has not observed the change yet".into());
        }
        let failed = pods.iter().filter_map(|pod| self.failure(pod, around));
        // How often a Job is tried is its own `backoffLimit`.
        let counts = |c: &Cause| c.restarts.is_none() || !matches!(workload, Workload::Job(_));
        let failed = failed.filter(counts);
        if let Some(cause) = failed.min_by_key(|cause| cause.restarts.is_some()) {
            return Status::Failed(cause);
        }
        let status = match workload {
            Workload::Deployment(live) => self.deployment(live, around),
            Workload::StatefulSet(live) => stateful_set(live),
            Workload::DaemonSet(live) => daemon_set(live),
            Workload::Job(live) => job(live, pods),
        };
        match (status, pods.iter().find_map(obstacle)) {
            (Status::Waiting(message), Some(obstacle)) => {
                Status::Waiting(format!("{message}; {obstacle}"))
            }
            (status, _) => status,
        }
    }

    /// Weigh the verdicts on all workloads, by their names: an application may exit until its database is up. While another
    /// workload is waited for, and a moment after, restarts are tolerated, and then one more.
    pub(crate) fn weigh(&mut self, mut verdicts: Vec<(String, &mut Status)>, elapsed: Duration) {
        for (name, verdict) in &verdicts {
            if matches!(verdict, Status::Waiting(_)) {
                self.waiting.insert(name.clone(), elapsed);
            }
        }
        self.waiting
            .retain(|_, last| elapsed.saturating_sub(*last) <= GRACE);
        for (name, verdict) in &mut verdicts {
            let mut others = self.waiting.keys().filter(|other| *other != name);
            if let Status::Failed(cause) = verdict
                && let Some(restarts) = cause.restarts
                && let (Some(pod), Some(container)) = (&cause.pod, &cause.container)
                && let Some(other) = others.next()
            {
                let key = (pod.clone(), container.clone());
                self.limits.insert(key, restarts.saturating_add(1));
                let message = format!("{}, which may need {other}", cause.message);
                **verdict = Status::Waiting(message);
            }
        }
    }

    // How long the problem `key` has lasted; `None` if it does not exist now.
    fn lasted(&mut self, key: String, exists: bool, elapsed: Duration) -> Option<Duration> {
        if !exists {
            self.since.remove(&key);
            return None;
        }
        if self.is_final {
            return Some(Duration::MAX);
        }
        let since = *self.since.entry(key).or_insert(elapsed);
        Some(elapsed.saturating_sub(since))
    }

    fn deployment(&mut self, deployment: &Deployment, around: Surroundings) -> Status {
        let spec = deployment.spec.as_ref();
        let status = deployment.status.clone().unwrap_or_default();
        let condition = |kind: &str| {
            let mut conditions = status.conditions.iter().flatten();
            conditions.find(|condition| condition.type_ == kind)
        };
        let failure = condition("ReplicaFailure").filter(|failure| failure.status == "True");
        let key = deployment.metadata.uid.clone().unwrap_or_default();
        if around.has_terminating_pods {
            self.outlasting.insert(key.clone());
        }
        let grace = if self.outlasting.contains(&key) {
            QUOTA_GRACE
        } else {
            GRACE
        };
        let counts = failure.is_some() && !around.has_terminating_pods;
        let lasted = self.lasted(key, counts, around.elapsed);
        if let (Some(failure), Some(lasted)) = (failure, lasted)
            && lasted > grace
        {
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

    fn failure(&mut self, pod: &Pod, around: Surroundings) -> Option<Cause> {
        if pod.metadata.deletion_timestamp.is_some() {
            return None;
        }
        let name = pod.metadata.name.clone().unwrap_or_default();
        let cause = |message: String, container: Option<&str>, restarts: Option<i32>| {
            Some(Cause {
                message,
                pod: pod.metadata.name.clone(),
                container: container.map(ToOwned::to_owned),
                restarts,
            })
        };
        let unschedulable = unschedulable(pod);
        let lasted = self.lasted(name.clone(), unschedulable.is_some(), around.elapsed);
        let grace = match around.nodes {
            NewNodes::Expected => Duration::MAX,
            NewNodes::Possible => NODE_GRACE,
            NewNodes::Excluded => GRACE,
        };
        if let Some(message) = unschedulable.filter(|_| lasted > Some(grace)) {
            return cause(
                format!("the pod cannot be scheduled: {message}"),
                None,
                None,
            );
        }
        let status = pod.status.as_ref()?;
        let lists = [&status.init_container_statuses, &status.container_statuses];
        for status in lists.into_iter().flatten().flatten() {
            let container = status.name.as_str();
            let limit = self.limits.entry((name.clone(), container.to_owned()));
            let past = if around.elapsed < PAST {
                status.restart_count
            } else {
                0
            };
            let limit = *limit.or_insert(past.saturating_add(self.max_restarts));
            let restarts = status.restart_count;
            let is_final = restarts > 0 && FINAL_EXITS.contains(&exit_reason(status));
            if has_exited(status) && (restarts >= limit || is_final) {
                let exit = last_exit(status);
                let message = format!("container `{container}` is crash-looping{exit}");
                return cause(message, Some(container), (!is_final).then_some(restarts));
            }
            let state = status.state.as_ref();
            let waiting = state.and_then(|state| state.waiting.as_ref());
            let message = waiting.and_then(|waiting| waiting.message.as_deref());
            let message = message.unwrap_or_default();
            let waiting = waiting.and_then(|waiting| waiting.reason.as_deref());
            let waiting = waiting.unwrap_or_default();
            let key = format!("{name}/{container}");
            let (image, other) = (
                IMAGE.contains(&waiting),
                MOSTLY_PERMANENT.contains(&waiting),
            );
            let image = self.lasted(format!("{key}/image"), image, around.elapsed);
            let other = self.lasted(key, other, around.elapsed);
            if PERMANENT.contains(&waiting) || image > Some(IMAGE_GRACE) || other > Some(GRACE) {
                let message =
                    format!("container `{container}` does not start: {waiting}: {message}");
                return cause(message, Some(container), None);
            }
        }
        None
    }
}

/// Whether a pod cannot start by itself, however long it has been waiting.
pub(crate) fn is_stuck(pod: &Pod) -> bool {
    let mut judge = Judge {
        max_restarts: 1,
        is_final: true,
        ..Judge::default()
    };
    let around = Surroundings {
        elapsed: Duration::MAX,
        nodes: NewNodes::Excluded,
        has_terminating_pods: false,
    };
    judge.failure(pod, around).is_some()
}

#[cfg(test)]
mod tests;
