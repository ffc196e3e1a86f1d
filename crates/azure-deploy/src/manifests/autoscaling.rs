//! Workloads whose replicas an autoscaler of the manifests sets.

use serde_json::Value;

use super::Manifests;
use crate::kubernetes::{Object, group_of};

/// The kinds of autoscalers, with their groups: of Kubernetes, and of KEDA.
const AUTOSCALERS: [(&str, &str); 2] = [
    ("autoscaling", "HorizontalPodAutoscaler"),
    ("keda.sh", "ScaledObject"),
];

impl Manifests {
    /// A warning for each workload that has a fixed number of `replicas`, and an autoscaler.
    pub(crate) fn scaled_twice(&self) -> Vec<String> {
        let is_autoscaler =
            |object: &&Object| AUTOSCALERS.contains(&(object.group(), object.kind()));
        let autoscalers = self.objects().iter().filter(is_autoscaler);
        let warnings = autoscalers.filter_map(|autoscaler| {
            let target = &autoscaler.value["spec"]["scaleTargetRef"];
            let mut objects = self.objects().iter();
            let workload = objects.find(|object| is_target(object, target, autoscaler))?;
            let replicas = workload.value["spec"]["replicas"].as_u64()?;
            // Zero turns the autoscaler off: it is meant so.
            (replicas > 0).then(|| {
                format!(
                    "{} has `replicas: {replicas}`, and {} scales it: each deployment sets the number back; leave `replicas` out",
                    workload.label(),
                    autoscaler.label()
                )
            })
        });
        warnings.collect()
    }
}

fn is_target(object: &Object, target: &Value, autoscaler: &Object) -> bool {
    let namespace = |object: &Object| object.namespace_or_default().to_owned();
    // KEDA's defaults.
    let group = target["apiVersion"].as_str().map_or("apps", group_of);
    let kind = target["kind"].as_str().unwrap_or("Deployment");
    object.is_of(group, kind)
        && target["name"] == *object.name()
        && namespace(object) == namespace(autoscaler)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_fixed_number_beside_an_autoscaler_is_a_warning() {
        let object = |kind: &str, name: &str, spec: Value| {
            let version = match kind {
                "Deployment" => "apps/v1",
                "ScaledObject" => "keda.sh/v1alpha1",
                _ => "autoscaling/v2",
            };
            let value = json!({"apiVersion": version, "kind": kind, "metadata": {"name": name}, "spec": spec});
            Object::of_test(value, None)
        };
        let autoscaler =
            |kind: &str, target: Value| object(kind, "auto", json!({"scaleTargetRef": target}));
        let warnings = |workload: Value, autoscaler: Object| {
            Manifests(vec![object("Deployment", "app", workload), autoscaler]).scaled_twice()
        };
        let own = json!({"kind": "Deployment", "name": "app"});
        let hpa = "HorizontalPodAutoscaler";
        assert_eq!(
            warnings(json!({"replicas": 2}), autoscaler(hpa, own.clone())),
            [
                "Deployment/app has `replicas: 2`, and HorizontalPodAutoscaler/auto scales it: each deployment sets the number back; leave `replicas` out"
            ]
        );
        let keda = autoscaler("ScaledObject", json!({"name": "app"}));
        assert_eq!(warnings(json!({"replicas": 2}), keda).len(), 1);
        let none: [String; 0] = [];
        for workload in [json!({}), json!({"replicas": 0})] {
            assert_eq!(warnings(workload, autoscaler(hpa, own.clone())), none);
        }
        for other in [
            json!({"kind": "StatefulSet", "name": "app"}),
            json!({"apiVersion": "apps.example/v1", "kind": "Deployment", "name": "app"}),
        ] {
            let other = autoscaler(hpa, other);
            assert_eq!(warnings(json!({"replicas": 2}), other), none);
        }
    }
}
