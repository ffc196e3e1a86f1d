//! The nodes, when a pod cannot be scheduled.

use azure::Nodes;
use k8s_openapi::api::core::v1::{ConfigMap, Event, Node, Pod};
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
/// Karpenter's event of a pod that no pool of it has a node for: the scheduler's own has the same reason, and another reporter.
const FAILED_SCHEDULING: &str = "FailedScheduling";
/// The reporter of Karpenter's events, and the group of its kinds: `NodePool`, `NodeClaim`.
const KARPENTER_NAMES: (&str, &str) = ("karpenter", "karpenter.sh");

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
            return NewNodes::Expected;
        }
        // It may not have added a node yet.
        match self.kind(KARPENTER_NAMES.1, "NodePool").await {
            Ok(Some(_)) => NewNodes::Expected,
            Ok(None) => NewNodes::Excluded,
            Err(_) => NewNodes::Possible,
        }
    }

    /// The same for one pod, by what an autoscaler reports of it: one may run that neither Azure nor the nodes show.
    pub(crate) async fn new_nodes_for(&self, pod: &Pod, nodes: NewNodes) -> NewNodes {
        by_events(&self.events_of_pod(pod).await, nodes)
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

// Whether a node may be added for a pod with these events.
fn by_events(events: &[Event], nodes: NewNodes) -> NewNodes {
    let has = |wanted: &str| {
        let mut reasons = events.iter().filter_map(|event| event.reason.as_deref());
        reasons.any(|reason| reason == wanted)
    };
    let is_of_karpenter = |event: &Event| {
        let source = event.source.as_ref();
        let source = source.and_then(|source| source.component.as_deref());
        [source, event.reporting_component.as_deref()].contains(&Some(KARPENTER_NAMES.0))
    };
    let is_declined = has(DOES_NOT_SCALE_UP)
        || events.iter().any(|event| {
            event.reason.as_deref() == Some(FAILED_SCHEDULING) && is_of_karpenter(event)
        });
    if SCALES_UP.iter().any(|reason| has(reason)) {
        NewNodes::Expected
    } else if is_declined && nodes == NewNodes::Expected {
        NewNodes::Possible
    } else {
        nodes
    }
}

#[cfg(test)]
mod tests {
    use NewNodes::{Excluded, Expected, Possible};
    use serde_json::json;

    use super::*;

    #[test]
    fn an_autoscaler_says_by_events_whether_it_adds_a_node() {
        for (reason, reporter, before, expected) in [
            ("TriggeredScaleUp", "cluster-autoscaler", Excluded, Expected),
            ("Nominated", "karpenter", Excluded, Expected),
            (
                "NotTriggerScaleUp",
                "cluster-autoscaler",
                Expected,
                Possible,
            ),
            (
                "NotTriggerScaleUp",
                "cluster-autoscaler",
                Excluded,
                Excluded,
            ),
            ("FailedScheduling", "karpenter", Expected, Possible),
            ("FailedScheduling", "default-scheduler", Expected, Expected),
            ("FailedScheduling", "default-scheduler", Excluded, Excluded),
        ] {
            for reporter in [
                json!({"source": {"component": reporter}}),
                json!({"reportingComponent": reporter}),
            ] {
                let mut event = reporter;
                event["reason"] = reason.into();
                event["metadata"] = json!({});
                event["involvedObject"] = json!({});
                let event: Event = serde_json::from_value(event).unwrap();
                assert_eq!(by_events(&[event], before), expected, "{reason}");
            }
        }
        assert_eq!(by_events(&[], Possible), Possible);
    }
}
