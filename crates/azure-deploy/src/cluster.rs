//! The cluster: objects read, applied and removed through its API server.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use azure::{ClusterAccess, Identity};
use base64::Engine as _;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, LogParams, Patch, PatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::GroupVersionKind;
use kube::discovery::{ApiResource, Scope, pinned_kind};
use kube::{Client, Config};
use serde_json::{Value, json};

use crate::manifests::Object;

/// The name under which we own fields.
const MANAGER: &str = "drydock";
/// The namespace of an object that names none.
const DEFAULT_NAMESPACE: &str = "default";

/// A cluster.
pub(crate) struct Cluster {
    client: Client,
    kinds: BTreeMap<String, (ApiResource, Scope)>,
}

impl Cluster {
    /// Connect. The access stays in memory.
    pub(crate) async fn connect(access: &ClusterAccess) -> anyhow::Result<Self> {
        let encode = |bytes: &[u8]| base64::engine::general_purpose::STANDARD.encode(bytes);
        let user = match &access.identity {
            Identity::Token(token) => json!({"token": token.expose()}),
            Identity::Certificate(certificate, key) => json!({
                "client-certificate-data": encode(certificate),
                "client-key-data": encode(key.expose().as_bytes()),
            }),
        };
        let kubeconfig: Kubeconfig = serde_json::from_value(json!({
            "clusters": [{"name": "c", "cluster": {"server": access.server, "certificate-authority-data": encode(&access.authority)}}],
            "users": [{"name": "u", "user": user}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
            "current-context": "x",
        }))
        .context("while preparing the access to the cluster")?;
        let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
            .await
            .context("while preparing the access to the cluster")?;
        config.connect_timeout = Some(Duration::from_secs(10));
        config.read_timeout = Some(Duration::from_secs(60));
        let client =
            Client::try_from(config).context("while preparing the client for the cluster")?;
        Ok(Self {
            client,
            kinds: BTreeMap::new(),
        })
    }

    /// The version of the API server: the first question, which shows whether it can be reached.
    pub(crate) async fn version(&self) -> anyhow::Result<String> {
        let version = self
            .client
            .apiserver_version()
            .await
            .context("while asking the API server for its version")?;
        Ok(version.git_version)
    }

    /// Learn the kinds of `objects`.
    pub(crate) async fn learn(&mut self, objects: &[Object]) -> anyhow::Result<()> {
        for object in objects {
            let key = format!("{} {}", object.api_version(), object.kind());
            if !self.kinds.contains_key(&key) {
                let (group, version) = object
                    .api_version()
                    .split_once('/')
                    .unwrap_or(("", object.api_version()));
                let kind = GroupVersionKind::gvk(group, version, object.kind());
                let (resource, capabilities) =
                    pinned_kind(&self.client, &kind).await.with_context(|| {
                        format!(
                            "the cluster does not know the kind of `{}` in `{}` ({key})",
                            object.label(),
                            object.file
                        )
                    })?;
                self.kinds.insert(key, (resource, capabilities.scope));
            }
        }
        Ok(())
    }

    fn api(&self, object: &Object) -> anyhow::Result<Api<DynamicObject>> {
        let key = format!("{} {}", object.api_version(), object.kind());
        let (resource, scope) = self
            .kinds
            .get(&key)
            .with_context(|| format!("the kind {key} was not learnt"))?;
        Ok(match scope {
            Scope::Cluster => Api::all_with(self.client.clone(), resource),
            Scope::Namespaced => Api::namespaced_with(
                self.client.clone(),
                object.namespace().unwrap_or(DEFAULT_NAMESPACE),
                resource,
            ),
        })
    }

    /// The object as it is in the cluster.
    pub(crate) async fn get(&self, object: &Object) -> anyhow::Result<Option<Value>> {
        let found = self.api(object)?.get_opt(object.name()).await;
        let found = found.with_context(|| format!("while reading `{}`", object.label()))?;
        found
            .map(|found| serde_json::to_value(found).context("while reading an object"))
            .transpose()
    }

    /// Apply it server-side; with `dry` nothing is changed.
    pub(crate) async fn apply(&self, object: &Object, dry: bool) -> anyhow::Result<Value> {
        let mut params = PatchParams::apply(MANAGER).force();
        params.dry_run = dry;
        let applied = self
            .api(object)?
            .patch(object.name(), &params, &Patch::Apply(&object.value))
            .await;
        let applied = applied
            .with_context(|| format!("while applying `{}` of `{}`", object.label(), object.file))?;
        serde_json::to_value(applied).context("while reading an object")
    }

    /// Remove it.
    pub(crate) async fn delete(&self, object: &Object) -> anyhow::Result<()> {
        match self
            .api(object)?
            .delete(object.name(), &DeleteParams::background())
            .await
        {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(e)) if e.code == 404 => Ok(()),
            Err(e) => Err(e).with_context(|| format!("while removing `{}`", object.label())),
        }
    }

    /// The pods of a Deployment's newest revision.
    pub(crate) async fn newest_pods(&self, deployment: &Value) -> anyhow::Result<Vec<Value>> {
        let text = |pointer: &str| {
            deployment
                .pointer(pointer)
                .and_then(Value::as_str)
                .unwrap_or_default()
        };
        let namespace = text("/metadata/namespace");
        let labels = deployment
            .pointer("/spec/selector/matchLabels")
            .and_then(Value::as_object);
        let selector: Vec<_> = labels
            .into_iter()
            .flatten()
            .filter_map(|(key, value)| Some(format!("{key}={}", value.as_str()?)))
            .collect();
        let params = ListParams::default().labels(&selector.join(","));
        let revision = "/metadata/annotations/deployment.kubernetes.io~1revision";
        let sets = self
            .list("apps/v1", "ReplicaSet", "replicasets", namespace, &params)
            .await?;
        let newest = sets.iter().find(|set| {
            set.pointer(revision) == deployment.pointer(revision)
                && set.pointer("/metadata/ownerReferences/0/uid")
                    == deployment.pointer("/metadata/uid")
        });
        let Some(hash) = newest.and_then(|set| set.pointer("/metadata/labels/pod-template-hash"))
        else {
            return Ok(Vec::new());
        };
        let pods = self.list("v1", "Pod", "pods", namespace, &params).await?;
        Ok(pods
            .into_iter()
            .filter(|pod| pod.pointer("/metadata/labels/pod-template-hash") == Some(hash))
            .collect())
    }

    async fn list(
        &self,
        api_version: &str,
        kind: &str,
        plural: &str,
        namespace: &str,
        params: &ListParams,
    ) -> anyhow::Result<Vec<Value>> {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        let resource = ApiResource {
            group: group.into(),
            version: version.into(),
            api_version: api_version.into(),
            kind: kind.into(),
            plural: plural.into(),
        };
        let api: Api<DynamicObject> =
            Api::namespaced_with(self.client.clone(), namespace, &resource);
        let found = api
            .list(params)
            .await
            .with_context(|| format!("while listing {plural} in `{namespace}`"))?;
        found
            .items
            .into_iter()
            .map(|item| serde_json::to_value(item).context("while reading an object"))
            .collect()
    }

    /// The warnings about an object, oldest first: `Reason: message`.
    pub(crate) async fn warnings(&self, namespace: &str, name: &str) -> Vec<String> {
        let params =
            ListParams::default().fields(&format!("type=Warning,involvedObject.name={name}"));
        // What explains a failure is a help, not a condition: without it the failure still stands.
        let events = self
            .list("v1", "Event", "events", namespace, &params)
            .await
            .unwrap_or_default();
        let line = |event: &Value| {
            Some(format!(
                "{}: {}",
                event["reason"].as_str()?,
                event["message"].as_str()?
            ))
        };
        events.iter().filter_map(line).collect()
    }

    /// The last lines that a pod's containers printed: of the one that ended last, if there is none that
    /// runs.
    pub(crate) async fn log_tail(&self, namespace: &str, pod: &str) -> Vec<String> {
        let api: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
        for previous in [false, true] {
            let params = LogParams {
                tail_lines: Some(30),
                previous,
                ..LogParams::default()
            };
            let text = api.logs(pod, &params).await.unwrap_or_default();
            // The kubelet answers with this sentence, as if it were the log, where it has none.
            if !text.trim().is_empty() && !text.starts_with("unable to retrieve container logs") {
                return text.lines().map(ToOwned::to_owned).collect();
            }
        }
        Vec::new()
    }
}

/// Why the API server can't be reached, as far as Resource Manager knows.
pub(crate) fn unreachable(
    error: &anyhow::Error,
    access: &ClusterAccess,
    cluster: Option<&azure::Cluster>,
) -> anyhow::Error {
    let text = format!("{error:#}");
    let refused = ["401", "Unauthorized", "403", "Forbidden", "forbidden"]
        .iter()
        .any(|sign| text.contains(sign));
    let hint = match cluster {
        _ if refused => "the cluster does not take this identity: give it a role in the cluster (or in Azure, if Azure RBAC is on)".to_owned(),
        Some(c) if c.power == "Stopped" => "the cluster is stopped; start it".into(),
        Some(c) if c.private => "it is a private cluster: use a runner in its network".into(),
        Some(c) if !c.authorized_ranges.is_empty() => {
            format!("only {} may reach it: add the runner's address to the authorized IP ranges, or use a runner inside them", c.authorized_ranges.join(", "))
        }
        _ => "is the cluster running, and can the runner reach it?".into(),
    };
    anyhow!("{text}").context(format!(
        "the cluster's API server `{}` can't be used: {hint}",
        access.server
    ))
}
