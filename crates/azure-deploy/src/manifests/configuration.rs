//! The `ConfigMap`s and Secrets that pods read.

use std::collections::BTreeMap;

use oci::Digest;
use serde_json::{Value, json};

use super::Manifests;
use crate::kubernetes::{Object, set, text};

/// The annotation of a pod template with the hash of the configuration that its pods read.
const HASH: &str = "seaworthy/configuration";
/// Hex digits of the hash. Not all: a reader of a Deployment must not be able to confirm the guess of a Secret.
const HASH_DIGITS: usize = 10;
/// The fields of a `ConfigMap` or Secret that pods read.
const CONTENT: [&str; 3] = ["data", "binaryData", "stringData"];
const POD: &str = "/spec/template/spec";

/// A `ConfigMap` or Secret that a pod reads: kind and name.
type Source<'a> = (&'static str, &'a str);

/// How the pods of a workload read a `ConfigMap` or Secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reading {
    /// As files, which the kubelet updates while a pod runs.
    Updated,
    /// As environment variables, or as files of a `subPath`: a pod keeps what it started with
    /// (kubernetes.io/docs/concepts/configuration/configmap, "Mounted `ConfigMap`s are updated automatically").
    Kept,
}

/// What changes of the configuration mean for the pods of one workload.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Stale {
    /// The workload.
    pub(crate) workload: String,
    /// The `ConfigMap` or Secret that changes.
    pub(crate) source: String,
    pub(crate) reading: Reading,
}

impl Object {
    fn is_configuration(&self) -> bool {
        self.api_version() == "v1" && matches!(self.kind(), "ConfigMap" | "Secret")
    }

    // Whether its pods run until they are replaced: not those of a Job.
    fn runs_on(&self) -> bool {
        self.is_workload() && !self.is_job()
    }
}

impl Manifests {
    /// Give each pod template a hash of the `ConfigMap`s and Secrets of the manifests that its pods read: a change of one
    /// replaces the pods.
    pub(crate) fn set_configuration_hashes(&mut self) {
        let configuration: BTreeMap<_, _> = self
            .0
            .iter()
            .filter(|object| object.is_configuration())
            .map(|object| {
                let content = CONTENT.map(|field| object.value[field].clone());
                (identity(object), content)
            })
            .collect();
        for object in self.0.iter_mut().filter(|object| object.runs_on()) {
            let namespace = object.namespace().unwrap_or_default().to_owned();
            let read: BTreeMap<_, _> = sources(&object.value)
                .into_keys()
                .filter_map(|(kind, name)| {
                    let key = (kind.to_owned(), namespace.clone(), name.to_owned());
                    Some((format!("{kind}/{name}"), configuration.get(&key)?))
                })
                .collect();
            if read.is_empty() {
                continue;
            }
            let hash = Digest::sha256(json!(read).to_string().as_bytes());
            let path = ["spec", "template", "metadata", "annotations", HASH];
            set(&mut object.value, &path, hash.hex()[..HASH_DIGITS].into());
        }
    }
}

/// The workloads among `objects` whose pods go on while a `ConfigMap` or Secret that they read changes. `states` has, for
/// each object, its state and what it would be.
pub(crate) fn stale(objects: &[Object], states: &[(Option<&Value>, Option<&Value>)]) -> Vec<Stale> {
    let both = || objects.iter().zip(states);
    let changed: Vec<_> = both()
        .filter(|(object, _)| object.is_configuration())
        .filter_map(|(object, (live, planned))| {
            let (live, planned) = ((*live)?, (*planned)?);
            let is_changed = |field: &str| live.get(field) != planned.get(field);
            CONTENT
                .into_iter()
                .any(is_changed)
                .then(|| identity(object))
        })
        .collect();
    let mut found = Vec::new();
    for (object, (live, planned)) in both().filter(|(object, _)| object.runs_on()) {
        let template =
            |state: Option<&Value>| state.and_then(|s| s.pointer("/spec/template").cloned());
        if live.is_none() || template(*live) != template(*planned) {
            continue;
        }
        let namespace = object.namespace().unwrap_or_default().to_owned();
        let read = sources(&object.value).into_iter();
        found.extend(read.filter_map(|((kind, name), reading)| {
            let key = (kind.to_owned(), namespace.clone(), name.to_owned());
            changed.contains(&key).then(|| Stale {
                workload: object.label(),
                source: format!("{kind}/{name}"),
                reading,
            })
        }));
    }
    found
}

/// Whether a pod of one of `workloads` reads `object`, a `ConfigMap` or Secret, or may pull its images with it.
pub(crate) fn is_read(object: &Object, workloads: &[&Object]) -> bool {
    let (kind, name) = (object.kind(), object.name());
    let reads = |workload: &&Object| {
        let mut sources = sources(&workload.value).into_keys();
        let pod = workload.value.pointer(POD);
        workload.namespace() == object.namespace()
            && (sources.any(|source| source == (kind, name))
                || (kind == "Secret" && pod.is_some_and(|pod| is_login(pod, name))))
    };
    // A ServiceAccount may have one with a login.
    object.text("/type") == "kubernetes.io/dockerconfigjson" || workloads.iter().any(reads)
}

// Whether the Secret is one that images are pulled with, or volumes of another system are mounted with.
fn is_login(pod: &Value, name: &str) -> bool {
    let mut pulls = items(pod, "imagePullSecrets").map(|login| &login["name"]);
    let of_volume = |volume: &Value| {
        [
            "/azureFile/secretName",
            "/csi/nodePublishSecretRef/name",
            "/csi/volumeAttributes/secretName",
        ]
        .iter()
        .any(|path| text(volume, path) == name)
    };
    pulls.any(|login| login == name) || items(pod, "volumes").any(of_volume)
}

fn identity(object: &Object) -> (String, String, String) {
    let namespace = object.namespace().unwrap_or_default();
    (
        object.kind().to_owned(),
        namespace.to_owned(),
        object.name().to_owned(),
    )
}

// What the pods of `workload` read, and how: as files only, if that is the only way.
fn sources<'a>(workload: &'a Value) -> BTreeMap<Source<'a>, Reading> {
    let mut sources = BTreeMap::new();
    let mut add = |kind: &'static str, name: &'a Value, reading: Reading| {
        if let Some(name) = name.as_str() {
            let known = sources.entry((kind, name)).or_insert(reading);
            *known = (*known).max(reading);
        }
    };
    let Some(pod) = workload.pointer(POD) else {
        return sources;
    };
    let containers = items(pod, "containers").chain(items(pod, "initContainers"));
    let containers: Vec<_> = containers.collect();
    for container in &containers {
        for entry in items(container, "envFrom") {
            add("ConfigMap", &entry["configMapRef"]["name"], Reading::Kept);
            add("Secret", &entry["secretRef"]["name"], Reading::Kept);
        }
        for entry in items(container, "env") {
            let from = &entry["valueFrom"];
            add("ConfigMap", &from["configMapKeyRef"]["name"], Reading::Kept);
            add("Secret", &from["secretKeyRef"]["name"], Reading::Kept);
        }
    }
    for volume in items(pod, "volumes") {
        let name = text(volume, "/name");
        let is_sub_path = |mount: &Value| {
            text(mount, "/name") == name
                && ["subPath", "subPathExpr"]
                    .iter()
                    .any(|f| !mount[f].is_null())
        };
        let mut mounts = containers.iter().flat_map(|c| items(c, "volumeMounts"));
        let reading = if mounts.any(is_sub_path) {
            Reading::Kept
        } else {
            Reading::Updated
        };
        add("ConfigMap", &volume["configMap"]["name"], reading);
        add("Secret", &volume["secret"]["secretName"], reading);
        for source in items(&volume["projected"], "sources") {
            add("ConfigMap", &source["configMap"]["name"], reading);
            add("Secret", &source["secret"]["name"], reading);
        }
    }
    sources
}

fn items<'a>(value: &'a Value, field: &str) -> impl Iterator<Item = &'a Value> {
    let list = value.get(field).and_then(Value::as_array);
    list.into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(value: Value) -> Object {
        Object::of_test(value, Some("web"))
    }

    fn workload(pod: &Value) -> Object {
        object(json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "app"},
            "spec": {"template": {"metadata": {"labels": {"a": "b"}}, "spec": pod}},
        }))
    }

    fn config(kind: &str, name: &str, value: &str) -> Object {
        object(
            json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": name}, "data": {"key": value}}),
        )
    }

    fn ways() -> Vec<(Value, Reading)> {
        let container = |fields: Value| json!({"containers": [fields]});
        let volume = |volume: Value, mount: Value| json!({"containers": [{"name": "a", "volumeMounts": [mount]}], "volumes": [volume]});
        let whole = json!({"name": "v", "mountPath": "/etc/app"});
        let sub_path = json!({"name": "v", "mountPath": "/etc/app.ini", "subPath": "key"});
        let map = json!({"name": "v", "configMap": {"name": "config"}});
        let projected =
            json!({"name": "v", "projected": {"sources": [{"configMap": {"name": "config"}}]}});
        vec![
            (
                container(json!({"envFrom": [{"configMapRef": {"name": "config"}}]})),
                Reading::Kept,
            ),
            (
                container(
                    json!({"env": [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "config", "key": "key"}}}]}),
                ),
                Reading::Kept,
            ),
            (
                json!({"initContainers": [{"envFrom": [{"configMapRef": {"name": "config"}}]}]}),
                Reading::Kept,
            ),
            (volume(map.clone(), sub_path), Reading::Kept),
            (volume(map, whole.clone()), Reading::Updated),
            (volume(projected, whole), Reading::Updated),
        ]
    }

    #[test]
    fn pods_that_go_on_with_a_changed_configuration_are_named() {
        let (old, new) = (
            config("ConfigMap", "config", "1").value,
            config("ConfigMap", "config", "2").value,
        );
        for (pod, reading) in ways() {
            let objects = [config("ConfigMap", "config", "2"), workload(&pod)];
            let app = &objects[1].value;
            let expected = Stale {
                workload: "Deployment/app".into(),
                source: "ConfigMap/config".into(),
                reading,
            };
            let states = [(Some(&old), Some(&new)), (Some(app), Some(app))];
            assert_eq!(stale(&objects, &states), [expected], "{pod}");
            // Nothing changes, the pods are replaced, or there were none.
            let mut restarted = app.clone();
            restarted["spec"]["template"]["metadata"]["annotations"] = json!({"at": "now"});
            for states in [
                [(Some(&new), Some(&new)), (Some(app), Some(app))],
                [(Some(&old), Some(&new)), (Some(app), Some(&restarted))],
                [(Some(&old), Some(&new)), (None, Some(app))],
                [(None, Some(&new)), (Some(app), Some(app))],
            ] {
                assert_eq!(stale(&objects, &states), []);
            }
        }
    }

    #[test]
    fn a_template_has_the_hash_of_what_its_pods_read() {
        let hash = |objects: Vec<Object>| {
            let mut manifests = Manifests(objects);
            manifests.set_configuration_hashes();
            let template = &manifests.0.last().unwrap().value["spec"]["template"];
            template["metadata"]["annotations"][HASH]
                .as_str()
                .map(ToOwned::to_owned)
        };
        for (pod, _) in ways() {
            let with = |value: &str, more: Option<Object>| {
                let objects = more
                    .into_iter()
                    .chain([config("ConfigMap", "config", value), workload(&pod)]);
                hash(objects.collect()).unwrap()
            };
            let one = with("1", None);
            assert_eq!(one.len(), HASH_DIGITS);
            assert_ne!(one, with("2", None));
            // Neither another ConfigMap nor a Secret of the same name is read.
            assert_eq!(one, with("1", Some(config("ConfigMap", "other", "1"))));
            assert_eq!(one, with("1", Some(config("Secret", "config", "1"))));
            let elsewhere = Object {
                default_namespace: Some("elsewhere".into()),
                ..config("ConfigMap", "config", "1")
            };
            assert_eq!(hash(vec![elsewhere, workload(&pod)]), None);
        }
    }
}
