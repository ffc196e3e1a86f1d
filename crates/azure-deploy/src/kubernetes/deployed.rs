//! What this action, or somebody else, has deployed to a namespace.

use futures_util::future::join_all;
use kube::api::{Api, DynamicObject, ListParams};
use kube::core::GroupVersionKind;
use kube::discovery::ApiResource;
use serde_json::{Value, json};

use super::apply_set::is_of_set;
use super::{Cluster, Object, Owners, RBAC, text};

/// The most objects of one kind that are read.
const OBJECTS: u32 = 500;
/// The kinds, with their group and version, of which something may be left: not what keeps data, what is done, and what few
/// identities may list, as Secrets.
const KINDS: &[(&str, &str, &str)] = &[
    ("apps", "v1", "Deployment"),
    ("apps", "v1", "StatefulSet"),
    ("apps", "v1", "DaemonSet"),
    ("batch", "v1", "CronJob"),
    ("", "v1", "Service"),
    ("", "v1", "ConfigMap"),
    ("networking.k8s.io", "v1", "Ingress"),
    ("gateway.networking.k8s.io", "v1", "HTTPRoute"),
    ("networking.k8s.io", "v1", "NetworkPolicy"),
    ("policy", "v1", "PodDisruptionBudget"),
    ("autoscaling", "v2", "HorizontalPodAutoscaler"),
    ("", "v1", "ServiceAccount"),
    (RBAC, "v1", "Role"),
    (RBAC, "v1", "RoleBinding"),
];

impl Cluster {
    /// The objects of `kind`, which is of the group `apps`, in `namespace`: each with its state.
    ///
    /// # Errors
    /// When the API server rejects a request.
    pub(crate) async fn workloads(
        &self,
        kind: &str,
        namespace: &str,
    ) -> anyhow::Result<Vec<(Object, Value)>> {
        let (resource, api) = self.of_kind(("apps", "v1", kind), namespace);
        let list = self.response(api.list(&all())).await?;
        let items = list.items.into_iter();
        let items = items.map(|item| Ok(member(&resource, serde_json::to_value(item)?)));
        items.collect()
    }

    /// The objects of the usual kinds in `namespace` that this action applied and no set has. Where they cannot be read there
    /// are none.
    pub(crate) async fn deployed(&self, namespace: &str) -> Vec<Object> {
        let lists = KINDS.iter().map(async |kind| {
            let (resource, api) = self.of_kind(*kind, namespace);
            let list = self.response(api.list_metadata(&all())).await.ok()?;
            let items = list.items.into_iter();
            let items = items.filter_map(|item| serde_json::to_value(item).ok());
            let items = items.map(|item| member(&resource, item));
            Some(items.collect::<Vec<_>>())
        });
        let found = join_all(lists).await.into_iter().flatten().flatten();
        let ours = found.filter(|(_, live)| {
            Owners::of(live).is_applied_by_us()
                && live["metadata"]["ownerReferences"].is_null()
                && text(live, "/metadata/deletionTimestamp").is_empty()
                && !is_of_set(live)
        });
        ours.map(|(object, _)| object).collect()
    }

    fn of_kind(
        &self,
        (group, version, kind): (&str, &str, &str),
        namespace: &str,
    ) -> (ApiResource, Api<DynamicObject>) {
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
        let api = Api::namespaced_with(self.client.clone(), namespace, &resource);
        (resource, api)
    }
}

fn all() -> ListParams {
    ListParams::default().limit(OBJECTS)
}

/// An item of a list, which has neither `apiVersion` nor `kind`, as an object with its state.
pub(super) fn member(resource: &ApiResource, mut live: Value) -> (Object, Value) {
    live["apiVersion"] = resource.api_version.clone().into();
    live["kind"] = resource.kind.clone().into();
    let mut value = json!({"apiVersion": resource.api_version, "kind": resource.kind, "metadata": {"name": text(&live, "/metadata/name")}});
    if let Some(namespace) = live["metadata"].get("namespace") {
        value["metadata"]["namespace"] = namespace.clone();
    }
    let object = Object {
        file: "the last deployment".to_owned(),
        document: None,
        value,
        default_namespace: None,
    };
    (object, live)
}
