//! The objects of the cluster as they were before the deployment.

use futures_util::future::try_join_all;
use serde_json::Value;

use super::object::containers;
use super::{Cluster, Object, Owners, diff, text};
use crate::manifests::ImageNames;

/// Another one is another object of the same name.
const UID: &str = "/metadata/uid";

/// Each object of the manifests with its state in the cluster; `None` if it did not exist.
pub(crate) struct Snapshot(Vec<(Object, Option<Value>)>);

impl Snapshot {
    /// One without objects.
    #[cfg(test)]
    pub(crate) fn of_test() -> Self {
        Self(Vec::new())
    }

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

    /// Record that `object` had the `owners` before this action took it over: its state is what a rollback restores.
    pub(crate) fn set_owners(&mut self, object: &Object, owners: Owners) {
        let mut states = self.0.iter_mut();
        let state = states.find(|(other, _)| other.is_same(object));
        if let Some(Value::Object(metadata)) = state
            .and_then(|(_, live)| live.as_mut())
            .map(|live| &mut live["metadata"])
        {
            metadata.insert("managedFields".to_owned(), owners.into_entries());
            // The object has changed since.
            metadata.remove("resourceVersion");
        }
    }

    /// The part of what existed, without namespaces.
    pub(crate) fn existing(self) -> Self {
        let existed =
            |(object, live): &(Object, Option<_>)| live.is_some() && !object.is_namespace();
        Self(self.0.into_iter().filter(existed).collect())
    }

    /// The objects, each with its state.
    pub(crate) fn objects(&self) -> &[(Object, Option<Value>)] {
        &self.0
    }

    /// The image that the container of `names` had: the version that was deployed. The container may have had another name,
    /// and be the only one that the workload no longer has.
    pub(crate) fn image(&self, names: &ImageNames) -> Option<&str> {
        let mut images = self.own(names).filter_map(|live| live["image"].as_str());
        images.next()
    }

    /// The value that the variable `name` had in the container of `names`.
    pub(crate) fn variable(&self, names: &ImageNames, name: &str) -> Option<&str> {
        let lists = self.own(names).filter_map(|live| live["env"].as_array());
        lists.flatten().find(|entry| entry["name"] == *name)?["value"].as_str()
    }

    // The live containers of those that get an image of `names`. What another container of the same workload runs, or of
    // another workload, is not a version of the application.
    fn own(&self, names: &ImageNames) -> impl Iterator<Item = &Value> {
        // A Job may be what is left of a version that failed.
        let (jobs, others): (Vec<_>, Vec<_>) = self.0.iter().partition(|(o, _)| o.is_job());
        let states = others.into_iter().chain(jobs);
        states.flat_map(|(object, live)| {
            let manifest = containers(&object.value);
            let live = live.as_ref().map(containers).unwrap_or_default();
            let is_own = |container: &&&Value| {
                container["image"]
                    .as_str()
                    .is_some_and(|image| names.is_of(image))
            };
            let mut found = Vec::new();
            for own in manifest.iter().filter(is_own) {
                let same = live.iter().find(|live| live["name"] == own["name"]);
                let renamed = || {
                    let is_gone = |live: &&&Value| {
                        !manifest.iter().any(|other| other["name"] == live["name"])
                    };
                    let mut gone = live.iter().filter(is_gone);
                    let of_image = live.iter().find(is_own);
                    of_image.or_else(|| gone.next().filter(|_| gone.next().is_none()))
                };
                found.extend(same.or_else(renamed).copied());
            }
            found
        })
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
            (Some(_), None) => {
                vec!["unknown: an admission webhook does not support a dry run".to_owned()]
            }
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
    fn the_deployed_version_is_that_of_the_own_container() {
        let names = ImageNames::of_test("app");
        let workload = |name: &str, containers: &[(&str, &str)]| {
            let containers = containers.iter();
            let containers: Vec<_> = containers
                .map(|(name, image)| json!({"name": name, "image": image, "env": [{"name": "IMAGE", "value": image}]}))
                .collect();
            json!({"kind": "Deployment", "metadata": {"name": name}, "spec": {"template": {"spec": {"containers": containers}}}})
        };
        let own = workload("app", &[("proxy", "proxy:2"), ("app", "app")]);
        let table = [
            (&[("proxy", "proxy:1"), ("app", "app:1")][..], Some("app:1")),
            // From another registry.
            (
                &[("proxy", "proxy:1"), ("app", "ghcr.io/app:1")],
                Some("ghcr.io/app:1"),
            ),
            // Under another name.
            (
                &[("proxy", "proxy:1"), ("main", "ghcr.io/app:1")],
                Some("ghcr.io/app:1"),
            ),
            (&[("x", "x:1"), ("main", "app:1")], Some("app:1")),
            (&[("x", "x:1"), ("y", "y:1")], None),
            (&[("proxy", "proxy:1")], None),
        ];
        for (live, expected) in table {
            let redis = workload("redis", &[("redis", "redis:8")]);
            let read = |manifest: &Value, live: Option<Value>| {
                (Object::of_test(manifest.clone(), None), live)
            };
            let snapshot = Snapshot(vec![
                read(&redis, Some(redis.clone())),
                read(&own, Some(workload("app", live))),
            ]);
            assert_eq!(snapshot.image(&names), expected, "{live:?}");
            assert_eq!(snapshot.variable(&names, "IMAGE"), expected, "{live:?}");
            // Somebody else's image is not a version of the application.
            let snapshot = Snapshot(vec![read(&redis, Some(redis.clone())), read(&own, None)]);
            assert_eq!(snapshot.image(&names), None);
        }
    }
}
