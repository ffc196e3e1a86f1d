//! The nodes, when a pod finds no place on them.

use azure::Nodes;
use k8s_openapi::api::core::v1::{ConfigMap, Node};
use kube::api::{Api, ListParams};
use tokio::join;

use crate::cluster::Cluster;

/// Where the cluster autoscaler says how it is, on AKS as elsewhere (learn.microsoft.com/azure/aks/cluster-autoscaler).
const AUTOSCALER: (&str, &str) = ("kube-system", "cluster-autoscaler-status");
/// What Karpenter, and with it AKS's node auto-provisioning, labels its nodes with.
const KARPENTER: &str = "karpenter.sh/";

impl Cluster {
    /// Whether a node may come for a pod that finds no place; also where nobody may know that.
    pub(crate) async fn grows(&self) -> bool {
        if let Some(known) = self.nodes {
            return known == Nodes::Added;
        }
        let nodes: Api<Node> = Api::all(self.client.clone());
        let status: Api<ConfigMap> = Api::namespaced(self.client.clone(), AUTOSCALER.0);
        let params = ListParams::default();
        let (nodes, status) = join!(
            self.answer(nodes.list(&params)),
            self.answer(status.get_opt(AUTOSCALER.1))
        );
        let (Ok(nodes), Ok(None)) = (nodes, status) else {
            return true;
        };
        let labels = nodes.into_iter().filter_map(|node| node.metadata.labels);
        labels
            .flatten()
            .any(|(label, _)| label.starts_with(KARPENTER))
    }

    /// The taints of the nodes, to be put after a sentence; empty where nobody may list nodes.
    pub(crate) async fn taints(&self) -> String {
        let nodes: Api<Node> = Api::all(self.client.clone());
        let Ok(nodes) = self.answer(nodes.list(&ListParams::default())).await else {
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
}
