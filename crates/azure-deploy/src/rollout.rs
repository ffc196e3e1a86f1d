//! Watching a rollout until it is done, lost, or out of time.

use std::time::{Duration, Instant};

use actions_toolkit::{Log, PolicyFailure};
use anyhow::Context as _;
use serde_json::Value;

use crate::cluster::Cluster;
use crate::judge::{self, Standing};
use crate::manifests::Object;

const PERIOD: Duration = Duration::from_secs(1);
/// A line is written when the standing changes, and at least this often.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// Wait until every Deployment of `objects` is rolled out.
///
/// # Errors
/// [`PolicyFailure`] with the cause when one is lost or out of time; the pod's events and last lines are
/// in the log then.
pub(crate) async fn wait(
    cluster: &Cluster,
    objects: &[Object],
    limit: Duration,
    log: &Log,
) -> anyhow::Result<()> {
    let begun = Instant::now();
    let mut open: Vec<&Object> = objects
        .iter()
        .filter(|object| object.kind() == "Deployment")
        .collect();
    let mut said = (String::new(), Instant::now());
    while !open.is_empty() {
        let mut lines = Vec::new();
        let mut still = Vec::new();
        for object in open {
            let live = cluster
                .get(object)
                .await?
                .with_context(|| format!("`{}` is gone", object.label()))?;
            let pods = cluster.newest_pods(&live).await?;
            match judge::deployment(&live, &pods, begun.elapsed()) {
                Standing::Done => log.info(format!(
                    "{} is rolled out ({:.0} s)",
                    object.label(),
                    begun.elapsed().as_secs_f64()
                )),
                Standing::Lost { cause, pod } => {
                    evidence(cluster, &live, pod.as_deref(), log).await;
                    return Err(PolicyFailure(format!("{}: {cause}", object.label())).into());
                }
                Standing::Waiting(words) => {
                    lines.push(format!("{}: {words}", object.label()));
                    still.push((object, pods));
                }
            }
        }
        let line = lines.join("; ");
        if !line.is_empty() && (line != said.0 || said.1.elapsed() > HEARTBEAT) {
            log.info(&line);
            said = (line.clone(), Instant::now());
        }
        if begun.elapsed() > limit {
            for (object, pods) in &still {
                if let Some(live) = cluster.get(object).await? {
                    let pod = pods
                        .iter()
                        .find_map(|pod| pod.pointer("/metadata/name")?.as_str());
                    evidence(cluster, &live, pod, log).await;
                }
            }
            return Err(PolicyFailure(format!(
                "the rollout was not done after {} s: {line}",
                limit.as_secs()
            ))
            .into());
        }
        open = still.into_iter().map(|(object, _)| object).collect();
        if !open.is_empty() {
            tokio::time::sleep(PERIOD).await;
        }
    }
    Ok(())
}

// What a person would look for next.
async fn evidence(cluster: &Cluster, deployment: &Value, pod: Option<&str>, log: &Log) {
    let namespace = deployment
        .pointer("/metadata/namespace")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let Some(pod) = pod else { return };
    let _group = log.group(format!("Why: events and last lines of pod {pod}"));
    for warning in cluster.warnings(namespace, pod).await {
        log.info(format!("event  {warning}"));
    }
    for line in cluster.log_tail(namespace, pod).await {
        log.info(format!("log    {line}"));
    }
}
