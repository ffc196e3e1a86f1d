//! The objects of the cluster as they were before the deployment.

use futures_util::future::try_join_all;
use serde_json::Value;

use super::object::containers;
use super::{Cluster, Object, Owners, diff, text};
use crate::manifests::is_of;

/// Another one is another object of the same name.
const UID: &str = "/metadata/uid";

/// Each object of the manifests with its state in the cluster; `None` if it did not exist.
pub(crate) struct Snapshot(Vec<(Object, Option<Value>)>);

impl Snapshot {
    /// Read the state of `objects`. Of a kind that the cluster does not know yet there are none.
    ///
    /// # Errors
    /// When the API server rejects a request.
    pub(crate) async fn read(cluster: &Cluster, objects: &[Object]) -> anyhow::Result<Self> {
        let live = objects.iter().map(async |object| {
            if cluster.knows(object) {
                cluster.get(object).await
            } else {
                Ok(None)
            }
        });
        let live = try_join_all(live).await?;
        Ok(Self(objects.iter().cloned().zip(live).collect()))
    }

    /// Set the state of `object`: it was not known before, or the object is not of the manifests.
    pub(crate) fn set(&mut self, object: &Object, live: Option<Value>) {
        self.0.retain(|(other, _)| !other.is_same(object));
        self.0.push((object.clone(), live));
    }

    /// The objects, each with its state.
    pub(crate) fn objects(&self) -> &[(Object, Option<Value>)] {
        &self.0
    }

    /// The image of `repository` that a container had, or of the first container if none had it: the version
    /// that was deployed.
    pub(crate) fn image(&self, repository: &str) -> Option<&str> {
        let images: Vec<_> = self
            .containers()
            .filter_map(|container| container["image"].as_str())
            .collect();
        let deployed = images.iter().find(|image| is_of(image, repository));
        deployed.or_else(|| images.first()).copied()
    }

    /// The value that the variable `name` had in a container of `repository`.
    pub(crate) fn variable(&self, repository: &str, name: &str) -> Option<&str> {
        let lists = self
            .containers()
            .filter(|container| {
                let image = container["image"].as_str();
                image.is_some_and(|image| is_of(image, repository))
            })
            .filter_map(|container| container["env"].as_array());
        lists.flatten().find(|entry| entry["name"] == *name)?["value"].as_str()
    }

    /// The namespaces among `objects` that did not exist.
    pub(crate) fn absent_namespaces<'a>(&self, objects: &'a [Object]) -> Vec<&'a Object> {
        let is_absent = |object: &&Object| object.is_namespace() && self.live(object).is_none();
        objects.iter().filter(is_absent).collect()
    }

    /// What `applied` changes of `object` as it was.
    pub(crate) fn changes(&self, object: &Object, applied: Option<&Value>) -> Vec<String> {
        match (self.live(object), applied) {
            (Some(live), Some(applied)) if text(live, UID) != text(applied, UID) => {
                let pod = |object: &Value| object["spec"]["template"]["spec"].clone();
                let mut changes = diff::changes(&pod(live), &pod(applied));
                changes.insert(0, "replaced".to_owned());
                changes
            }
            (Some(live), Some(applied)) => diff::changes(live, applied),
            _ => vec!["new".to_owned()],
        }
    }

    /// The warning that `object` undoes what an autoscaler or a person has scaled, if it does.
    pub(crate) fn scaling_undone(&self, object: &Object) -> Option<String> {
        let live = self.live(object)?;
        let (now, then) = (&object.value["spec"]["replicas"], &live["spec"]["replicas"]);
        let owners = Owners::of(live);
        let by = owners
            .scaled_by()
            .filter(|_| now.is_number() && now != then)?;
        let label = object.label();
        Some(format!(
            "{label} was scaled to {then} replicas by `{by}`, and the manifest sets {now}; leave `replicas` out of it to keep what was scaled"
        ))
    }

    /// The state of `object`; `None` if it did not exist.
    pub(crate) fn live(&self, object: &Object) -> Option<&Value> {
        self.0
            .iter()
            .find(|(other, _)| other.is_same(object))?
            .1
            .as_ref()
    }

    fn containers(&self) -> impl Iterator<Item = &Value> {
        // A Job may be what is left of a version that failed.
        let (jobs, others): (Vec<_>, Vec<_>) = self.0.iter().partition(|(o, _)| o.is_job());
        let live = others.into_iter().chain(jobs);
        live.filter_map(|(_, live)| live.as_ref())
            .flat_map(containers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_manifest_that_undoes_what_was_scaled_is_a_warning() {
        let deployment = |spec: Value| {
            Object::of_test(
                json!({"kind": "Deployment", "metadata": {"name": "x"}, "spec": spec}),
                None,
            )
        };
        let live = |subresource: &str| {
            json!({"spec": {"replicas": 4}, "metadata": {"managedFields": [{
                "manager": "kube-controller-manager", "operation": "Update", "subresource": subresource,
                "fieldsV1": {"f:spec": {"f:replicas": {}}},
            }]}})
        };
        let warning = |spec: Value, subresource: &str| {
            let object = deployment(spec);
            Snapshot(vec![(object.clone(), Some(live(subresource)))]).scaling_undone(&object)
        };
        assert_eq!(
            warning(json!({"replicas": 1}), "scale").unwrap(),
            "Deployment/x was scaled to 4 replicas by `kube-controller-manager`, and the manifest sets 1; leave `replicas` out of it to keep what was scaled"
        );
        assert_eq!(warning(json!({"replicas": 4}), "scale"), None);
        assert_eq!(warning(json!({}), "scale"), None);
        assert_eq!(warning(json!({"replicas": 1}), ""), None);
    }

    #[test]
    fn the_deployed_version_is_the_one_of_the_same_repository() {
        let object =
            |kind: &str| Object::of_test(json!({"kind": kind, "metadata": {"name": "x"}}), None);
        let live = json!({"spec": {"template": {"spec": {"containers": [{"image": "proxy:1"}, {"image": "r.io/app:1"}]}}}});
        let snapshot = Snapshot(vec![
            (object("Service"), Some(json!({"spec": {}}))),
            (object("Deployment"), Some(live)),
        ]);
        assert_eq!(snapshot.image("app"), Some("r.io/app:1"));
        assert_eq!(snapshot.image("renamed"), Some("proxy:1"));
        assert_eq!(
            Snapshot(vec![(object("Deployment"), None)]).image("app"),
            None
        );
    }
}
