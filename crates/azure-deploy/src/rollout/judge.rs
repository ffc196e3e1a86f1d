//! The verdict on a rollout over time: a problem counts for as long as it has lasted.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use actions_toolkit::text::plural;
use k8s_openapi::api::core::v1::Pod;

use super::claims::{claim_names, waits_for_volume};
use super::events::Obstacles;
use super::made_later::absent_name;
use super::status::{
    Cause, Status, bare_pod, container_statuses, daemon_set, deployment, desired, end_of,
    exit_reason, failed, has_exited, is_lost, job, last_exit, obstacle, ran_for, replica_failure,
    replica_set, replication_controller, stateful_set, unprobed, unschedulable,
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

/// Room that there will be, without another change.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct ComingRoom {
    /// On a node, for a pod that cannot be scheduled.
    pub(crate) on_nodes: bool,
    /// In a quota, for a pod that cannot be created.
    pub(crate) in_quota: bool,
}

/// What is around a workload.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Surroundings<'a> {
    /// Since the change.
    pub(crate) elapsed: Duration,
    /// Nodes for its pods.
    pub(crate) nodes: NewNodes,
    /// Whether some of its pods are terminating, which still use a quota.
    pub(crate) has_terminating_pods: bool,
    /// Whether there will be room for its pods: on a node that other pods leave, or in a quota.
    pub(crate) room: ComingRoom,
    /// What only events have.
    pub(crate) obstacles: &'a Obstacles,
}

/// Judges rollouts over time: how long a problem has lasted counts, and not how long the rollout has.
#[derive(Debug, Default)]
pub(crate) struct Judge {
    max_restarts: i32,
    /// When each problem was seen first.
    since: BTreeMap<String, Duration>,
    /// The problems that began while there was a reason to wait for their end.
    outlasting: BTreeSet<String>,
    /// The pods of each workload that were lost, by their UIDs: when, and why.
    lost: BTreeMap<String, BTreeMap<String, (Duration, String)>>,
    /// The workloads that are waited for, or were a moment ago: until when.
    waiting: BTreeMap<String, Duration>,
    /// The workloads that are not waited for, since a container of theirs has exited: the restarts, and when the last one was seen.
    crashed: BTreeMap<String, (i32, Duration)>,
    /// The restarts of a container of a pod that are of the past.
    past: BTreeMap<(String, String), i32>,
    /// The restarts up to which a container of a pod is tolerated.
    limits: BTreeMap<(String, String), i32>,
    /// Names of what a controller may make later.
    expected: BTreeSet<String>,
    /// Whether each problem counts as if it had lasted forever.
    is_final: bool,
}

/// How long a transient problem may last: a Secret that is created a moment later, a quota. A volume is mounted again after
/// pauses that double, from half a second on (kubernetes/pkg/util/goroutinemap/exponentialbackoff): for the fourth time after
/// 7.5 s.
pub(super) const GRACE: Duration = Duration::from_secs(10);
/// The same for an image: the kubelet pulls again after ten seconds (kubernetes/pkg/kubelet, `backOffPeriod`). A registry
/// that is replicated to several regions may not have it there yet (github.com/Azure/acr/issues/880).
const IMAGE_GRACE: Duration = Duration::from_secs(12);
/// The same once there should be room, in a quota or on a node: the controller and the scheduler try again after longer and longer
/// pauses.
const ROOM_GRACE: Duration = Duration::from_secs(30);
/// The same for a pod that cannot be scheduled, where a node may be added: a node needs a moment.
const NODE_GRACE: Duration = Duration::from_secs(60);
/// A container that has run for so long does not crash in a loop: the kubelet, too, then restarts it without a pause
/// (kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle, "Container restart policy").
const LONG_RUN: Duration = Duration::from_secs(600);
/// A workload whose containers have run for so long since one exited is waited for again: it needed another one too.
const RECOVERED: Duration = Duration::from_secs(15);
/// What counts as ready from its start on is watched for so long: a worker whose first line fails would be rolled out.
const STEADY: Duration = Duration::from_secs(5);
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

    /// It waits for Secrets and `ConfigMap`s of these names, which do not exist yet.
    pub(crate) fn expecting(self, names: BTreeSet<String>) -> Self {
        Self {
            expected: names,
            ..self
        }
    }

    // Whether the object that `message` says does not exist is one of them.
    fn expects(&self, message: &str) -> bool {
        absent_name(message).is_some_and(|name| self.expected.contains(name))
    }

    /// The status of a workload with the pods of its newest revision.
    pub(crate) fn workload(
        &mut self,
        workload: &Workload,
        pods: &[Pod],
        around: Surroundings<'_>,
    ) -> Status {
        if !workload.is_observed() {
            return Status::Waiting("the controller has not observed the change yet".into());
        }
        let causes = pods.iter().filter_map(|pod| self.failure(pod, around));
        // How often a Job is tried is its own `backoffLimit`.
        let counts = |c: &Cause| c.restarts.is_none() || !matches!(workload, Workload::Job(_));
        let causes = causes.filter(counts);
        if let Some(cause) = causes.min_by_key(|cause| cause.restarts.is_some()) {
            return Status::Failed(cause);
        }
        self.remember_losses(workload, pods, around.elapsed);
        if let Some(cause) = self.excess_of_losses(workload, around.elapsed) {
            return Status::Failed(cause);
        }
        let uncreated = uncreated(workload, around.obstacles);
        let lacks_pods = self.lacks_pods(workload, uncreated.is_some(), around);
        if let Some(message) = uncreated.filter(|_| lacks_pods) {
            return failed(format!("no pod can be created: {message}"));
        }
        let status = match workload {
            Workload::Deployment(live) => deployment(live),
            Workload::StatefulSet(live) => stateful_set(live),
            Workload::DaemonSet(live) => daemon_set(live),
            Workload::Job(live) => job(live, pods),
            Workload::ReplicaSet(live) => replica_set(live),
            Workload::ReplicationController(live) => replication_controller(live),
            Workload::Pod(live) => bare_pod(live),
        };
        let uncreated = uncreated.map(|message| format!("no pod can be created yet: {message}"));
        let claims = around.obstacles.claims.iter().next();
        let claim = claims.map(|(name, claim)| {
            format!("the claim `{name}` has no volume yet: {}", claim.message)
        });
        let obstacle = pods.iter().find_map(obstacle).or(uncreated).or(claim);
        let losses = self.losses(workload, around.elapsed);
        let lost = losses.last().filter(|_| is_replaced(workload));
        let lost = lost.map(|why| format!("a pod was lost ({why}) and is replaced"));
        let obstacle = obstacle.or(lost);
        match (status, obstacle) {
            (Status::Waiting(message), Some(obstacle)) => {
                Status::Waiting(format!("{message}; {obstacle}"))
            }
            (status, _) => status,
        }
    }

    /// Weigh the verdicts on all workloads, by their names and with their pods: an application may exit until its database is
    /// up. While another workload is waited for, and a moment after, restarts are tolerated, and then one more. One that exits
    /// itself is not waited for, until it is done or has run for some time: two that crash in a loop would wait for each other.
    /// What has no readiness probe is done once its containers have kept running.
    pub(crate) fn weigh(
        &mut self,
        mut verdicts: Vec<(String, &[Pod], &mut Status)>,
        elapsed: Duration,
    ) {
        for (name, pods, verdict) in &mut verdicts {
            if self.sees_crash(name, pods, elapsed) {
                self.waiting.remove(name);
            }
            let unsteady = self.unsteady(pods, elapsed);
            let is_waited_for = match verdict {
                Status::Done if let Some(container) = unsteady => {
                    let seconds = STEADY.as_secs();
                    **verdict = Status::Waiting(format!(
                        "container `{container}` has no readiness probe; it must run for {seconds}s"
                    ));
                    false
                }
                Status::Done => self.crashed.remove(name).is_some(),
                Status::Waiting(_) => self
                    .crashed
                    .get(name)
                    .is_none_or(|(_, last)| elapsed.saturating_sub(*last) > RECOVERED),
                Status::Failed(_) => false,
            };
            if is_waited_for {
                self.waiting.insert(name.clone(), elapsed);
            }
        }
        self.waiting
            .retain(|_, last| elapsed.saturating_sub(*last) <= GRACE);
        for (name, _, verdict) in &mut verdicts {
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

    /// Whether a container of the workload `name`, which is not done, has exited.
    pub(crate) fn has_exited(&self, name: &str) -> bool {
        self.crashed.contains_key(name)
    }

    // Whether a container of the workload `name` has exited and not run since, or was started again since the last look.
    fn sees_crash(&mut self, name: &str, pods: &[Pod], elapsed: Duration) -> bool {
        let is_crash = pods.iter().any(|pod| self.has_crashed(pod));
        let mut statuses = pods.iter().flat_map(container_statuses);
        let is_down = statuses.any(has_exited);
        let statuses = pods.iter().flat_map(container_statuses);
        let restarts = statuses.map(|status| status.restart_count).sum();
        let known = self.crashed.get(name).map(|(restarts, _)| *restarts);
        let sees = is_crash && (is_down || known != Some(restarts));
        if sees {
            self.crashed.insert(name.to_owned(), (restarts, elapsed));
        }
        sees
    }

    // A container that counts as ready only since it runs (kubernetes.io/docs/concepts/workloads/pods/probes: without a probe it
    // is ready at once), and has not run for long.
    fn unsteady<'a>(&mut self, pods: &'a [Pod], elapsed: Duration) -> Option<&'a str> {
        let mut found = None;
        for pod in pods {
            let name = pod.metadata.name.clone().unwrap_or_default();
            for status in unprobed(pod) {
                let key = format!("{name}/{}/run {}", status.name, status.restart_count);
                let since = *self.since.entry(key).or_insert(elapsed);
                if since >= PAST && elapsed.saturating_sub(since) < STEADY {
                    found = Some(status.name.as_str());
                }
            }
        }
        found
    }

    // Whether a container of the pod has exited during this rollout.
    fn has_crashed(&self, pod: &Pod) -> bool {
        let name = pod.metadata.name.clone().unwrap_or_default();
        let mut statuses = container_statuses(pod);
        pod.metadata.deletion_timestamp.is_none()
            && statuses.any(|status| {
                let past = self.past.get(&(name.clone(), status.name.clone()));
                has_exited(status) || status.restart_count > past.copied().unwrap_or_default()
            })
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

    // Whether the problem `key` has lasted for more than its `grace`. It does not count while it is expected to end by itself, and
    // has more time after that.
    fn outlasts(&mut self, key: String, problem: Problem, elapsed: Duration) -> bool {
        if problem.will_end {
            self.outlasting.insert(key.clone());
        }
        let grace = if self.outlasting.contains(&key) {
            problem.grace.max(ROOM_GRACE)
        } else {
            problem.grace
        };
        let counts = problem.exists && !problem.will_end;
        self.lasted(key, counts, elapsed) > Some(grace)
    }

    // Whether no pod of the workload could be created for some time.
    fn lacks_pods(&mut self, workload: &Workload, fails: bool, around: Surroundings<'_>) -> bool {
        let key = workload.metadata().uid.clone().unwrap_or_default();
        let problem = Problem {
            exists: fails,
            will_end: around.has_terminating_pods || around.room.in_quota,
            grace: GRACE,
        };
        self.outlasts(key, problem, around.elapsed)
    }

    // Remember the pods of the workload that were lost. Those of its first look were lost before: they stay until the cluster has very
    // many of them.
    fn remember_losses(&mut self, workload: &Workload, pods: &[Pod], elapsed: Duration) {
        let key = workload.metadata().uid.clone().unwrap_or_default();
        let is_first = !self.lost.contains_key(&key);
        let at = if is_first { Duration::ZERO } else { elapsed };
        let known = self.lost.entry(key).or_default();
        for pod in pods.iter().filter(|pod| is_lost(pod)) {
            let metadata = &pod.metadata;
            let uid = metadata.uid.clone().or_else(|| metadata.name.clone());
            let loss = known.entry(uid.unwrap_or_default());
            loss.or_insert_with(|| (at, end_of(pod)));
        }
    }

    // Why the pods of the workload were lost, the last one last. What is long ago does not count.
    fn losses(&self, workload: &Workload, elapsed: Duration) -> Vec<&str> {
        let uid = workload.metadata().uid.as_deref().unwrap_or_default();
        let known = self.lost.get(uid).into_iter().flat_map(BTreeMap::values);
        let counts = |since: Duration| since >= PAST && elapsed.saturating_sub(since) < LONG_RUN;
        let mut counted: Vec<_> = known.filter(|(since, _)| counts(*since)).collect();
        counted.sort_by_key(|(since, _)| *since);
        counted.into_iter().map(|(_, why)| why.as_str()).collect()
    }

    // The cause of a workload whose pods are lost again and again: each may be, as often as a container of it may be restarted, and
    // once in any case.
    fn excess_of_losses(&self, workload: &Workload, elapsed: Duration) -> Option<Cause> {
        let losses = self.losses(workload, elapsed);
        let last = losses.last().filter(|_| is_replaced(workload))?;
        let each = self.max_restarts.max(1);
        let limit = desired(workload).max(1).saturating_mul(each);
        if i32::try_from(losses.len()).is_ok_and(|count| count <= limit) {
            return None;
        }
        let count = plural(losses.len(), "pod");
        Some(Cause {
            message: format!("{count} were lost one after another; of the last one: {last}"),
            ..Cause::default()
        })
    }

    // Why a pod gets no node, if that has lasted: there is none for it, or one of its claims gets no volume.
    fn unscheduled(&mut self, name: &str, pod: &Pod, around: Surroundings<'_>) -> Option<String> {
        let message = unschedulable(pod);
        let is_unbound = message.is_none_or(waits_for_volume);
        for claim_name in claim_names(pod) {
            let claim = around.obstacles.claims.get(&claim_name);
            let claim = claim.filter(|claim| is_unbound || !claim.lacks_volume());
            let failing = claim.and_then(|claim| Some((claim, claim.grace?)));
            let problem = Problem {
                exists: failing.is_some(),
                will_end: false,
                grace: failing.map_or(GRACE, |(_, grace)| grace),
            };
            let key = format!("{name}: claim {claim_name}");
            if self.outlasts(key, problem, around.elapsed)
                && let Some((claim, _)) = failing
            {
                let message = &claim.message;
                return Some(format!(
                    "the claim `{claim_name}` gets no volume: {message}"
                ));
            }
        }
        let waits = |message: &str| waits_for_volume(message) || self.expects(message);
        let problem = Problem {
            exists: message.is_some(),
            // A pod that is stuck is one that nothing is expected of.
            will_end: !self.is_final && (around.room.on_nodes || message.is_some_and(waits)),
            grace: match around.nodes {
                NewNodes::Expected => Duration::MAX,
                NewNodes::Possible => NODE_GRACE,
                NewNodes::Excluded => GRACE,
            },
        };
        let lasts = self.outlasts(name.to_owned(), problem, around.elapsed);
        let message = message.filter(|_| lasts)?;
        Some(format!("the pod cannot be scheduled: {message}"))
    }

    fn failure(&mut self, pod: &Pod, around: Surroundings<'_>) -> Option<Cause> {
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
        if let Some(message) = self.unscheduled(&name, pod, around) {
            return cause(message, None, None);
        }
        let absent = around.obstacles.mount.as_ref();
        let absent = absent.filter(|(of, message)| *of == name && !self.expects(message));
        let lasted = self.lasted(format!("{name}: volume"), absent.is_some(), around.elapsed);
        if let Some((_, message)) = absent.filter(|_| lasted > Some(GRACE)) {
            return cause(format!("a volume cannot be mounted: {message}"), None, None);
        }
        for status in container_statuses(pod) {
            let container = status.name.as_str();
            let restarts = status.restart_count;
            let id = (name.clone(), container.to_owned());
            let past = if around.elapsed < PAST { restarts } else { 0 };
            let past = *self.past.entry(id.clone()).or_insert(past);
            let limit = self.limits.entry(id);
            let limit = limit.or_insert(past.saturating_add(self.max_restarts));
            if has_exited(status) && ran_for(status) >= Some(LONG_RUN) {
                // Its restarts are counted from here.
                *limit = (*limit).max(restarts.saturating_add(self.max_restarts));
            }
            let limit = *limit;
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
                MOSTLY_PERMANENT.contains(&waiting) && !self.expects(message),
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

// A problem that may pass.
#[derive(Clone, Copy)]
struct Problem {
    exists: bool,
    // Whether it is expected to end without another change.
    will_end: bool,
    // How long it may last.
    grace: Duration,
}

/// Why no pod of a workload can be created, if that is so.
pub(super) fn uncreated<'a>(workload: &'a Workload, obstacles: &'a Obstacles) -> Option<&'a str> {
    match workload {
        Workload::Deployment(live) => replica_failure(live),
        _ => obstacles.creation.as_deref(),
    }
}

// Whether a controller creates another pod for one that was lost, as often as it takes. A Job counts them itself.
fn is_replaced(workload: &Workload) -> bool {
    !matches!(workload, Workload::Job(_) | Workload::Pod(_))
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
        room: ComingRoom::default(),
        obstacles: &Obstacles::default(),
    };
    judge.failure(pod, around).is_some()
}

#[cfg(test)]
mod tests;
