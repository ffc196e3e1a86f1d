//! The evidence of a failed rollout: events and last log lines of its pods.

use actions_toolkit::{Log, text::cut};
use k8s_openapi::api::core::v1::Pod;

use super::pods::Rollout;
use super::status::{self, Cause, is_lost, is_ready};
use crate::kubernetes::{Cluster, Object, Workload};

/// Of a container's last line, an error shows this many bytes.
const LINE_BYTES: usize = 200;

/// Events and last log lines of pods that failed, for a reader.
pub(crate) type Evidence = Vec<String>;

/// Collect the evidence of the newest pods of every workload of `objects`.
pub(crate) async fn collect_all(
    cluster: &Cluster,
    objects: &[Object],
    log: &Log,
    evidence: &mut Evidence,
) {
    for object in objects.iter().filter(|object| object.is_awaited()) {
        if let Ok(Some(rollout)) = cluster.rollout(object).await {
            collect_pod(cluster, &rollout, log, evidence).await;
        }
    }
}

/// The last warning about a pod that is not ready, such as the response to its probe; the end of a sentence.
pub(super) async fn last_warning(cluster: &Cluster, pending: &[Rollout]) -> String {
    let mut pods = pending.iter().flat_map(|rollout| &rollout.pods);
    // Why one is not scheduled is in the status already.
    let is_unexplained =
        |pod: &&Pod| !is_ready(pod) && !is_lost(pod) && status::unschedulable(pod).is_none();
    let Some(pod) = pods.find(is_unexplained) else {
        return String::new();
    };
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    let warnings = cluster.warnings("Pod", namespace, name).await;
    warnings.last().map_or(String::new(), |warning| {
        format!("; pod `{name}`: {}", cut(warning, LINE_BYTES))
    })
}

/// Collect the evidence of one pod, preferably one that is not ready.
pub(super) async fn collect_pod(
    cluster: &Cluster,
    rollout: &Rollout,
    log: &Log,
    evidence: &mut Evidence,
) {
    // Of one that was lost, the containers are gone.
    let mut pods = rollout.pods.iter().filter(|pod| !is_lost(pod));
    let pod = pods.find(|pod| !is_ready(pod));
    let Some(pod) = pod.or_else(|| rollout.pods.first()) else {
        return;
    };
    let cause = Cause {
        pod: pod.metadata.name.clone(),
        ..Cause::default()
    };
    collect_cause(cluster, &rollout.workload, &cause, log, evidence).await;
}

/// Collect the evidence of the pod of `cause`; returns the container's last log line.
pub(super) async fn collect_cause(
    cluster: &Cluster,
    workload: &Workload,
    cause: &Cause,
    log: &Log,
    evidence: &mut Evidence,
) -> Option<String> {
    let namespace = workload.metadata().namespace.as_deref().unwrap_or_default();
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
    Some(cut(last.trim(), LINE_BYTES).to_owned())
}
