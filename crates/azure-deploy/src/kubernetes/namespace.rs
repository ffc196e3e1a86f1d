//! Namespaces that are removed as a whole.

use anyhow::Context as _;
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, Preconditions};
use kube::core::GroupVersionKind;
use kube::discovery::{ApiResource, Scope};
use serde_json::Value;

use super::{Cluster, DEFAULT_NAMESPACE, Object, Rejected, set, text};

/// The most namespaces that are read.
const NAMESPACES: u32 = 500;

impl Cluster {
    /// The namespaces with the label `label`.
    ///
    /// # Errors
    /// When the API server rejects the request.
    pub(crate) async fn namespaces(&self, label: &str) -> anyhow::Result<Vec<Value>> {
        let params = ListParams::default().labels(label).limit(NAMESPACES);
        let list = self.response(self.namespace_api().list(&params)).await?;
        let items = list.items.into_iter();
        Ok(items.map(serde_json::to_value).collect::<Result<_, _>>()?)
    }

    /// The namespace `name`, if there is one.
    ///
    /// # Errors
    /// When the API server rejects the request.
    pub(crate) async fn namespace(&self, name: &str) -> anyhow::Result<Option<Value>> {
        let live = self.response(self.namespace_api().get_opt(name)).await;
        let live = live.with_context(|| format!("failed to read the namespace `{name}`"))?;
        Ok(live.map(serde_json::to_value).transpose()?)
    }

    /// Remove the namespace that was read as `live`, and no other one of its name, with everything in it.
    ///
    /// # Errors
    /// When the API server rejects the request.
    pub(crate) async fn remove_namespace(&self, live: &Value) -> anyhow::Result<()> {
        let name = text(live, "/metadata/name");
        let params = DeleteParams::background().preconditions(Preconditions {
            uid: Some(text(live, "/metadata/uid").to_owned()),
            resource_version: Some(text(live, "/metadata/resourceVersion").to_owned()),
        });
        match self
            .response(self.namespace_api().delete(name, &params))
            .await
        {
            Err(e) if e.downcast_ref::<Rejected>().is_some_and(|e| e.code == 404) => Ok(()),
            done => done
                .map(drop)
                .with_context(|| format!("failed to remove the namespace `{name}`")),
        }
    }

    /// Whether the kind of `object` is known, and its objects are in no namespace.
    pub(crate) fn is_without_namespace(&self, object: &Object) -> bool {
        self.scope(object) == Some(Scope::Cluster)
    }

    /// Check the fields of `object`, whose namespace does not exist: the API server checks it as an object of another one,
    /// where nothing is changed. What depends on the namespace, such as quotas and rights, is not checked.
    ///
    /// # Errors
    /// When the object is invalid.
    pub(crate) async fn check_fields(&self, object: &Object) -> anyhow::Result<()> {
        if self.scope(object) != Some(Scope::Namespaced) {
            return self.apply(object, true).await.map(drop);
        }
        let mut value = object.value.clone();
        set(
            &mut value,
            &["metadata", "namespace"],
            DEFAULT_NAMESPACE.into(),
        );
        let elsewhere = object.with(value);
        // An object of this name may be there, and have fields that do not change.
        if !matches!(self.get(&elsewhere).await, Ok(None)) {
            return Ok(());
        }
        match self.apply(&elsewhere, true).await {
            // A policy may reject what is in that namespace only.
            Err(e)
                if e.downcast_ref()
                    .is_some_and(|e: &Rejected| e.is_invalid_object() && !e.is_of_admission()) =>
            {
                Err(e)
            }
            _ => Ok(()),
        }
    }

    fn namespace_api(&self) -> Api<DynamicObject> {
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("", "v1", "Namespace"));
        Api::all_with(self.client.clone(), &resource)
    }
}
