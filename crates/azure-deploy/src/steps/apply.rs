//! Apply the manifests with the new image, and record what changes.

use std::time::{Duration, Instant};

use actions_toolkit::{Log, text::plural};
use anyhow::Context as _;
use futures_util::future::join_all;
use tokio::time::sleep;

use super::deferred::is_deferred;
use super::depends::depends;
use super::dry_run::{UNCHANGED, WORKLOADS_UNCHANGED, dry_run};
use crate::kubernetes::{Cluster, Object, Snapshot, poll_interval};
use crate::report::Report;
use crate::rollout::{self, Limits};

/// How long the API server may take to check objects by what has just changed, such as a schema.
const EFFECT: Duration = Duration::from_secs(10);

/// The objects of a deployment, in the order in which they are applied.
pub(crate) struct Apply<'a> {
    pub(crate) log: &'a Log,
    pub(crate) cluster: &'a Cluster,
    pub(crate) objects: &'a [Object],
    pub(crate) limits: Limits,
}

impl Apply<'_> {
    /// Create the namespaces. From here on there is something to roll back: the report gets `snapshot`, the state of the objects
    /// before the first change.
    ///
    /// # Errors
    /// When the API server rejects an object of a new namespace.
    pub(crate) async fn begin(
        &self,
        snapshot: Snapshot,
        report: &mut Report,
    ) -> anyhow::Result<()> {
        create_namespaces(self.log, self.cluster, self.objects, &snapshot).await?;
        report.snapshot = Some(snapshot);
        Ok(())
    }

    /// Apply what comes before the workloads. The report gets every object that was applied.
    ///
    /// # Errors
    /// When the API server rejects an object, or is unreachable, and when a Job fails that must succeed before the workloads
    /// are changed.
    pub(crate) async fn before_workloads(&self, report: &mut Report) -> anyhow::Result<()> {
        let (before, _) = self.parts();
        let snapshot = report.snapshot.as_ref();
        let exists = |object: &Object| snapshot.is_some_and(|s| s.live(object).is_some());
        let jobs = before.iter().filter(|o| o.runs_before_workloads());
        let jobs: Vec<_> = jobs.collect();
        let (later, first): (Vec<_>, Vec<_>) = before
            .iter()
            .cloned()
            .partition(|object| is_deferred(object, &jobs) && exists(object));
        self.apply(&first, report).await?;
        self.apply(&later, report).await
    }

    /// Apply the workloads, and what comes after them.
    ///
    /// # Errors
    /// As [`Apply::before_workloads`].
    pub(crate) async fn workloads(&self, report: &mut Report) -> anyhow::Result<()> {
        let (_, workloads) = self.parts();
        self.apply(workloads, report).await
    }

    fn parts(&self) -> (&[Object], &[Object]) {
        let at = self.objects.partition_point(Object::precedes_workloads);
        self.objects.split_at(at)
    }

    async fn apply(&self, part: &[Object], report: &mut Report) -> anyhow::Result<()> {
        let (log, cluster, limits) = (self.log, self.cluster, self.limits);
        let together = |one: &Object, next: &Object| {
            one.rank() == next.rank() && !one.is_hook() && !next.is_hook()
        };
        for chunk in part.chunk_by(together) {
            if chunk.iter().any(Object::runs_after_workloads) {
                let so_far = report.unfinished();
                let wait = rollout::wait(cluster, &so_far, limits, log, &mut report.evidence);
                Box::pin(wait).await?;
                report.rolled_out(so_far);
            }
            let snapshot = report.snapshot.as_mut();
            let snapshot = snapshot.context("the state before the deployment is unknown")?;
            let applied = chunk.iter().map(|object| {
                let live = snapshot.live(object);
                cluster.apply_or_replace(object, live)
            });
            let mut differing = Vec::new();
            for (object, applied) in chunk.iter().zip(join_all(applied).await) {
                let applied = applied?;
                let changes = snapshot.changes(object, Some(&applied));
                if !changes.is_empty() {
                    differing.push(object);
                }
                log.info(format!("applied {} ({})", object.label(), brief(&changes)));
                report.changes.push((object.label(), changes));
                report.applied.push(object.with(applied));
            }
            define_kinds(log, cluster, chunk, self.objects, snapshot).await?;
            check_dependents(cluster, &differing, self.objects, snapshot).await?;
            let jobs = report.applied.iter().rev().take(chunk.len());
            let jobs: Vec<_> = jobs
                .filter(|o| o.runs_before_workloads())
                .cloned()
                .collect();
            if !jobs.is_empty() {
                let wait = rollout::wait(cluster, &jobs, limits, log, &mut report.evidence);
                Box::pin(wait).await?;
                report.rolled_out(jobs);
            }
        }
        Ok(())
    }
}

// The objects whose kinds are defined by `applied` could not be checked: now they can, before anything else is applied.
async fn define_kinds(
    log: &Log,
    cluster: &Cluster,
    applied: &[Object],
    objects: &[Object],
    snapshot: &mut Snapshot,
) -> anyhow::Result<()> {
    let definitions = applied.iter().filter(|object| object.is_definition());
    let definitions: Vec<_> = definitions.cloned().collect();
    let new = objects.iter().filter(|object| !cluster.knows(object));
    let new: Vec<_> = new.cloned().collect();
    if definitions.is_empty() || new.is_empty() {
        return Ok(());
    }
    cluster.wait_for_kinds(&definitions, &new).await?;
    for object in &new {
        // It may exist in another version of the kind.
        snapshot.set(object, cluster.get(object).await?);
    }
    dry_run(cluster, snapshot, &new, &[], WORKLOADS_UNCHANGED).await?;
    let labels: Vec<_> = definitions.iter().map(Object::label).collect();
    log.info(format!(
        "the cluster serves the kinds of {}",
        labels.join(", ")
    ));
    Ok(())
}

// What is checked by what has `changed`: it could not be accepted before that, or may not be now. It is checked before anything
// else is applied.
async fn check_dependents(
    cluster: &Cluster,
    changed: &[&Object],
    objects: &[Object],
    snapshot: &Snapshot,
) -> anyhow::Result<()> {
    let Some(rank) = changed.iter().map(|object| object.rank()).max() else {
        return Ok(());
    };
    // What is in a new namespace is checked once that is created.
    let is_new = |object: &Object| object.is_namespace() && snapshot.live(object).is_none();
    let changed = changed.iter().filter(|object| !is_new(object));
    let changed: Vec<_> = changed.collect();
    let later = objects.iter().filter(|object| object.rank() > rank);
    let later: Vec<_> = later.cloned().collect();
    let is_dependent = |object: &Object| changed.iter().any(|other| depends(object, other));
    if !later.iter().any(is_dependent) {
        return Ok(());
    }
    let started = Instant::now();
    loop {
        match dry_run(cluster, snapshot, &later, &[], WORKLOADS_UNCHANGED).await {
            Err(_) if started.elapsed() < EFFECT => {
                sleep(poll_interval::after(started.elapsed())).await;
            }
            checked => return checked.map(drop),
        }
    }
}

fn brief(changes: &[String]) -> String {
    match changes {
        [] => "unchanged".into(),
        [one] => one.clone(),
        many => plural(many.len(), "change"),
    }
}

// The objects of a namespace that did not exist could not be checked: now they can.
async fn create_namespaces(
    log: &Log,
    cluster: &Cluster,
    objects: &[Object],
    snapshot: &Snapshot,
) -> anyhow::Result<()> {
    let absent = snapshot.absent_namespaces(objects);
    for namespace in &absent {
        cluster.apply(namespace, false).await?;
        log.info(format!("created {}", namespace.label()));
    }
    if absent.is_empty() {
        return Ok(());
    }
    if let Err(rejected) = dry_run(cluster, snapshot, objects, &[], UNCHANGED).await {
        let mut removed = Vec::new();
        for namespace in absent {
            let label = namespace.label();
            // It is empty, and ours; the identity may lack the right to delete one.
            match cluster.delete(namespace).await {
                Ok(()) => removed.push(label),
                Err(e) => log.warning(format!("{label} is kept: {e:#}")),
            }
        }
        if removed.is_empty() {
            return Err(rejected);
        }
        let removed = removed.join(", ");
        return Err(rejected.context(format!(
            "{removed} was created to check the objects in it, and is removed"
        )));
    }
    Ok(())
}
