//! What exists, and changes only after the Jobs that run before the workloads: it serves the previous version, and stays as it is
//! if a Job fails.

use serde_json::Value;

use crate::kubernetes::{Object, is_parent};
use crate::manifests::is_read;

/// Whether `object`, which exists, is applied after `jobs`. What a Job may need is not: what its pods read, and a policy with a
/// rule for them, without which it could never succeed.
pub(super) fn is_deferred(object: &Object, jobs: &[&Object]) -> bool {
    let is_for = |job: &&Object| {
        let labels = &job.value["spec"]["template"]["metadata"]["labels"];
        concerns(&object.value["spec"], labels)
    };
    !jobs.is_empty()
        && match (object.group(), object.kind()) {
            ("", "Service") => true,
            ("", "ConfigMap" | "Secret") => !is_parent(object) && !is_read(object, jobs),
            ("networking.k8s.io", "NetworkPolicy") => !jobs.iter().any(is_for),
            _ => false,
        }
}

// Whether a `NetworkPolicy` with this `spec` may concern pods of a Job with these `labels`: it selects them, or one of its rules
// does.
fn concerns(spec: &Value, labels: &Value) -> bool {
    let peers = [("ingress", "from"), ("egress", "to")];
    let mut of_rules = peers.into_iter().flat_map(|(rules, peers)| {
        let rules = spec[rules].as_array().into_iter().flatten();
        rules.map(move |rule| &rule[peers])
    });
    selects(&spec["podSelector"], labels)
        || of_rules.any(|peers| match peers.as_array() {
            Some(peers) if !peers.is_empty() => peers.iter().any(|peer| may_be(peer, labels)),
            // A rule without peers is for all.
            _ => true,
        })
}

// Whether the `peer` of a rule may be a pod with these `labels`.
fn may_be(peer: &Value, labels: &Value) -> bool {
    match peer.get("podSelector") {
        Some(selector) => selects(selector, labels),
        // Every pod of a namespace, or of a range of addresses.
        None => true,
    }
}

// Whether a selector may select pods with these `labels`, to which the Job controller adds its own.
fn selects(selector: &Value, labels: &Value) -> bool {
    let is_added = |label: &str| {
        matches!(label, "job-name" | "controller-uid") || label.starts_with("batch.kubernetes.io/")
    };
    let mut expected = selector["matchLabels"].as_object().into_iter().flatten();
    !selector["matchExpressions"].is_null()
        || expected.all(|(label, value)| is_added(label) || labels[label] == *value)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(kind: &str, name: &str, fields: Value) -> Object {
        let mut value = fields;
        let version = match kind {
            "NetworkPolicy" => "networking.k8s.io/v1",
            _ => "v1",
        };
        value["apiVersion"] = version.into();
        value["kind"] = kind.into();
        value["metadata"]["name"] = name.into();
        Object::of_test(value, Some("web"))
    }

    #[test]
    fn what_a_job_may_need_is_applied_before_it() {
        let pod = json!({
            "containers": [{"name": "a", "envFrom": [{"secretRef": {"name": "read"}}]}],
            "imagePullSecrets": [{"name": "pull"}],
            "volumes": [{"name": "share", "azureFile": {"shareName": "a", "secretName": "share"}}],
        });
        let template = json!({"metadata": {"labels": {"app": "migration"}}, "spec": pod});
        let job = object("Job", "migration", json!({"spec": {"template": template}}));
        let app = |app: &str| json!({"podSelector": {"matchLabels": {"app": app}}});
        let from = |peer: Value| {
            let rules = json!([{"from": [peer]}]);
            json!({"spec": {"podSelector": {"matchLabels": {"app": "db"}}, "ingress": rules}})
        };
        let of_any = json!({"spec": {"podSelector": {}}});
        let expressions = json!({"spec": {"podSelector": {"matchExpressions": [{"key": "app"}]}}});
        let of_all = json!({"spec": {"podSelector": {"matchLabels": {"app": "db"}}, "ingress": [{"ports": [{"port": 5432}]}]}});
        let of_name = json!({"podSelector": {"matchLabels": {"job-name": "migration"}}});
        let addresses = json!({"ipBlock": {"cidr": "10.0.0.0/8"}});
        let login = json!({"type": "kubernetes.io/dockerconfigjson"});
        for (kind, name, fields, expected) in [
            ("Service", "app", json!({}), true),
            ("Secret", "read", json!({}), false),
            ("Secret", "pull", json!({}), false),
            ("Secret", "share", json!({}), false),
            ("Secret", "login", login, false),
            ("Secret", "other", json!({}), true),
            ("ConfigMap", "read", json!({}), true),
            ("NetworkPolicy", "app", json!({"spec": app("app")}), true),
            (
                "NetworkPolicy",
                "job",
                json!({"spec": app("migration")}),
                false,
            ),
            ("NetworkPolicy", "any", of_any, false),
            ("NetworkPolicy", "some", expressions, false),
            ("NetworkPolicy", "db", from(app("app")), true),
            ("NetworkPolicy", "db", from(app("migration")), false),
            (
                "NetworkPolicy",
                "db",
                from(json!({"namespaceSelector": {}})),
                false,
            ),
            ("NetworkPolicy", "db", from(of_name), false),
            ("NetworkPolicy", "db", from(addresses), false),
            ("NetworkPolicy", "db", of_all, false),
            ("ServiceAccount", "app", json!({}), false),
        ] {
            let object = object(kind, name, fields);
            assert_eq!(is_deferred(&object, &[&job]), expected, "{kind}/{name}");
            assert!(!is_deferred(&object, &[]));
        }
    }
}
