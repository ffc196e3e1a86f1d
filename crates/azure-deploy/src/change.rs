//! Changing the cluster, and changing it back.

use actions_toolkit::Log;
use serde_json::Value;

use crate::cluster::Cluster;
use crate::manifests::Object;

/// The cluster's objects as they were before the change.
pub(crate) struct Before(Vec<(Object, Option<Value>)>);

impl Before {
    /// Read what is there of `objects`.
    pub(crate) async fn of(cluster: &Cluster, objects: &[Object]) -> anyhow::Result<Self> {
        let mut found = Vec::new();
        for object in objects {
            found.push((object.clone(), cluster.get(object).await?));
        }
        Ok(Self(found))
    }

    /// The image that a Deployment had, if there was one: the version that served.
    pub(crate) fn image(&self) -> Option<&str> {
        self.0
            .iter()
            .find(|(object, _)| object.kind() == "Deployment")
            .and_then(|(_, live)| {
                live.as_ref()?
                    .pointer("/spec/template/spec/containers/0/image")?
                    .as_str()
            })
    }

    /// Put everything back: what was there is applied again, what is new is removed. Each object is
    /// tried, whatever became of the others.
    ///
    /// # Errors
    /// With every object that could not be put back.
    pub(crate) async fn restore(
        &self,
        cluster: &Cluster,
        log: &Log,
    ) -> anyhow::Result<Vec<Object>> {
        let mut problems = Vec::new();
        let mut restored = Vec::new();
        for (object, live) in &self.0 {
            let outcome = match live {
                Some(live) => {
                    let back = Object {
                        file: object.file.clone(),
                        value: applicable(live),
                    };
                    let applied = cluster.apply(&back, false).await.map(drop);
                    restored.push(back);
                    applied
                }
                // A namespace takes with it whatever else is in it.
                None if object.kind() == "Namespace" => Ok(()),
                None => cluster.delete(object).await,
            };
            match outcome {
                Ok(()) => log.info(format!("put back {}", object.label())),
                Err(e) => problems.push(format!("{e:#}")),
            }
        }
        if problems.is_empty() {
            Ok(restored)
        } else {
            Err(anyhow::anyhow!(problems.join("; ")))
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
        if let Some(annotations) = metadata
            .get_mut("annotations")
            .and_then(Value::as_object_mut)
        {
            // The revision is the Deployment controller's to count.
            annotations.remove("deployment.kubernetes.io/revision");
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
}
