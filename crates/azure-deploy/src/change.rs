//! Changing the cluster, and changing it back.

use actions_toolkit::{BadInput, Log};
use anyhow::anyhow;
use futures_util::future::{join_all, try_join_all};
use serde_json::Value;

use crate::cluster::{Cluster, Refused};
use crate::diff;
use crate::manifests::is_of;
use crate::object::{Object, containers};

/// Ask the API server about every object, without changing anything: an object that would be refused stops
/// the deployment before its first change. What is in one of the namespaces `absent` can't be asked about yet.
/// Returns each object as it would be, if it was asked about.
///
/// # Errors
/// With every refusal; [`BadInput`] when the objects themselves are wrong.
pub(crate) async fn rehearse(
    cluster: &Cluster,
    objects: &[Object],
    absent: &[&Object],
) -> anyhow::Result<Vec<Option<Value>>> {
    let answers = objects.iter().map(async |object| {
        let namespace = object.namespace();
        if absent.iter().any(|absent| Some(absent.name()) == namespace) {
            return Ok(None);
        }
        cluster.apply(object, true).await.map(Some)
    });
    let mut rehearsed = Vec::new();
    let mut refusals = Vec::new();
    for answer in join_all(answers).await {
        match answer {
            Ok(applied) => rehearsed.push(applied),
            Err(e) if e.downcast_ref::<Refused>().is_some() => refusals.push(e),
            Err(e) => return Err(e),
        }
    }
    if refusals.is_empty() {
        return Ok(rehearsed);
    }
    let mine = |e: &anyhow::Error| {
        e.downcast_ref::<Refused>()
            .is_some_and(Refused::is_of_the_object)
    };
    let wrong = refusals.iter().any(mine);
    let said: Vec<_> = refusals.iter().map(|e| format!("{e:#}")).collect();
    let said = format!(
        "the API server would refuse, so nothing was changed: {}",
        said.join("; ")
    );
    Err(if wrong {
        BadInput::new("manifests", said).into()
    } else {
        anyhow!(said)
    })
}

/// The namespaces among `objects` that the cluster does not have.
pub(crate) async fn absent_namespaces<'a>(
    cluster: &Cluster,
    objects: &'a [Object],
) -> anyhow::Result<Vec<&'a Object>> {
    let namespaces = objects.iter().filter(|object| is_namespace(object));
    let found = namespaces.map(async |object| anyhow::Ok((object, cluster.get(object).await?)));
    let found = try_join_all(found).await?.into_iter();
    let absent = found.filter(|(_, live)| live.is_none());
    Ok(absent.map(|(object, _)| object).collect())
}

fn is_namespace(object: &Object) -> bool {
    object.kind() == "Namespace"
}

/// What applying would change of each object, by its label.
pub(crate) type Plan = Vec<(String, Vec<String>)>;

/// The cluster's objects as they were before the change.
pub(crate) struct Before(Vec<(Object, Option<Value>)>);

impl Before {
    /// Read what is there of `objects`.
    pub(crate) async fn of(cluster: &Cluster, objects: &[Object]) -> anyhow::Result<Self> {
        let found = try_join_all(objects.iter().map(|object| cluster.get(object))).await?;
        Ok(Self(objects.iter().cloned().zip(found).collect()))
    }

    /// What was there of `object`.
    pub(crate) fn live(&self, object: &Object) -> Option<&Value> {
        let same = |(other, _): &&(Object, _)| {
            (other.label(), other.namespace()) == (object.label(), object.namespace())
        };
        self.0.iter().find(same)?.1.as_ref()
    }

    /// The image of `repository` that a container had, or of the first container if none had it: the version
    /// that served.
    pub(crate) fn image(&self, repository: &str) -> Option<&str> {
        let live = self.0.iter().filter_map(|(_, live)| live.as_ref());
        let images: Vec<_> = live
            .flat_map(containers)
            .filter_map(|container| container["image"].as_str())
            .collect();
        let same = images.iter().find(|image| is_of(image, repository));
        same.or_else(|| images.first()).copied()
    }

    /// The value that the variable `name` has in a container of `repository`.
    pub(crate) fn variable(&self, repository: &str, name: &str) -> Option<&str> {
        let live = self.0.iter().filter_map(|(_, live)| live.as_ref());
        let ours = live
            .flat_map(containers)
            .filter(|container| {
                let image = container["image"].as_str();
                image.is_some_and(|image| is_of(image, repository))
            })
            .filter_map(|container| container["env"].as_array());
        ours.flatten().find(|entry| entry["name"] == *name)?["value"].as_str()
    }

    /// The namespaces among `objects` that were not there.
    pub(crate) fn absent_namespaces<'a>(&self, objects: &'a [Object]) -> Vec<&'a Object> {
        let absent = |object: &&Object| is_namespace(object) && self.live(object).is_none();
        objects.iter().filter(absent).collect()
    }

    /// What applying `objects` would change; nothing of an object that the cluster has just so.
    ///
    /// # Errors
    /// When the API server refuses one.
    pub(crate) async fn plan(&self, cluster: &Cluster, objects: &[Object]) -> anyhow::Result<Plan> {
        let rehearsed = rehearse(cluster, objects, &self.absent_namespaces(objects)).await?;
        let both = objects.iter().zip(rehearsed);
        Ok(both
            .map(|(object, rehearsed)| (object.label(), self.changes(object, rehearsed.as_ref())))
            .collect())
    }

    /// What `applied` changes of the object as it was.
    pub(crate) fn changes(&self, object: &Object, applied: Option<&Value>) -> Vec<String> {
        match (self.live(object), applied) {
            (Some(live), Some(applied)) => diff::changes(live, applied),
            _ => vec!["new".to_owned()],
        }
    }

    /// Put everything back: what was there is applied again, what is new is removed. Each object is tried,
    /// whatever became of the others. Returns the objects that were put back.
    ///
    /// # Errors
    /// With every object that could not be.
    pub(crate) async fn restore(
        &self,
        cluster: &Cluster,
        log: &Log,
    ) -> anyhow::Result<Vec<Object>> {
        let outcomes = self.0.iter().map(async |(object, live)| match live {
            Some(live) => {
                let back = object.with(applicable(live));
                cluster.apply(&back, false).await?;
                Ok(("put back", Some(back)))
            }
            // A namespace takes with it whatever else is in it.
            None if is_namespace(object) => Ok(("left", None)),
            None => cluster.delete(object).await.map(|()| ("removed", None)),
        });
        // All at once: a run that was stopped has seconds.
        let outcomes = join_all(outcomes).await;
        let mut problems = Vec::new();
        let mut restored = Vec::new();
        for ((object, _), outcome) in self.0.iter().zip(outcomes) {
            match outcome {
                Ok((done, back)) => {
                    log.info(format!("{done} {}", object.label()));
                    restored.extend(back);
                }
                Err(e) => problems.push(format!("{e:#}")),
            }
        }
        if problems.is_empty() {
            Ok(restored)
        } else {
            Err(anyhow!(problems.join("; ")))
        }
    }
}

/// A live object as it could be applied: without what the server adds.
fn applicable(live: &Value) -> Value {
    let mut object = live.clone();
    if let Some(fields) = object.as_object_mut() {
        fields.remove("status");
    }
    if let Some(metadata) = object["metadata"].as_object_mut() {
        for field in [
            "managedFields",
            "resourceVersion",
            "uid",
            "creationTimestamp",
            "generation",
            "selfLink",
        ] {
            metadata.remove(field);
        }
        let annotations = metadata.get_mut("annotations");
        if let Some(annotations) = annotations.and_then(Value::as_object_mut) {
            // These are the controllers' to count.
            annotations.remove("deployment.kubernetes.io/revision");
            annotations.remove("deprecated.daemonset.template.generation");
        }
    }
    object
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_the_server_adds_is_not_applied_again() {
        let live = json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "x", "uid": "u", "resourceVersion": "7", "generation": 3, "managedFields": [], "annotations": {"deployment.kubernetes.io/revision": "3", "a": "b"}},
            "spec": {"replicas": 2}, "status": {"replicas": 2},
        });
        assert_eq!(
            applicable(&live),
            json!({
                "apiVersion": "apps/v1", "kind": "Deployment",
                "metadata": {"name": "x", "annotations": {"a": "b"}}, "spec": {"replicas": 2},
            })
        );
    }

    #[test]
    fn the_version_that_served_is_the_one_of_the_same_repository() {
        let object = |kind: &str| Object {
            file: String::new(),
            value: json!({"kind": kind, "metadata": {"name": "x"}}),
            default_namespace: None,
        };
        let live = json!({"spec": {"template": {"spec": {"containers": [{"image": "proxy:1"}, {"image": "r.io/app:1"}]}}}});
        let before = Before(vec![
            (object("Service"), Some(json!({"spec": {}}))),
            (object("Deployment"), Some(live)),
        ]);
        assert_eq!(before.image("app"), Some("r.io/app:1"));
        assert_eq!(before.image("renamed"), Some("proxy:1"));
        assert_eq!(
            Before(vec![(object("Deployment"), None)]).image("app"),
            None
        );
    }
}
