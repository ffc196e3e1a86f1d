//! A workload as it is in the cluster.

use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Container, Pod, PodSpec, PodTemplateSpec, ReplicationController};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::Value;

use super::{Cluster, Object};

/// The annotation of a Deployment and its `ReplicaSet`s with their revision.
pub(crate) const REVISION: &str = "deployment.kubernetes.io/revision";
/// The annotation of a `DaemonSet` with the number that the label `pod-template-generation` of its newest pods has.
pub(crate) const TEMPLATE_GENERATION: &str = "deprecated.daemonset.template.generation";
/// The annotations that the controllers count up themselves, and that no deployment sets.
pub(crate) const COUNTED_ANNOTATIONS: [&str; 2] = [REVISION, TEMPLATE_GENERATION];

/// An object that runs pods.
#[derive(Debug, Clone)]
pub(crate) enum Workload {
    Deployment(Deployment),
    StatefulSet(StatefulSet),
    DaemonSet(DaemonSet),
    Job(Job),
    ReplicaSet(ReplicaSet),
    ReplicationController(ReplicationController),
    /// A pod that nothing replaces.
    Pod(Pod),
}

impl Workload {
    /// `live`, the state of `object` in the cluster.
    ///
    /// # Errors
    /// As [`Object::read`].
    pub(crate) fn read(object: &Object, live: Value) -> anyhow::Result<Self> {
        match object.kind() {
            "StatefulSet" => object.read(live).map(Self::StatefulSet),
            "DaemonSet" => object.read(live).map(Self::DaemonSet),
            "Job" => object.read(live).map(Self::Job),
            "ReplicaSet" => object.read(live).map(Self::ReplicaSet),
            "ReplicationController" => object.read(live).map(Self::ReplicationController),
            "Pod" => object.read(live).map(Self::Pod),
            _ => object.read(live).map(Self::Deployment),
        }
    }

    /// Its metadata.
    pub(crate) fn metadata(&self) -> &ObjectMeta {
        match self {
            Self::Deployment(deployment) => &deployment.metadata,
            Self::StatefulSet(set) => &set.metadata,
            Self::DaemonSet(set) => &set.metadata,
            Self::Job(job) => &job.metadata,
            Self::ReplicaSet(set) => &set.metadata,
            Self::ReplicationController(controller) => &controller.metadata,
            Self::Pod(pod) => &pod.metadata,
        }
    }

    /// The value of its annotation `name`; empty if it has none.
    pub(crate) fn annotation(&self, name: &str) -> &str {
        let annotations = self.metadata().annotations.as_ref();
        let value = annotations.and_then(|annotations| annotations.get(name));
        value.map_or("", String::as_str)
    }

    /// Whether the controller has observed the last change: until then, the status is that of the previous version.
    pub(crate) fn is_observed(&self) -> bool {
        let observed = match self {
            // Its conditions are its own: it does not change.
            Self::Job(_) => return true,
            Self::Deployment(deployment) => {
                let status = deployment.status.as_ref();
                status.and_then(|status| status.observed_generation)
            }
            Self::StatefulSet(set) => {
                let status = set.status.as_ref();
                status.and_then(|status| status.observed_generation)
            }
            Self::DaemonSet(set) => {
                let status = set.status.as_ref();
                status.and_then(|status| status.observed_generation)
            }
            Self::ReplicaSet(set) => {
                let status = set.status.as_ref();
                status.and_then(|status| status.observed_generation)
            }
            Self::ReplicationController(controller) => {
                let status = controller.status.as_ref();
                status.and_then(|status| status.observed_generation)
            }
            // Before Kubernetes 1.34 the kubelet does not report it.
            Self::Pod(pod) => {
                let status = pod.status.as_ref();
                let observed = status.and_then(|status| status.observed_generation);
                observed.or(pod.metadata.generation)
            }
        };
        observed.unwrap_or_default() >= self.metadata().generation.unwrap_or_default()
    }

    /// The containers of its pods, and those that run before them.
    pub(crate) fn containers(&self) -> impl Iterator<Item = &Container> {
        self.pod_spec().into_iter().flat_map(|pod| {
            let before = pod.init_containers.iter().flatten();
            pod.containers.iter().chain(before)
        })
    }

    // The spec of its pods.
    fn pod_spec(&self) -> Option<&PodSpec> {
        let template: Option<&PodTemplateSpec> = match self {
            Self::Deployment(deployment) => deployment.spec.as_ref().map(|spec| &spec.template),
            Self::StatefulSet(set) => set.spec.as_ref().map(|spec| &spec.template),
            Self::DaemonSet(set) => set.spec.as_ref().map(|spec| &spec.template),
            Self::Job(job) => job.spec.as_ref().map(|spec| &spec.template),
            Self::ReplicaSet(set) => set.spec.as_ref().and_then(|spec| spec.template.as_ref()),
            Self::ReplicationController(controller) => {
                let spec = controller.spec.as_ref();
                spec.and_then(|spec| spec.template.as_ref())
            }
            Self::Pod(pod) => return pod.spec.as_ref(),
        };
        template?.spec.as_ref()
    }
}

impl Cluster {
    /// The workload `object` as it is in the cluster; `None` if it does not exist.
    pub(crate) async fn workload(&self, object: &Object) -> anyhow::Result<Option<Workload>> {
        let live = self.get(object).await?;
        live.map(|live| Workload::read(object, live)).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(live: &Value) -> anyhow::Result<Workload> {
        let object = Object::of_test(live.clone(), None);
        Workload::read(&object, live.clone())
    }

    #[test]
    fn a_field_may_be_missing() {
        for kind in [
            "Deployment",
            "StatefulSet",
            "DaemonSet",
            "Job",
            "ReplicaSet",
            "ReplicationController",
            "Pod",
        ] {
            for live in [
                json!({"kind": kind}),
                json!({"kind": kind, "metadata": null, "spec": null, "status": null}),
                json!({"kind": kind, "metadata": {}, "spec": {}, "status": {}}),
            ] {
                let workload = read(&live).unwrap();
                assert!(workload.is_observed(), "{live}");
                assert_eq!(workload.containers().count(), 0, "{live}");
                assert_eq!(workload.annotation("x"), "", "{live}");
            }
        }
    }

    #[test]
    fn containers_that_run_before_the_others_count() {
        let pod = json!({"initContainers": [{"name": "before"}], "containers": [{"name": "app"}]});
        for kind in [
            "Deployment",
            "StatefulSet",
            "DaemonSet",
            "Job",
            "ReplicaSet",
        ] {
            let live = json!({"kind": kind, "spec": {"template": {"spec": pod.clone()}}});
            let workload = read(&live).unwrap();
            let names: Vec<_> = workload.containers().map(|c| c.name.as_str()).collect();
            assert_eq!(names, ["app", "before"], "{kind}");
        }
        let live = read(&json!({"kind": "Pod", "spec": pod})).unwrap();
        let names: Vec<_> = live.containers().map(|c| c.name.as_str()).collect();
        assert_eq!(names, ["app", "before"]);
    }

    #[test]
    fn of_a_pod_the_change_is_observed_where_the_kubelet_reports_it() {
        let observed = |status: Value| {
            let live = json!({"kind": "Pod", "metadata": {"generation": 2}, "status": status});
            read(&live).unwrap().is_observed()
        };
        assert!(observed(json!({})));
        assert!(!observed(json!({"observedGeneration": 1})));
        assert!(observed(json!({"observedGeneration": 2})));
    }

    #[test]
    fn a_field_of_another_type_is_an_error_that_names_the_object() {
        let live =
            json!({"kind": "Deployment", "metadata": {"name": "app"}, "spec": {"replicas": "two"}});
        assert_eq!(
            format!("{:#}", read(&live).unwrap_err()),
            "failed to read `Deployment/app`: the API server sent an unexpected value: invalid type: string \"two\", expected i32"
        );
    }
}
