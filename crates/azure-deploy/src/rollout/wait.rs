//! Wait until every rollout is done, one has failed, or the time is up.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use actions_toolkit::text::plural;
use actions_toolkit::{Log, PolicyFailure};
use futures_util::future::join_all;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;

use super::events::Obstacles;
use super::evidence::{Evidence, collect_cause, collect_pod, last_warning};
use super::judge::{ComingRoom, Judge, NewNodes, Surroundings, is_stuck, uncreated};
use super::made_later::made_later;
use super::pods::Rollout;
use super::room::{Replacing, Room};
use super::status::{self, Cause, Status, is_over};
use super::superseded::superseded;
use super::watch::Watch;
use crate::kubernetes::{Cluster, Object, OutageBudget, REVISION, Workload};

/// A line is logged when the status changes, and at least this often.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// Why a Job failed of which nothing else is known.
const EXITED: &str = "a container of it has exited with an error";

/// What a rollout may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) timeout: Duration,
    /// Restarts of each container.
    pub(crate) restarts: u16,
}

/// Wait until every workload of `objects` is rolled out, in parallel. Returns the revision of the first Deployment.
///
/// # Errors
/// [`PolicyFailure`] with the cause when one fails or times out; events and last log lines of its pods are in the log and
/// in `evidence` then.
pub(crate) async fn wait(
    cluster: &Cluster,
    objects: &[Object],
    limits: Limits,
    log: &Log,
    evidence: &mut Evidence,
) -> anyhow::Result<Option<String>> {
    let timeout = limits.timeout;
    let (started, start) = (Instant::now(), Timestamp::now());
    let deployment = objects.iter().find(|o| o.is_of("apps", "Deployment"));
    let mut revision = None;
    let mut open: Vec<&Object> = objects.iter().filter(|o| o.is_awaited()).collect();
    let mut watch = Watch::new(cluster, &open).await;
    let mut budget = OutageBudget::default();
    let mut logged = (String::new(), Instant::now());
    let mut room = Ahead::default();
    let mut judge = Judge::new(limits.restarts).expecting(made_later(objects));
    let mut removed = BTreeSet::new();
    while !open.is_empty() {
        let mut lines = Vec::new();
        let mut unfinished = Vec::new();
        let mut waiting = Vec::new();
        let states = join_all(
            open.iter()
                .map(|object| Box::pin(state(cluster, object, start))),
        );
        let states = states.await;
        room.replacing = is_replacing(&states);
        let mut judged = Vec::new();
        for (object, (state, obstacles)) in open.into_iter().zip(states) {
            let Some(rollout) = budget.spend(state)? else {
                lines.push(format!("{}: the API server is unreachable", object.label()));
                unfinished.push(object);
                continue;
            };
            let Some(rollout) = rollout else {
                let exit = judge.has_exited(&object.label()).then_some(EXITED);
                let failure = failure_of_gone(cluster, object, start).await;
                gone(object, failure.as_deref().or(exit), log)?;
                continue;
            };
            let (workload, pods) = (&rollout.workload, &rollout.pods);
            if let Some(superseded) = superseded(object, workload) {
                return Err(superseded.into());
            }
            if workload.is_observed() {
                remove_stuck(cluster, &rollout.older, &mut removed, log).await;
            }
            let elapsed = started.elapsed();
            let around = room.around(cluster, object, &rollout, &obstacles, elapsed);
            let verdict = judge.workload(workload, pods, Box::pin(around).await);
            judged.push((object, rollout, verdict));
        }
        let verdicts = judged.iter_mut();
        let verdicts = verdicts
            .map(|(object, rollout, verdict)| (object.label(), rollout.pods.as_slice(), verdict));
        judge.weigh(verdicts.collect(), started.elapsed());
        for (object, rollout, verdict) in judged {
            let workload = &rollout.workload;
            match verdict {
                Status::Done => {
                    if deployment.is_some_and(|deployment| deployment.is_same(object)) {
                        revision = Some(workload.annotation(REVISION).to_owned());
                    }
                    log_done(cluster, object, &rollout, started.elapsed(), log).await;
                }
                Status::Failed(cause) => {
                    let failed = failed(cluster, object, workload, cause, log, evidence);
                    return Err(Box::pin(failed).await);
                }
                Status::Waiting(message) => {
                    lines.push(format!("{}: {message}", object.label()));
                    unfinished.push(object);
                    waiting.push(rollout);
                }
            }
        }
        let line = lines.join("; ");
        let timed_out = !unfinished.is_empty() && started.elapsed() > timeout;
        if !line.is_empty() && (line != logged.0 || logged.1.elapsed() > HEARTBEAT) {
            // A status that does not change gets its cause.
            let why = if line == logged.0 {
                last_warning(cluster, &waiting).await
            } else {
                String::new()
            };
            log.info(format!("{line}{why} ({}s)", started.elapsed().as_secs()));
            logged = (line.clone(), Instant::now());
        }
        if timed_out {
            let out = timed_out_error(cluster, &waiting, line, timeout, log, evidence);
            return Err(Box::pin(out).await);
        }
        open = unfinished;
        if !open.is_empty() {
            watch.change(started.elapsed()).await;
        }
    }
    Ok(revision)
}

// The rollout of `object`, and what holds it up.
async fn state(
    cluster: &Cluster,
    object: &Object,
    start: Timestamp,
) -> (anyhow::Result<Option<Rollout>>, Obstacles) {
    let rollout = cluster.rollout(object).await;
    let obstacles = match &rollout {
        Ok(Some(rollout)) => cluster.obstacles(rollout, start).await,
        _ => Obstacles::default(),
    };
    (rollout, obstacles)
}

// That `object` is done, `waited` after the start.
async fn log_done(
    cluster: &Cluster,
    object: &Object,
    rollout: &Rollout,
    waited: Duration,
    log: &Log,
) {
    let (label, seconds) = (object.label(), waited.as_secs());
    if let Workload::Job(_) = &rollout.workload {
        log.info(format!("{label} is done ({seconds}s)"));
        log_job(cluster, rollout, log).await;
        return;
    }
    log.info(format!("{label} is rolled out ({seconds}s)"));
    if let Some(problem) = outdated(&rollout.workload, &rollout.pods) {
        log.warning(format!("{label}: {problem}"));
    }
}

// The last lines of a Job, which nothing else shows.
async fn log_job(cluster: &Cluster, rollout: &Rollout, log: &Log) {
    let Some(pod) = rollout.pods.last() else {
        return;
    };
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    let _group = log.group(format!("Last lines of pod {name}"));
    for line in cluster.log_tail(namespace, name, None).await {
        log.info(line);
    }
}

// What is ahead of pods that lack room.
#[derive(Debug, Default)]
struct Ahead {
    // Whether nodes are added, which is queried once.
    nodes: Option<NewNodes>,
    room: Room,
    // Whether old pods of the workloads are about to go.
    replacing: bool,
}

impl Ahead {
    // What is around the workload `object`.
    async fn around<'a>(
        &mut self,
        cluster: &Cluster,
        object: &Object,
        rollout: &Rollout,
        obstacles: &'a Obstacles,
        elapsed: Duration,
    ) -> Surroundings<'a> {
        let (label, replacing) = (object.label(), Replacing(self.replacing));
        let mut nodes = self.nodes.unwrap_or(NewNodes::Possible);
        let mut room = ComingRoom::default();
        let mut unscheduled = rollout.pods.iter();
        let unscheduled =
            unscheduled.find_map(|pod| status::unschedulable(pod).map(|message| (pod, message)));
        if let Some((pod, message)) = unscheduled {
            if self.nodes.is_none() {
                nodes = *self.nodes.insert(cluster.new_nodes().await);
            }
            nodes = cluster.new_nodes_for(pod, nodes).await;
            let on_nodes = self
                .room
                .on_nodes(cluster, &label, (pod, message), replacing);
            room.on_nodes = on_nodes.await;
        }
        if let Some(message) = uncreated(&rollout.workload, obstacles) {
            let namespace = object.namespace_or_default();
            let in_quota = self
                .room
                .in_quota(cluster, &label, (namespace, message), replacing);
            room.in_quota = in_quota.await;
        }
        Surroundings {
            elapsed,
            nodes,
            has_terminating_pods: rollout.has_terminating_pods,
            room,
            obstacles,
        }
    }
}

// Whether one of the workloads is about to remove old pods, or is removing some.
fn is_replacing(states: &[(anyhow::Result<Option<Rollout>>, Obstacles)]) -> bool {
    let mut rollouts = states
        .iter()
        .filter_map(|(state, _)| state.as_ref().ok()?.as_ref());
    rollouts.any(|rollout| rollout.makes_room || rollout.has_terminating_pods)
}

// What is wrong with a set that is done, and whose pods are not of its template: it replaces none.
fn outdated(workload: &Workload, pods: &[Pod]) -> Option<String> {
    if let Workload::Pod(pod) = workload {
        let ended = "it had ended before with another image, and is not started again; delete it, or use a Job";
        return ran_another_image(pod).then(|| ended.to_owned());
    }
    if !matches!(
        workload,
        Workload::ReplicaSet(_) | Workload::ReplicationController(_)
    ) {
        return None;
    }
    let images: BTreeMap<_, _> = workload.containers().map(|c| (&c.name, &c.image)).collect();
    let is_old = |pod: &&Pod| {
        let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
        let mut own = containers.filter_map(|c| Some((images.get(&c.name)?, &c.image)));
        own.any(|(expected, image)| *expected != image)
    };
    let old = pods.iter().filter(is_old).count();
    (old > 0).then(|| {
        let pods = plural(old, "pod");
        format!("{pods} with the previous image, which it does not replace; delete them, or use a Deployment")
    })
}

// Whether a pod has ended, and not with an image that its spec has by digest.
fn ran_another_image(pod: &Pod) -> bool {
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    let images: BTreeMap<_, _> = containers
        .filter_map(|c| Some((c.name.as_str(), c.image.as_deref()?.rsplit_once('@')?.1)))
        .collect();
    let statuses = pod
        .status
        .iter()
        .flat_map(|status| status.container_statuses.iter().flatten());
    let mut statuses = statuses.filter(|status| !status.image_id.is_empty());
    is_over(pod)
        && statuses.any(|status| {
            let digest = images.get(status.name.as_str());
            digest.is_some_and(|digest| !status.image_id.ends_with(digest))
        })
}

// The error of a workload that has failed; the evidence is collected.
async fn failed(
    cluster: &Cluster,
    object: &Object,
    workload: &Workload,
    cause: Cause,
    log: &Log,
    evidence: &mut Evidence,
) -> anyhow::Error {
    let last = collect_cause(cluster, workload, &cause, log, evidence).await;
    let last = last.map_or(String::new(), |line| format!(": `{line}`"));
    // The scheduler counts the taints that exclude a pod, and names none.
    let taints = if cause.message.contains("taint") {
        cluster.taints().await
    } else {
        String::new()
    };
    let label = object.label();
    PolicyFailure(format!("{label}: {}{taints}{last}", cause.message)).into()
}

// A StatefulSet waits until a pod of its previous version is ready before it replaces it, and would wait forever for one
// that cannot start.
async fn remove_stuck(cluster: &Cluster, older: &[Pod], removed: &mut BTreeSet<String>, log: &Log) {
    for pod in older.iter().filter(|pod| is_stuck(pod)) {
        let metadata = &pod.metadata;
        let namespace = metadata.namespace.as_deref().unwrap_or_default();
        let name = metadata.name.as_deref().unwrap_or_default();
        if !removed.insert(metadata.uid.clone().unwrap_or_default()) {
            continue;
        }
        match cluster.remove_pod(namespace, name).await {
            Ok(()) => log.info(format!(
                "removed the pod {name} of the previous version, which cannot start: the StatefulSet would not replace it"
            )),
            Err(e) => log.warning(format!(
                "the StatefulSet waits for the pod {name} of its previous version, which cannot start; remove it (`kubectl --namespace {namespace} delete pod {name}`): {e:#}"
            )),
        }
    }
}

// A workload that no longer exists: to wait for it would be pointless. A Job that removes itself may have done so between two
// looks: it is done, unless there was a `failure`.
fn gone(object: &Object, failure: Option<&str>, log: &Log) -> anyhow::Result<()> {
    let label = object.label();
    let problem = match failure {
        _ if !removes_itself(object) => format!("{label} was deleted"),
        Some(failure) => format!("{label} has failed, and was deleted: {failure}"),
        None => {
            log.notice(format!(
                "{label} was removed before its result was read (`ttlSecondsAfterFinished`); no failure of it was seen, so it counts as done"
            ));
            return Ok(());
        }
    };
    Err(PolicyFailure(problem).into())
}

// Why a Job that removed itself has failed.
async fn failure_of_gone(cluster: &Cluster, object: &Object, start: Timestamp) -> Option<String> {
    if !removes_itself(object) {
        return None;
    }
    cluster.failure_of_job(object, start).await
}

// Whether it is a Job that is removed once it has finished.
fn removes_itself(object: &Object) -> bool {
    object.is_job() && !object.value["spec"]["ttlSecondsAfterFinished"].is_null()
}

// The error of a rollout with the state `line`; the evidence of what is `waiting` is collected.
async fn timed_out_error(
    cluster: &Cluster,
    waiting: &[Rollout],
    line: String,
    timeout: Duration,
    log: &Log,
    evidence: &mut Evidence,
) -> anyhow::Error {
    let line = line + &last_warning(cluster, waiting).await;
    for rollout in waiting {
        collect_pod(cluster, rollout, log, evidence).await;
    }
    let seconds = timeout.as_secs();
    let problem = format!("the rollout timed out after {seconds}s (`rollout-timeout`): {line}");
    PolicyFailure(problem).into()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_job_that_removes_itself_is_done() {
        let problem = |kind: &str, ttl: Value, failure: Option<&str>| {
            let value = json!({"apiVersion": "batch/v1", "kind": kind, "metadata": {"name": "x"}, "spec": {"ttlSecondsAfterFinished": ttl}});
            let gone = gone(&Object::of_test(value, None), failure, &Log::sink());
            gone.map_or_else(|e| e.to_string(), |()| "done".to_owned())
        };
        assert_eq!(problem("Job", json!(0), None), "done");
        assert_eq!(
            problem("Job", json!(0), Some("deadline")),
            "Job/x has failed, and was deleted: deadline"
        );
        for (kind, ttl) in [("Job", Value::Null), ("Deployment", json!(0))] {
            let expected = format!("{kind}/x was deleted");
            assert_eq!(problem(kind, ttl, None), expected);
        }
    }

    #[test]
    fn a_set_that_replaces_no_pod_has_those_of_before_named() {
        let spec = |image: &str| json!({"containers": [{"name": "app", "image": image}]});
        let pods = ["app:1", "app:2"].map(|image| {
            let injected = json!({"name": "proxy", "image": "proxy:1"});
            let mut spec = spec(image);
            spec["containers"].as_array_mut().unwrap().push(injected);
            serde_json::from_value::<Pod>(json!({"spec": spec})).unwrap()
        });
        for (kind, expected) in [
            (
                "ReplicaSet",
                Some(
                    "1 pod with the previous image, which it does not replace; delete them, or use a Deployment",
                ),
            ),
            ("Deployment", None),
        ] {
            let template = json!({"spec": spec("app:2")});
            let live = json!({"kind": kind, "spec": {"template": template}});
            let object = Object::of_test(live.clone(), None);
            let workload = Workload::read(&object, live).unwrap();
            assert_eq!(outdated(&workload, &pods).as_deref(), expected, "{kind}");
        }
    }
}
