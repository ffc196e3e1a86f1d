//! The nodes, when a pod cannot be scheduled.

use azure::Nodes;
use k8s_openapi::api::core::v1::{ConfigMap, Node, Pod};
use kube::api::{Api, ListParams};
use tokio::join;

use super::judge::NewNodes;
use crate::kubernetes::Cluster;

/// Where the cluster autoscaler reports its state, on AKS as elsewhere (learn.microsoft.com/azure/aks/cluster-autoscaler).
const AUTOSCALER: (&str, &str) = ("kube-system", "cluster-autoscaler-status");
/// The prefix of the labels that Karpenter, and with it AKS's node auto-provisioning, gives its nodes.
const KARPENTER: &str = "karpenter.sh/";

/// Events of a pod for which a node is added: of the cluster autoscaler (its FAQ, "What events are emitted by CA?"), and of
/// Karpenter.
const SCALES_UP: [&str; 2] = ["TriggeredScaleUp", "Nominated"];
/// The same for a pod that no pool can grow for.
const DOES_NOT_SCALE_UP: &str = "NotTriggerScaleUp";

impl Cluster {
    /// Whether a node may be added for a pod that cannot be scheduled.
    pub(crate) async fn new_nodes(&self) -> NewNodes {
        if let Some(known) = self.nodes {
            return match known {
                Nodes::Added => NewNodes::Expected,
                Nodes::Fixed => NewNodes::Excluded,
            };
        }
        let nodes: Api<Node> = Api::all(self.client.clone());
        let status: Api<ConfigMap> = Api::namespaced(self.client.clone(), AUTOSCALER.0);
        let params = ListParams::default();
        let (nodes, status) = join!(
            self.response(nodes.list(&params)),
            self.response(status.get_opt(AUTOSCALER.1))
        );
        let nodes = match (nodes, status) {
            (_, Ok(Some(_))) => return NewNodes::Expected,
            (Ok(nodes), Ok(None)) => nodes,
            // The identity may not find out.
            _ => return NewNodes::Possible,
        };
        let labels = nodes.into_iter().filter_map(|node| node.metadata.labels);
        let mut labels = labels.flatten();
        if labels.any(|(label, _)| label.starts_with(KARPENTER)) {
            NewNodes::Expected
        } else {
            NewNodes::Excluded
        }
    }

    /// The same for one pod, by what an autoscaler reports of it: one may run that neither Azure nor the nodes show.
    pub(crate) async fn new_nodes_for(&self, pod: &Pod, nodes: NewNodes) -> NewNodes {
        let reasons = self.event_reasons(pod).await;
        let has = |reason: &str| reasons.iter().any(|other| other == reason);
        if SCALES_UP.iter().any(|reason| has(reason)) {
            NewNodes::Expected
        } else if has(DOES_NOT_SCALE_UP) && nodes == NewNodes::Expected {
            NewNodes::Possible
        } else {
            nodes
        }
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
