//! An object of Kubernetes of any kind, as a manifest or the API server writes it.

use std::cmp::Ordering;

use anyhow::Context as _;
use k8s_openapi::serde::de::DeserializeOwned;
use serde_json::Value;

use super::DEFAULT_NAMESPACE;
use super::apply_set::is_parent;

/// The position of the Jobs that run before the workloads.
const JOBS: u8 = 6;
/// The API group of roles.
pub(crate) const RBAC: &str = "rbac.authorization.k8s.io";

/// An object of any kind.
#[derive(Debug, Clone)]
pub(crate) struct Object {
    /// The file it came from, relative to the workspace.
    pub(crate) file: String,
    /// The number of its document there, counted from 1, if the file has several.
    pub(crate) document: Option<usize>,
    /// Its fields, as in the manifest or in a response.
    pub(crate) value: Value,
    /// The namespace if the object names none and is of a kind that has one.
    pub(crate) default_namespace: Option<String>,
}

impl Object {
    /// The object `value` of no file, in `namespace` unless it names one.
    #[cfg(test)]
    pub(crate) fn of_test(value: Value, namespace: Option<&str>) -> Self {
        Self {
            file: String::new(),
            document: None,
            value,
            default_namespace: namespace.map(ToOwned::to_owned),
        }
    }

    /// The same object with another `value`.
    pub(crate) fn with(&self, value: Value) -> Self {
        Self {
            value,
            ..self.clone()
        }
    }

    /// `live`, the state of this object in the cluster, as the type of its kind.
    ///
    /// # Errors
    /// When a field has another type than its kind defines; with the name of the object.
    pub(crate) fn read<K: DeserializeOwned>(&self, live: Value) -> anyhow::Result<K> {
        serde_json::from_value(live)
            .context("the API server sent an unexpected value")
            .with_context(|| format!("failed to read `{}`", self.label()))
    }

    /// The text at `pointer`; empty if there is none.
    pub(crate) fn text(&self, pointer: &str) -> &str {
        text(&self.value, pointer)
    }

    /// `apps/v1`.
    pub(crate) fn api_version(&self) -> &str {
        self.text("/apiVersion")
    }

    /// `apps`; empty for Kubernetes' core.
    pub(crate) fn group(&self) -> &str {
        group(self.api_version())
    }

    /// Whether it is of `kind` in `group`: another group may have a kind of the same name.
    pub(crate) fn is_of(&self, group: &str, kind: &str) -> bool {
        self.kind() == kind && self.group() == group
    }

    /// `Deployment`.
    pub(crate) fn kind(&self) -> &str {
        self.text("/kind")
    }

    /// `metadata.name`.
    pub(crate) fn name(&self) -> &str {
        self.text("/metadata/name")
    }

    /// Its namespace: its own, or the default of the input `namespace`.
    pub(crate) fn namespace(&self) -> Option<&str> {
        let own = self.value.pointer("/metadata/namespace");
        own.and_then(Value::as_str)
            .or(self.default_namespace.as_deref())
    }

    /// Where it is in the cluster, if its kind has namespaces: one without a namespace is in `default`.
    pub(crate) fn namespace_or_default(&self) -> &str {
        self.namespace().unwrap_or(DEFAULT_NAMESPACE)
    }

    /// `Deployment/flask-app`.
    pub(crate) fn label(&self) -> String {
        format!("{}/{}", self.kind(), self.name())
    }

    /// Where it comes from, for a message: "document 2 of `k8s/app.yaml`".
    pub(crate) fn place(&self) -> String {
        match self.document {
            Some(number) => format!("document {number} of `{}`", self.file),
            None => format!("`{}`", self.file),
        }
    }

    /// Whether it runs pods, so that there is a rollout to wait for.
    pub(crate) fn is_workload(&self) -> bool {
        let runs_on = matches!(self.kind(), "Deployment" | "StatefulSet" | "DaemonSet");
        self.is_job() || (self.group() == "apps" && runs_on)
    }

    /// Whether there is something to wait for: a workload, or what runs pods without one that replaces them.
    pub(crate) fn is_awaited(&self) -> bool {
        let runs_pods = match self.kind() {
            "Pod" | "ReplicationController" => self.api_version() == "v1",
            "ReplicaSet" => self.api_version().starts_with("apps/"),
            _ => false,
        };
        runs_pods || self.is_workload()
    }

    /// Whether it is a namespace, which is created before what is in it.
    pub(crate) fn is_namespace(&self) -> bool {
        self.is_of("", "Namespace")
    }

    /// Whether it is the same object of the cluster as `other`: another version of its kind is, a kind of another group is not.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.identity() == other.identity()
    }

    /// What no two objects of a cluster share.
    pub(crate) fn identity(&self) -> (&str, &str, &str, Option<&str>) {
        (self.group(), self.kind(), self.name(), self.namespace())
    }

    /// Whether it is applied, or as a Job is done, before the workloads.
    pub(crate) fn precedes_workloads(&self) -> bool {
        self.rank().0 <= JOBS
    }

    /// Whether it is applied before the workloads, and before the Jobs that run before them.
    pub(crate) fn is_applied_before_workloads(&self) -> bool {
        self.rank().0 < JOBS
    }

    /// The order of applying: by rank, and of hooks of a chart by name, as Helm runs them (helm/pkg/action/hooks.go).
    pub(crate) fn order(&self, other: &Self) -> Ordering {
        let name = |object: &Self| object.is_hook().then(|| object.name().to_owned());
        (self.rank(), name(self)).cmp(&(other.rank(), name(other)))
    }

    /// The position in the order of applying: namespaces first, and objects before those that refer to them; of Jobs that run
    /// before or after the workloads, the weight.
    pub(crate) fn rank(&self) -> (u8, i32) {
        let rank = match (self.group(), self.kind()) {
            ("", "Namespace") => 0,
            // It names what may have to be removed, should this deployment break off.
            ("", "ConfigMap") if is_parent(self) => 1,
            // What the API server accepts depends on these.
            ("apiextensions.k8s.io", "CustomResourceDefinition")
            | ("scheduling.k8s.io", "PriorityClass")
            | ("node.k8s.io", "RuntimeClass")
            | ("storage.k8s.io", "StorageClass")
            | ("", "ResourceQuota" | "LimitRange") => 1,
            ("", "ServiceAccount") | (RBAC, "Role" | "ClusterRole") => 2,
            (RBAC, "RoleBinding" | "ClusterRoleBinding") => 3,
            // Of the last three, pods mount what their controllers make.
            ("", "ConfigMap" | "Secret" | "PersistentVolumeClaim")
            | ("networking.k8s.io", "NetworkPolicy")
            | ("secrets-store.csi.x-k8s.io", "SecretProviderClass")
            | ("external-secrets.io", "ExternalSecret")
            | ("bitnami.com", "SealedSecret") => 4,
            ("", "Service") => 5,
            _ if self.runs_before_workloads() => JOBS,
            _ if self.runs_after_workloads() => 8,
            _ => 7,
        };
        (rank, self.weight())
    }
}

/// The group of an `apiVersion`; empty for Kubernetes' core.
pub(crate) fn group(api_version: &str) -> &str {
    let group = api_version.split_once('/');
    group.map_or("", |(group, _)| group)
}

/// The text at `pointer` of `value`; empty if there is none.
pub(crate) fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// Set the field of `value` at `path`, and the objects that lead to it. Where a manifest has something other than an object, it
/// is left for the API server to reject.
pub(crate) fn set(value: &mut Value, path: &[&str], new: Value) {
    let Some((field, rest)) = path.split_first() else {
        *value = new;
        return;
    };
    if value.is_null() {
        *value = Value::Object(serde_json::Map::new());
    }
    if let Some(fields) = value.as_object_mut() {
        set(fields.entry(*field).or_insert(Value::Null), rest, new);
    }
}

/// Every container of `value`, in a pod's spec at any depth: in a template, in a job's template.
pub(crate) fn containers(value: &Value) -> Vec<&Value> {
    match value {
        Value::Object(map) => map
            .iter()
            .flat_map(|(key, inner)| match inner.as_array() {
                Some(list) if holds_containers(key) => list.iter().collect(),
                _ => containers(inner),
            })
            .collect(),
        Value::Array(list) => list.iter().flat_map(containers).collect(),
        _ => Vec::new(),
    }
}

/// The same, mutable.
pub(crate) fn containers_mut(value: &mut Value) -> Vec<&mut Value> {
    match value {
        Value::Object(map) => map
            .iter_mut()
            .flat_map(|(key, inner)| {
                if inner.is_array() && holds_containers(key) {
                    inner.as_array_mut().into_iter().flatten().collect()
                } else {
                    containers_mut(inner)
                }
            })
            .collect(),
        Value::Array(list) => list.iter_mut().flat_map(containers_mut).collect(),
        _ => Vec::new(),
    }
}

/// Every pod's spec in `value`, at any depth.
pub(crate) fn pod_specs_mut(value: &mut Value) -> Vec<&mut Value> {
    if value["containers"].is_array() {
        return vec![value];
    }
    match value {
        Value::Object(map) => map.values_mut().flat_map(pod_specs_mut).collect(),
        Value::Array(list) => list.iter_mut().flat_map(pod_specs_mut).collect(),
        _ => Vec::new(),
    }
}

fn holds_containers(key: &str) -> bool {
    matches!(key, "containers" | "initContainers" | "ephemeralContainers")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object(version: &str, kind: &str) -> Object {
        let value = json!({"apiVersion": version, "kind": kind, "metadata": {"name": "app"}});
        Object::of_test(value, Some("web"))
    }

    #[test]
    fn a_kind_of_another_group_is_another_object() {
        let table = [
            ("apps/v1", "apps/v1beta1", "Deployment", true),
            ("apps/v1", "apps.example/v1", "Deployment", false),
            ("v1", "serving.knative.dev/v1", "Service", false),
            (
                "cert-manager.io/v1",
                "networking.internal.knative.dev/v1",
                "Certificate",
                false,
            ),
        ];
        for (one, other, kind, expected) in table {
            let is_same = object(one, kind).is_same(&object(other, kind));
            assert_eq!(is_same, expected, "{one} {other} {kind}");
        }
        assert!(object("apps/v1", "Deployment").is_workload());
        assert!(!object("apps.example/v1", "Deployment").is_workload());
        assert!(!object("v1", "Deployment").is_workload());
    }

    #[test]
    fn the_order_is_that_of_the_group_and_the_kind() {
        let mut objects = [
            object("serving.knative.dev/v1", "Service"),
            object("v1", "Service"),
            object("project.example/v1", "Namespace"),
            object(&format!("{RBAC}/v1"), "RoleBinding"),
            object(&format!("{RBAC}/v1"), "Role"),
            object("v1", "ResourceQuota"),
            object("v1", "Namespace"),
        ];
        objects.sort_by(Object::order);
        let order = objects
            .each_ref()
            .map(|o| format!("{} {}", o.api_version(), o.kind()));
        assert_eq!(
            order,
            [
                "v1 Namespace",
                "v1 ResourceQuota",
                "rbac.authorization.k8s.io/v1 Role",
                "rbac.authorization.k8s.io/v1 RoleBinding",
                "v1 Service",
                "serving.knative.dev/v1 Service",
                "project.example/v1 Namespace",
            ]
        );
    }

    #[test]
    fn what_runs_pods_is_awaited() {
        for (version, kind, is_awaited, is_workload) in [
            ("v1", "Pod", true, false),
            ("v1", "ReplicationController", true, false),
            ("apps/v1", "ReplicaSet", true, false),
            ("apps/v1", "Deployment", true, true),
            ("batch/v1", "Job", true, true),
            ("batch/v1", "CronJob", false, false),
            ("v1", "PodTemplate", false, false),
            ("example.com/v1", "Pod", false, false),
            ("example.com/v1", "ReplicaSet", false, false),
        ] {
            let object = Object::of_test(json!({"apiVersion": version, "kind": kind}), None);
            let is = (object.is_awaited(), object.is_workload());
            assert_eq!(is, (is_awaited, is_workload), "{version} {kind}");
        }
    }

    #[test]
    fn a_field_is_set_with_what_leads_to_it() {
        let table = [
            (json!(null), json!({"a": {"b": 1}})),
            (json!({"a": null, "c": 2}), json!({"a": {"b": 1}, "c": 2})),
            (
                json!({"a": {"b": 0, "c": 2}}),
                json!({"a": {"b": 1, "c": 2}}),
            ),
            (json!({"a": "text"}), json!({"a": "text"})),
            (json!([]), json!([])),
        ];
        for (mut value, expected) in table {
            set(&mut value, &["a", "b"], json!(1));
            assert_eq!(value, expected);
        }
    }
}
