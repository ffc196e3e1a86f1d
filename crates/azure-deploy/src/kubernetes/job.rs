//! Jobs: they run to their end, and are replaced, since the API server does not change the template of a Job
//! (kubernetes.io/docs/concepts/workloads/controllers/job, "Mutable Scheduling Directives").

use anyhow::Context as _;
use k8s_openapi::api::batch::v1::Job;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::owners::clearing_defaults;
use super::{Cluster, Object, Owners, is_invalid, poll_interval, set, text};

/// The annotation of a Job that must succeed before the workloads are changed, such as a migration of a database.
const BEFORE_WORKLOADS: &str = "seaworthy/before-workloads";
/// The annotation of a Job that runs once the rollout of the workloads is complete.
const AFTER_WORKLOADS: &str = "seaworthy/after-workloads";
/// The annotation of a hook of a Helm chart.
const HOOK: &str = "helm.sh/hook";
/// The annotation that orders the Jobs of a Helm chart, the lowest first (helm.sh/docs, "Chart hooks").
const WEIGHT: &str = "helm.sh/hook-weight";
/// The longest name of an object whose name is a label of its pods.
const NAME: usize = 63;
/// The end of a name that is checked, and never created.
const CHECKED: &str = "-check";
/// How long the API server may take to remove a Job.
const REMOVAL: std::time::Duration = std::time::Duration::from_secs(30);

impl Object {
    /// Whether it is a Job.
    pub(crate) fn is_job(&self) -> bool {
        self.api_version().starts_with("batch/") && self.kind() == "Job"
    }

    /// Whether it is a Job that must succeed before the workloads are changed.
    pub(crate) fn runs_before_workloads(&self) -> bool {
        self.is_job() && self.annotation(BEFORE_WORKLOADS) == "true"
    }

    /// Whether it is a Job that runs once the rollout of the workloads is complete.
    pub(crate) fn runs_after_workloads(&self) -> bool {
        self.is_job() && self.annotation(AFTER_WORKLOADS) == "true"
    }

    /// Whether it is a hook of a chart: Helm runs them one by one, each time (helm.sh/docs, "Chart hooks").
    pub(crate) fn is_hook(&self) -> bool {
        self.is_job() && !self.annotation(HOOK).is_empty()
    }

    /// Make a Job one that runs before the workloads are changed, or after their rollout.
    pub(crate) fn run_job(&mut self, before_workloads: bool) {
        let annotation = if before_workloads {
            BEFORE_WORKLOADS
        } else {
            AFTER_WORKLOADS
        };
        set(
            &mut self.value,
            &["metadata", "annotations", annotation],
            "true".into(),
        );
    }

    /// The order of a Job among those that run before the workloads, or after them.
    pub(super) fn weight(&self) -> i32 {
        if self.runs_before_workloads() || self.runs_after_workloads() {
            self.annotation(WEIGHT).parse().unwrap_or_default()
        } else {
            0
        }
    }

    fn annotation(&self, name: &str) -> &str {
        let annotation = &self.value["metadata"]["annotations"][name];
        annotation.as_str().unwrap_or_default()
    }
}

/// Whether `job` has succeeded; `None` while it runs.
pub(crate) fn outcome(job: &Job) -> Option<bool> {
    let mut conditions = job.status.as_ref()?.conditions.iter().flatten();
    conditions.find_map(|condition| match (&*condition.type_, &*condition.status) {
        ("Complete", "True") => Some(true),
        ("Failed", "True") => Some(false),
        _ => None,
    })
}

impl Cluster {
    /// What applying `object` to its state `live` would make of it; the API server checks it, and nothing changes. A
    /// finished Job is checked as if it did not exist.
    ///
    /// # Errors
    /// As [`Cluster::apply`].
    pub(crate) async fn dry_run(
        &self,
        object: &Object,
        live: Option<&Value>,
    ) -> anyhow::Result<Value> {
        let Some(finished) = finished(object, live)? else {
            let applied = self.apply(object, true).await;
            // In a dry run of the whole deployment nothing was taken over.
            let cleared = live.and_then(|live| clearing_defaults(object, live));
            return match (applied, cleared) {
                (Err(e), Some(cleared)) if is_invalid(&e) => self.apply(&cleared, true).await,
                (applied, _) => applied.map_err(|e| running(object, live, e)),
            };
        };
        match self.apply(object, true).await {
            Ok(applied) if finished => Ok(applied),
            Err(e) if !is_invalid(&e) => Err(e),
            _ => {
                let name: String = object.name().chars().take(NAME - CHECKED.len()).collect();
                let mut checked = object.value.clone();
                checked["metadata"]["name"] = format!("{name}{CHECKED}").into();
                let mut created = self.apply(&object.with(checked), true).await?;
                created["metadata"]["name"] = object.name().into();
                Ok(created)
            }
        }
    }

    /// Apply `object`, whose state is `live`. A finished Job is removed first, if it failed, has another template, or is a hook of a
    /// chart.
    ///
    /// # Errors
    /// As [`Cluster::apply`].
    pub(crate) async fn apply_or_replace(
        &self,
        object: &Object,
        live: Option<&Value>,
    ) -> anyhow::Result<Value> {
        let finished = finished(object, live)?;
        if let Some(succeeded) = finished {
            let is_kept = match self.apply(object, true).await {
                Err(e) if is_invalid(&e) => false,
                applied => applied.is_ok() && succeeded && !object.is_hook(),
            };
            if !is_kept {
                self.delete(object).await?;
                let started = Instant::now();
                while self.get(object).await?.is_some() {
                    anyhow::ensure!(
                        started.elapsed() < REMOVAL,
                        "timed out after {}s waiting for the removal of {}",
                        REMOVAL.as_secs(),
                        object.label()
                    );
                    sleep(poll_interval::after(started.elapsed())).await;
                }
            }
        }
        let applied = self.apply(object, false).await;
        let live = live.filter(|_| finished.is_none());
        applied.map_err(|e| running(object, live, e))
    }

    /// Roll back a Job that was replaced since its state `before`: see [`Replaced`]. `applied` is the new one, if that is known.
    /// Returns what was done; `None` if the Job is the one of `before`.
    ///
    /// # Errors
    /// When the API server rejects a request.
    pub(crate) async fn roll_back_job(
        &self,
        object: &Object,
        before: &Value,
        applied: Option<&Value>,
    ) -> anyhow::Result<Option<String>> {
        let now = self.get(object).await?;
        let replaced = replaced(object, before, applied, now.as_ref())?;
        let done = match &replaced {
            Replaced::No => return Ok(None),
            Replaced::Gone => "did not restore",
            Replaced::Other => "left another deployment's",
            Replaced::Done => "kept the new version's",
            Replaced::Running => "stopped and removed the new version's",
        };
        if let (Replaced::Running, Some(now)) = (replaced, &now) {
            self.delete_exactly(object, now).await?;
        }
        let earlier = match finished(object, Some(before))? {
            Some(true) => "had succeeded, and is not run again",
            Some(false) => "had failed, and is not run again",
            None => "is gone",
        };
        let label = object.label();
        Ok(Some(format!("{done} {label}; the one before {earlier}")))
    }

    /// Remove a Job that did not exist before this deployment and still runs, with its pods; returns whether there was one.
    /// `applied` is the Job, if that is known.
    ///
    /// # Errors
    /// When the API server rejects a request.
    pub(crate) async fn stop_job(
        &self,
        object: &Object,
        applied: Option<&Value>,
    ) -> anyhow::Result<bool> {
        let now = self.get(object).await?;
        let replaced = replaced(object, &Value::Null, applied, now.as_ref())?;
        if let (Replaced::Running, Some(now)) = (&replaced, &now) {
            self.delete_exactly(object, now).await?;
        }
        Ok(replaced == Replaced::Running)
    }
}

/// What has become of a Job that is rolled back.
#[derive(Debug, PartialEq)]
enum Replaced {
    /// It is the same.
    No,
    /// It was removed, and there is no new one.
    Gone,
    /// Another one than this deployment's is there.
    Other,
    /// The new one is done: it stays, with its log, and the next deployment replaces it.
    Done,
    /// The new one runs: the next deployment could not replace it.
    Running,
}

// What is `now` there of a Job that was as `before`. Of a new one that is not known as `applied`, the owner decides.
fn replaced(
    object: &Object,
    before: &Value,
    applied: Option<&Value>,
    now: Option<&Value>,
) -> anyhow::Result<Replaced> {
    let uid = |live: &Value| text(live, "/metadata/uid").to_owned();
    let Some(now) = now else {
        return Ok(Replaced::Gone);
    };
    if uid(now) == uid(before) {
        return Ok(Replaced::No);
    }
    let is_ours = match applied.map(uid) {
        Some(applied) if applied != uid(before) => applied == uid(now),
        _ => Owners::of(now).is_applied_by_us(),
    };
    Ok(match finished(object, Some(now))? {
        _ if !is_ours => Replaced::Other,
        Some(_) => Replaced::Done,
        None => Replaced::Running,
    })
}

// Of a Job that is not done, the template cannot be changed either.
fn running(object: &Object, live: Option<&Value>, error: anyhow::Error) -> anyhow::Error {
    let is_immutable = is_invalid(&error) && format!("{error:#}").contains("immutable");
    if !object.is_job() || live.is_none() || !is_immutable {
        return error;
    }
    let (label, name) = (object.label(), object.name());
    let namespace = object.namespace_or_default();
    let since = live.map_or("", |live| text(live, "/metadata/creationTimestamp"));
    error.context(format!(
        "{label} of an earlier deployment still runs (since {since}), and its template cannot be changed meanwhile; wait until it is done, or, if that deployment was killed and nothing waits for it, remove it with its pods (`kubectl --namespace {namespace} delete job {name}`) and deploy again"
    ))
}

// Whether a Job has succeeded; `None` for one that runs, and for what is not a Job.
fn finished(object: &Object, live: Option<&Value>) -> anyhow::Result<Option<bool>> {
    let Some(live) = live.filter(|_| object.is_job()) else {
        return Ok(None);
    };
    let job: Job = object.read(live.clone()).context("failed to read a Job")?;
    Ok(outcome(&job))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn job(uid: &str, manager: &str, condition: &str) -> Value {
        json!({
            "apiVersion": "batch/v1", "kind": "Job",
            "metadata": {"name": "migration", "uid": uid, "managedFields": [
                {"manager": manager, "operation": "Apply", "apiVersion": "batch/v1", "fieldsV1": {"f:spec": {}}},
            ]},
            "status": {"conditions": [{"type": condition, "status": "True"}]},
        })
    }

    #[test]
    fn a_job_that_replaced_another_one_is_stopped_if_it_is_of_this_deployment() {
        let before = job("a", "seaworthy", "Complete");
        let object = Object::of_test(before.clone(), None);
        let applied = job("b", "seaworthy", "");
        let table = [
            (Some(&applied), None, Replaced::Gone),
            (None, Some(before.clone()), Replaced::No),
            (
                Some(&applied),
                Some(job("b", "seaworthy", "")),
                Replaced::Running,
            ),
            (
                Some(&applied),
                Some(job("b", "seaworthy", "Failed")),
                Replaced::Done,
            ),
            (
                Some(&applied),
                Some(job("b", "seaworthy", "Complete")),
                Replaced::Done,
            ),
            (
                Some(&applied),
                Some(job("c", "seaworthy", "")),
                Replaced::Other,
            ),
            // The response with the new one was lost.
            (None, Some(job("b", "seaworthy", "")), Replaced::Running),
            (None, Some(job("b", "kubectl", "")), Replaced::Other),
        ];
        for (applied, now, expected) in table {
            let found = replaced(&object, &before, applied, now.as_ref()).unwrap();
            assert_eq!(found, expected, "{now:?}");
        }
    }
}
