//! The nodes, when a pod cannot be scheduled.

use azure::Nodes;
use k8s_openapi::api::core::v1::{ConfigMap, Node};
use kube::api::{Api, ListParams};
use tokio::join;

use crate::kubernetes::Cluster;

/// Where the cluster autoscaler reports its state, on AKS as elsewhere (learn.microsoft.com/azure/aks/cluster-autoscaler).
const AUTOSCALER: (&str, &str) = ("kube-system", "cluster-autoscaler-status");
/// The prefix of the labels that Karpenter, and with it AKS's node auto-provisioning, gives its nodes.
const KARPENTER: &str = "karpenter.sh/";

impl Cluster {
    /// Whether a node may be added for a pod that cannot be scheduled; `true` if the identity may not find out.
    pub(crate) async fn adds_nodes(&self) -> bool {
        if let Some(known) = self.nodes {
            return known == Nodes::Added;
        }
        let nodes: Api<Node> = Api::all(self.client.clone());
        let status: Api<ConfigMap> = Api::namespaced(self.client.clone(), AUTOSCALER.0);
        let params = ListParams::default();
        let (nodes, status) = join!(
            self.response(nodes.list(&params)),
            self.response(status.get_opt(AUTOSCALER.1))
        );
        let (Ok(nodes), Ok(None)) = (nodes, status) else {
            return true;
        };
        let labels = nodes.into_iter().filter_map(|node| node.metadata.labels);
        labels
            .flatten()
            .any(|(label, _)| label.starts_with(KARPENTER))
    }

    /// The taints of the nodes, as the end of a sentence; empty if the identity may not list nodes.
    pub(crate) async fn taints(&self) -> String {
        let nodes: Api<Node> = Api::all(self.client.clone());
        let Ok(nodes) = self.response(nodes.list(&ListParams::default())).await else {
            return String::new();
        };
        let mut taints = String::new();
        for node in nodes {
            let name = node.metadata.name.unwrap_or_default();
            for taint in node.spec.and_then(|spec| spec.taints).unwrap_or_default() {
                let value = taint
                    .value
                    .map_or(String::new(), |value| format!("={value}"));
                taints += &format!(
                    "; node `{name}` has the taint `{}{value}:{}`",
                    taint.key, taint.effect
                );
            }
        }
        taints
    }
}
