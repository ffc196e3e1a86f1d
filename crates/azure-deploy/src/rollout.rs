//! Watching rollouts until all are done, one is lost, or the time is up.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use actions_toolkit::{Log, PolicyFailure, text::cut};
use futures_util::future::join_all;
use serde_json::Value;

use crate::cluster::{Cluster, Patience};
use crate::judge::{self, Cause, Standing};
use crate::object::{Object, text};
use crate::pods::Workload;
use crate::superseded::superseded;
use crate::watch::Watch;

/// A line is written when the standing changes, and at least this often.
const HEARTBEAT: Duration = Duration::from_secs(10);
/// Of a container's last line, the error shows this many bytes.
const LAST_WORDS: usize = 200;

/// The last lines and events of pods that failed, for a reader.
pub(crate) type Evidence = Vec<String>;

/// Wait until every workload of `objects` is rolled out, all at once.
///
/// # Errors
/// [`PolicyFailure`] with the cause when one is lost or out of time; its pods' events and last lines are
/// in the log and in `evidence` then.
pub(crate) async fn wait(
    cluster: &Cluster,
    objects: &[Object],
    limit: Duration,
    log: &Log,
    evidence: &mut Evidence,
) -> anyhow::Result<()> {
    let begun = Instant::now();
    let mut open: Vec<&Object> = objects.iter().filter(|o| o.is_workload()).collect();
    let mut watch = Watch::of(cluster, &open).await;
    let mut patience = Patience::default();
    let mut said = (String::new(), Instant::now());
    let mut grows = None;
    let mut freed = BTreeSet::new();
    while !open.is_empty() {
        let mut lines = Vec::new();
        let mut still = Vec::new();
        let mut seen = Vec::new();
        let looks = join_all(open.iter().map(|object| look(cluster, object))).await;
        for (object, look) in open.into_iter().zip(looks) {
            let Some(Workload { live, pods, older }) = patience.with(look)? else {
                lines.push(format!("{}: the API server is away", object.label()));
                still.push(object);
                continue;
            };
            if let Some(superseded) = superseded(object, &live) {
                return Err(superseded.into());
            }
            if judge::is_observed(&live) {
                free(cluster, &older, &mut freed, log).await;
            }
            if grows.is_none() && pods.iter().any(|pod| judge::unplaced(pod).is_some()) {
                grows = Some(cluster.grows().await);
            }
            match judge::workload(&live, &pods, begun.elapsed(), grows.unwrap_or(true)) {
                Standing::Done => {
                    let seconds = begun.elapsed().as_secs();
                    log.info(format!("{} is rolled out ({seconds} s)", object.label()));
                }
                Standing::Lost(cause) => {
                    let last = gather(cluster, &live, &cause, log, evidence).await;
                    let last = last.map_or(String::new(), |line| format!(": `{line}`"));
                    // The scheduler counts the taints that keep a pod away, and names none.
                    let taints = if cause.words.contains("taint") {
                        cluster.taints().await
                    } else {
                        String::new()
                    };
                    let label = object.label();
                    let problem = format!("{label}: {}{taints}{last}", cause.words);
                    return Err(PolicyFailure(problem).into());
                }
                Standing::Waiting(words) => {
                    lines.push(format!("{}: {words}", object.label()));
                    still.push(object);
                    seen.push((live, pods));
                }
            }
        }
        let line = lines.join("; ");
        let is_over = !still.is_empty() && begun.elapsed() > limit;
        if !line.is_empty() && (line != said.0 || said.1.elapsed() > HEARTBEAT) {
            // What stands still is asked for its reason.
            let why = if line == said.0 {
                last_warning(cluster, &seen).await
            } else {
                String::new()
            };
            log.info(format!("{line}{why} ({} s)", begun.elapsed().as_secs()));
            said = (line.clone(), Instant::now());
        }
        if is_over {
            let line = line + &last_warning(cluster, &seen).await;
            for (live, pods) in &seen {
                show(cluster, live, pods, log, evidence).await;
            }
            let limit = limit.as_secs();
            let problem = format!("the rollout was not done after {limit} s: {line}");
            return Err(PolicyFailure(problem).into());
        }
        open = still;
        if !open.is_empty() {
            watch.change(begun.elapsed()).await;
        }
    }
    Ok(())
}

// A StatefulSet waits for a pod of its last version to be ready before it replaces it, and would wait for ever for one
// that cannot start.
async fn free(cluster: &Cluster, older: &[Value], freed: &mut BTreeSet<String>, log: &Log) {
    for pod in older.iter().filter(|pod| judge::is_stuck(pod)) {
        let (namespace, name) = (
            text(pod, "/metadata/namespace"),
            text(pod, "/metadata/name"),
        );
        if !freed.insert(text(pod, "/metadata/uid").to_owned()) {
            continue;
        }
        match cluster.remove_pod(namespace, name).await {
            Ok(()) => log.info(format!(
                "removed the pod {name} of the last version, which cannot start: the StatefulSet would not replace it"
            )),
            Err(e) => log.warning(format!(
                "the StatefulSet waits for the pod {name} of its last version, which cannot start; remove it (`kubectl --namespace {namespace} delete pod {name}`): {e:#}"
            )),
        }
    }
}

async fn look(cluster: &Cluster, object: &Object) -> anyhow::Result<Workload> {
    // If somebody removed it, to wait for it would be in vain.
    let gone = || PolicyFailure(format!("{} is gone", object.label())).into();
    cluster.workload(object).await?.ok_or_else(gone)
}

/// Show what the newest pods of every workload of `objects` say.
pub(crate) async fn show_all(
    cluster: &Cluster,
    objects: &[Object],
    log: &Log,
    evidence: &mut Evidence,
) {
    for object in objects.iter().filter(|object| object.is_workload()) {
        if let Ok(Workload { live, pods, .. }) = look(cluster, object).await {
            show(cluster, &live, &pods, log, evidence).await;
        }
    }
}

fn is_ready(pod: &Value) -> bool {
    let conditions = pod.pointer("/status/conditions").and_then(Value::as_array);
    conditions
        .into_iter()
        .flatten()
        .any(|c| c["type"] == "Ready" && c["status"] == "True")
}

// The last warning about a pod that is not ready, such as what its probe was answered; to be put after a sentence.
async fn last_warning(cluster: &Cluster, seen: &[(Value, Vec<Value>)]) -> String {
    let mut pods = seen.iter().flat_map(|(_, pods)| pods);
    // Why one has no place is in the standing already.
    let speaks = |pod: &&Value| !is_ready(pod) && judge::unplaced(pod).is_none();
    let Some(pod) = pods.find(speaks) else {
        return String::new();
    };
    let name = text(pod, "/metadata/name");
    let namespace = text(pod, "/metadata/namespace");
    let warnings = cluster.warnings("Pod", namespace, name).await;
    warnings.last().map_or(String::new(), |warning| {
        format!("; pod `{name}`: {}", cut(warning, LAST_WORDS))
    })
}

// One pod speaks for all: rather one that is not ready.
async fn show(
    cluster: &Cluster,
    workload: &Value,
    pods: &[Value],
    log: &Log,
    evidence: &mut Evidence,
) {
    let pod = pods.iter().find(|pod| !is_ready(pod));
    let Some(pod) = pod.or_else(|| pods.first()) else {
        return;
    };
    let cause = Cause {
        pod: Some(text(pod, "/metadata/name").to_owned()),
        ..Cause::default()
    };
    gather(cluster, workload, &cause, log, evidence).await;
}

// What a person would look for next; returns the container's last words.
async fn gather(
    cluster: &Cluster,
    workload: &Value,
    cause: &Cause,
    log: &Log,
    evidence: &mut Evidence,
) -> Option<String> {
    let namespace = text(workload, "/metadata/namespace");
    let pod = cause.pod.as_deref()?;
    let warnings = cluster.warnings("Pod", namespace, pod).await;
    let tail = cluster
        .log_tail(namespace, pod, cause.container.as_deref())
        .await;
    let _group = log.group(format!("Why: events and last lines of pod {pod}"));
    let lines = warnings.iter().map(|line| format!("event  {line}"));
    for line in lines.chain(tail.iter().map(|line| format!("log    {line}"))) {
        log.info(&line);
        evidence.push(line);
    }
    let last = tail.iter().rev().find(|line| !line.trim().is_empty())?;
    Some(cut(last.trim(), LAST_WORDS).to_owned())
}
