//! The pods behind a workload, and what they leave to read.

use kube::api::{Api, DynamicObject, ListParams, LogParams};
use kube::discovery::ApiResource;
use serde_json::Value;

use k8s_openapi::api::core::v1::Node;

use crate::cluster::{Cluster, answer};
use crate::object::text;

const LINES: i64 = 30;
const REVISION: &str = "/metadata/annotations/deployment.kubernetes.io~1revision";

impl Cluster {
    /// The pods of a workload's newest revision.
    pub(crate) async fn newest_pods(&self, workload: &Value) -> anyhow::Result<Vec<Value>> {
        let namespace = text(workload, "/metadata/namespace");
        let labels = workload.pointer("/spec/selector/matchLabels");
        let selector: Vec<_> = labels
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
            .filter_map(|(key, value)| Some(format!("{key}={}", value.as_str()?)))
            .collect();
        let params = ListParams::default().labels(&selector.join(","));
        // What marks a pod of the newest revision, and who has it as an owner.
        let (label, value, owner) = match text(workload, "/kind") {
            "StatefulSet" => (
                "controller-revision-hash",
                text(workload, "/status/updateRevision").to_owned(),
                workload.clone(),
            ),
            "DaemonSet" => {
                let generation = "/metadata/annotations/deprecated.daemonset.template.generation";
                (
                    "pod-template-generation",
                    text(workload, generation).to_owned(),
                    workload.clone(),
                )
            }
            _ => {
                let sets = self
                    .list("apps/v1", "ReplicaSet", "replicasets", namespace, &params)
                    .await?;
                let newest = sets.into_iter().find(|set| {
                    owned_by(set, workload) && text(set, REVISION) == text(workload, REVISION)
                });
                let Some(set) = newest else {
                    return Ok(Vec::new());
                };
                let hash = text(&set, "/metadata/labels/pod-template-hash").to_owned();
                ("pod-template-hash", hash, set)
            }
        };
        let pods = self.list("v1", "Pod", "pods", namespace, &params).await?;
        let newest = |pod: &Value| {
            owned_by(pod, &owner) && text(pod, &format!("/metadata/labels/{label}")) == value
        };
        Ok(pods.into_iter().filter(newest).collect())
    }

    /// The taints of the nodes, to be put after a sentence; empty where nobody may list nodes.
    pub(crate) async fn taints(&self) -> String {
        let nodes: Api<Node> = Api::all(self.client.clone());
        let Ok(nodes) = answer(nodes.list(&ListParams::default())).await else {
            return String::new();
        };
        let mut said = String::new();
        for node in nodes {
            let name = node.metadata.name.unwrap_or_default();
            for taint in node.spec.and_then(|spec| spec.taints).unwrap_or_default() {
                let value = taint
                    .value
                    .map_or(String::new(), |value| format!("={value}"));
                said += &format!(
                    "; node `{name}` has the taint `{}{value}:{}`",
                    taint.key, taint.effect
                );
            }
        }
        said
    }

    async fn list(
        &self,
        api_version: &str,
        kind: &str,
        plural: &str,
        namespace: &str,
        params: &ListParams,
    ) -> anyhow::Result<Vec<Value>> {
        use anyhow::Context as _;
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
        let found = answer(api.list(params))
            .await
            .with_context(|| format!("while listing {plural} in `{namespace}`"))?;
        let items = found.items.into_iter().map(serde_json::to_value);
        items
            .collect::<Result<_, _>>()
            .with_context(|| format!("while reading {plural}"))
    }

    /// The warnings about an object, oldest first: `Reason: message`. What explains a failure is a help,
    /// not a condition: where they can't be read there are none.
    pub(crate) async fn warnings(&self, kind: &str, namespace: &str, name: &str) -> Vec<String> {
        let fields = format!("type=Warning,involvedObject.kind={kind},involvedObject.name={name}");
        let params = ListParams::default().fields(&fields);
        let events = self.list("v1", "Event", "events", namespace, &params).await;
        let mut events = events.unwrap_or_default();
        events.sort_by_cached_key(|event| text(event, "/lastTimestamp").to_owned());
        let line =
            |event: &Value| format!("{}: {}", text(event, "/reason"), text(event, "/message"));
        let mut lines: Vec<_> = events.iter().map(line).collect();
        lines.dedup();
        lines
    }

    /// The last lines of a pod's container (its first one without `container`): of the one that is there,
    /// or of the one that ended before it.
    pub(crate) async fn log_tail(
        &self,
        namespace: &str,
        pod: &str,
        container: Option<&str>,
    ) -> Vec<String> {
        let api: Api<k8s_openapi::api::core::v1::Pod> =
            Api::namespaced(self.client.clone(), namespace);
        let container = match container {
            Some(container) => Some(container.to_owned()),
            None => answer(api.get(pod)).await.ok().and_then(|pod| {
                let containers = pod.spec?.containers;
                containers.into_iter().next().map(|first| first.name)
            }),
        };
        for previous in [false, true] {
            let params = LogParams {
                container: container.clone(),
                tail_lines: Some(LINES),
                previous,
                ..LogParams::default()
            };
            let said = answer(api.logs(pod, &params)).await.unwrap_or_default();
            // The kubelet answers with this sentence, as if it were the log, where it has none.
            if !said.trim().is_empty() && !said.starts_with("unable to retrieve container logs") {
                return said.lines().map(ToOwned::to_owned).collect();
            }
        }
        Vec::new()
    }
}

fn owned_by(object: &Value, owner: &Value) -> bool {
    let uid = text(owner, "/metadata/uid");
    let owners = object.pointer("/metadata/ownerReferences");
    owners
        .and_then(Value::as_array)
        .is_some_and(|owners| owners.iter().any(|owner| owner["uid"] == uid))
}
