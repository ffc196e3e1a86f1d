//! What a renderer needs to know of the cluster: its version, what it serves, and single objects.

use kube::api::{Api, DynamicObject, ListParams};
use kube::discovery::{Discovery, Scope};
use serde_json::{Value, json};

use super::{Cluster, DEFAULT_NAMESPACE};

/// The most objects of one kind that are read.
const OBJECTS: u32 = 500;

impl Cluster {
    /// The versions and kinds that the cluster serves: `apps/v1`, `apps/v1/Deployment`.
    ///
    /// # Errors
    /// When the API server rejects a request.
    pub(crate) async fn api_versions(&self) -> anyhow::Result<Vec<String>> {
        let discovery = Discovery::new(self.client.clone()).run_aggregated();
        let discovery = match self.response(discovery).await {
            Ok(discovery) => discovery,
            // An API server of before 1.27 knows no aggregated discovery.
            Err(_) => {
                self.response(Discovery::new(self.client.clone()).run())
                    .await?
            }
        };
        let mut versions = Vec::new();
        for group in discovery.groups() {
            for version in group.versions() {
                let resources = group.versioned_resources(version);
                let kinds = resources
                    .iter()
                    .map(|(resource, _)| format!("{}/{}", resource.api_version, resource.kind));
                versions.extend(kinds);
                versions.extend(
                    resources
                        .first()
                        .map(|(resource, _)| resource.api_version.clone()),
                );
            }
        }
        versions.sort();
        versions.dedup();
        Ok(versions)
    }

    /// The object `name` of a kind, or the list of all of them without a name, as Helm's `lookup` returns them; `None` if there is
    /// none, or the cluster does not know the kind.
    ///
    /// # Errors
    /// When the API server rejects a request.
    pub(crate) async fn look_up(
        &self,
        api_version: &str,
        kind: &str,
        namespace: &str,
        name: &str,
    ) -> anyhow::Result<Option<Value>> {
        let (group, _) = api_version.split_once('/').unwrap_or_default();
        let Some((resource, scope)) = self.kind(group, kind).await? else {
            return Ok(None);
        };
        let client = self.client.clone();
        let api: Api<DynamicObject> = match (scope, namespace, name) {
            (Scope::Cluster, ..) | (Scope::Namespaced, "", "") => Api::all_with(client, &resource),
            (Scope::Namespaced, "", _) => {
                Api::namespaced_with(client, DEFAULT_NAMESPACE, &resource)
            }
            (Scope::Namespaced, ..) => Api::namespaced_with(client, namespace, &resource),
        };
        if name.is_empty() {
            let params = ListParams::default().limit(OBJECTS);
            let list = self.response(api.list(&params)).await?;
            return Ok(Some(json!({"items": list.items})));
        }
        let object = self.response(api.get_opt(name)).await?;
        Ok(object.map(serde_json::to_value).transpose()?)
    }
}
