//! Wait until every rollout is done, one has failed, or the time is up.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use actions_toolkit::{Log, PolicyFailure};
use futures_util::future::join_all;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;

use super::events::Obstacles;
use super::evidence::{Evidence, collect_cause, collect_pod, last_warning};
use super::judge::{Judge, NewNodes, Surroundings, is_stuck};
use super::made_later::made_later;
use super::pods::Rollout;
use super::status::{self, Cause, Status};
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
    let mut open: Vec<&Object> = objects.iter().filter(|o| o.is_workload()).collect();
    let mut watch = Watch::new(cluster, &open).await;
    let mut budget = OutageBudget::default();
    let mut logged = (String::new(), Instant::now());
    let mut new_nodes = None;
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
        let mut judged = Vec::new();
        for (object, (state, obstacles)) in open.into_iter().zip(states.await) {
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
            let around = surroundings(cluster, &rollout, &obstacles, elapsed, &mut new_nodes);
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
                    let seconds = started.elapsed().as_secs();
                    if let Workload::Job(_) = workload {
                        log.info(format!("{} is done ({seconds}s)", object.label()));
                        log_job(cluster, &rollout, log).await;
                    } else {
                        log.info(format!("{} is rolled out ({seconds}s)", object.label()));
                    }
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

// What is around the workload; `new_nodes` is queried once.
async fn surroundings<'a>(
    cluster: &Cluster,
    rollout: &Rollout,
    obstacles: &'a Obstacles,
    elapsed: Duration,
    new_nodes: &mut Option<NewNodes>,
) -> Surroundings<'a> {
    let mut nodes = new_nodes.unwrap_or(NewNodes::Possible);
    let mut unscheduled = rollout.pods.iter();
    if let Some(pod) = unscheduled.find(|pod| status::unschedulable(pod).is_some()) {
        if new_nodes.is_none() {
            nodes = *new_nodes.insert(cluster.new_nodes().await);
        }
        nodes = cluster.new_nodes_for(pod, nodes).await;
    }
    Surroundings {
        elapsed,
        nodes,
        has_terminating_pods: rollout.has_terminating_pods,
        obstacles,
    }
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
}
