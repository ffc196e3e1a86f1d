//! Objects that the API server accepts only once another one of the same deployment is applied: what it checks them by changes.

use serde_json::Value;

use crate::kubernetes::{Object, RBAC, text};

/// Whether the API server may accept `object` only once `other`, which is applied before it, is there as its manifest has it.
pub(super) fn depends(object: &Object, other: &Object) -> bool {
    let is_elsewhere =
        |other: &Object| object.namespace_or_default() != other.namespace_or_default();
    other.rank() < object.rank()
        && match (other.group(), other.kind()) {
            // The schema.
            ("apiextensions.k8s.io", "CustomResourceDefinition") => other.defines(object),
            // What may be in it, as Pod Security's labels have it.
            ("", "Namespace") => object.namespace() == Some(other.name()),
            ("", "ResourceQuota" | "LimitRange") => !is_elsewhere(other),
            ("", "ServiceAccount") => {
                !is_elsewhere(other) && pod_names(object, "serviceAccountName", other)
            }
            ("scheduling.k8s.io", "PriorityClass") => pod_names(object, "priorityClassName", other),
            ("node.k8s.io", "RuntimeClass") => pod_names(object, "runtimeClassName", other),
            // Whether a volume may grow. It may be the default one.
            ("storage.k8s.io", "StorageClass") => {
                let class = text(&object.value, "/spec/storageClassName");
                object.is_of("", "PersistentVolumeClaim")
                    && (class.is_empty() || class == other.name())
            }
            // The rights that are given have to be known.
            (RBAC, "Role" | "ClusterRole") => {
                let role = &object.value["roleRef"];
                object.group() == RBAC
                    && role["kind"] == *other.kind()
                    && role["name"] == *other.name()
                    && (other.kind() == "ClusterRole" || !is_elsewhere(other))
            }
            _ => false,
        }
}

// Whether `object` is a pod whose `field` has the name of `other`. Those of a workload are made later.
fn pod_names(object: &Object, field: &str, other: &Object) -> bool {
    let name: &Value = &object.value["spec"][field];
    object.is_of("", "Pod") && *name == *other.name()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(version: &str, kind: &str, name: &str, fields: Value) -> Object {
        let mut value = fields;
        value["apiVersion"] = version.into();
        value["kind"] = kind.into();
        value["metadata"]["name"] = name.into();
        Object::of_test(value, Some("web"))
    }

    #[test]
    fn what_an_object_is_checked_by_is_known() {
        let none = || json!({});
        let elsewhere = |version: &str, kind: &str, name: &str| {
            let fields = json!({"metadata": {"namespace": "other"}});
            object(version, kind, name, fields)
        };
        let definition = json!({"spec": {
            "group": "shop.example", "names": {"kind": "Offer"}, "versions": [{"name": "v1", "served": true}],
        }});
        let definition = object(
            "apiextensions.k8s.io/v1",
            "CustomResourceDefinition",
            "offers.shop.example",
            definition,
        );
        let pod = json!({"spec": {"serviceAccountName": "app", "priorityClassName": "high"}});
        let pod = object("v1", "Pod", "app", pod);
        let claim = |class: &str| {
            let spec = json!({"spec": {"storageClassName": class}});
            object("v1", "PersistentVolumeClaim", "data", spec)
        };
        let binding = json!({"roleRef": {"kind": "Role", "name": "reader"}});
        let rbac = format!("{RBAC}/v1");
        let binding = object(&rbac, "RoleBinding", "app", binding);
        let class = object("storage.k8s.io/v1", "StorageClass", "fast", none());
        let table = [
            (
                object("shop.example/v1", "Offer", "a", none()),
                definition.clone(),
                true,
            ),
            (
                object("other.example/v1", "Offer", "a", none()),
                definition.clone(),
                false,
            ),
            (definition.clone(), definition, false),
            (
                claim("fast"),
                object("v1", "ResourceQuota", "q", none()),
                true,
            ),
            (claim("fast"), elsewhere("v1", "ResourceQuota", "q"), false),
            (claim("fast"), object("v1", "LimitRange", "q", none()), true),
            (claim("fast"), class.clone(), true),
            (claim(""), class.clone(), true),
            (claim("slow"), class, false),
            (
                pod.clone(),
                object("v1", "ServiceAccount", "app", none()),
                true,
            ),
            (
                pod.clone(),
                object("v1", "ServiceAccount", "other", none()),
                false,
            ),
            (pod.clone(), elsewhere("v1", "ServiceAccount", "app"), false),
            (
                pod.clone(),
                object("scheduling.k8s.io/v1", "PriorityClass", "high", none()),
                true,
            ),
            (pod.clone(), object("v1", "Namespace", "web", none()), true),
            (pod, object("v1", "Namespace", "other", none()), false),
            (
                binding.clone(),
                object(&rbac, "Role", "reader", none()),
                true,
            ),
            (
                binding.clone(),
                object(&rbac, "Role", "writer", none()),
                false,
            ),
            (
                binding,
                object(&rbac, "ClusterRole", "reader", none()),
                false,
            ),
        ];
        for (object, other, expected) in table {
            let (one, two) = (object.label(), other.label());
            assert_eq!(depends(&object, &other), expected, "{one} on {two}");
        }
    }
}
