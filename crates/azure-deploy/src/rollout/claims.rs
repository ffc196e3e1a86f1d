//! The volumes that a pod claims and that do not exist yet: a provisioner makes them, which may take minutes. The events of a claim
//! name what it waits for, or why there will be no volume.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Event, Pod};

use super::events::time;
use super::judge::GRACE;
use super::pods::Rollout;
use crate::kubernetes::Cluster;

/// How many claims are looked at: replicas that are created together have the same problem.
const CLAIMS: usize = 5;
/// The message of the scheduler for a pod whose claims are bound before it is scheduled (`volumeBindingMode: Immediate`;
/// kubernetes/pkg/scheduler/framework/plugins/volumebinding).
const UNBOUND: &str = "unbound immediate PersistentVolumeClaims";
/// The controller repeats this one for as long as there is no volume: it says nothing of the attempts.
const EXTERNAL: &str = "ExternalProvisioning";
/// The event of a claim that is bound at once, and that no volume fits.
const FAILED_BINDING: &str = "FailedBinding";
/// The same for a claim that no volume fits: the controller looks for one every 15 seconds (kube-controller-manager,
/// `--pvclaimbinder-sync-period`).
const BINDING_GRACE: Duration = Duration::from_secs(20);
/// The codes of a driver's response to a request that it would reject again (github.com/container-storage-interface/spec,
/// `CreateVolume` errors).
const REJECTED: &[&str] = &[
    "code = InvalidArgument",
    "code = OutOfRange",
    "code = Unimplemented",
];

/// A claim without a volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Claim {
    /// What its last event says.
    pub(crate) message: String,
    /// How long it may say so; without it, there will be a volume.
    pub(crate) grace: Option<Duration>,
}

impl Claim {
    /// Whether no volume fits it, by an event that stays after an administrator has made one.
    pub(super) fn lacks_volume(&self) -> bool {
        self.message.starts_with(FAILED_BINDING)
    }
}

impl Cluster {
    /// The claims of the pods that have no node yet, by their names. Where events cannot be read there are none.
    pub(super) async fn claims(&self, rollout: &Rollout) -> BTreeMap<String, Claim> {
        let pods = rollout.pods.iter().filter(|pod| has_no_node(pod));
        let namespace = pods
            .clone()
            .find_map(|pod| pod.metadata.namespace.as_deref());
        let mut names: Vec<_> = pods.flat_map(claim_names).collect();
        names.sort();
        names.dedup();
        names.truncate(CLAIMS);
        let mut claims = BTreeMap::new();
        for name in names {
            let namespace = namespace.unwrap_or_default();
            let events = self.events_of("PersistentVolumeClaim", namespace, &name, "");
            if let Some(claim) = claim(events.await) {
                claims.insert(name, claim);
            }
        }
        claims
    }
}

fn has_no_node(pod: &Pod) -> bool {
    let spec = pod.spec.as_ref();
    let node = spec.and_then(|spec| spec.node_name.as_deref());
    pod.metadata.deletion_timestamp.is_none() && node.is_none()
}

/// The names of the claims of a pod: those that it refers to, and those that are made for it.
pub(super) fn claim_names(pod: &Pod) -> Vec<String> {
    let pod_name = pod.metadata.name.as_deref().unwrap_or_default();
    let spec = pod.spec.as_ref();
    let volumes = spec.and_then(|spec| spec.volumes.as_deref());
    let names = volumes.unwrap_or_default().iter().filter_map(|volume| {
        if let Some(claim) = &volume.persistent_volume_claim {
            return Some(claim.claim_name.clone());
        }
        volume.ephemeral.as_ref()?;
        Some(format!("{pod_name}-{}", volume.name))
    });
    names.collect()
}

/// Whether the scheduler waits for the volumes of a pod.
pub(super) fn waits_for_volume(message: &str) -> bool {
    message.contains(UNBOUND)
}

// The state of a claim by the last of its events; `None` if it has a volume, or nothing is known.
fn claim(events: Vec<Event>) -> Option<Claim> {
    let is_repeated = |event: &Event| event.reason.as_deref() == Some(EXTERNAL);
    let is_attempt = |event: &Event| {
        let reason = event.reason.as_deref().unwrap_or_default();
        reason.starts_with("Provisioning")
    };
    let has_attempt = events.iter().any(is_attempt);
    let events = events.into_iter();
    let last = events
        .filter(|event| !has_attempt || !is_repeated(event))
        .max_by_key(time)?;
    let (reason, message) = (last.reason?, last.message.unwrap_or_default());
    let grace = match &*reason {
        // The next one may be another response of the cloud.
        "ProvisioningFailed" if is_permanent(&message) => Some(GRACE),
        FAILED_BINDING => Some(BINDING_GRACE),
        "ProvisioningFailed"
        | "Provisioning"
        | EXTERNAL
        | "WaitForFirstConsumer"
        | "WaitForPodScheduled" => None,
        _ => return None,
    };
    let message = format!("{reason}: {}", message.trim());
    Some(Claim { message, grace })
}

// Whether there will not be a volume however often it is requested.
fn is_permanent(message: &str) -> bool {
    let lacks_class = message.contains("storageclass") && message.contains("not found");
    lacks_class || REJECTED.iter().any(|code| message.contains(code))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn event(second: u32, reason: &str, message: &str) -> Value {
        json!({
            "metadata": {}, "involvedObject": {}, "reason": reason, "message": message,
            "lastTimestamp": format!("2026-12-01T08:00:{second:02}Z"),
        })
    }

    fn of(events: &[Value]) -> Option<Claim> {
        let events = events
            .iter()
            .map(|event| serde_json::from_value(event.clone()));
        claim(events.collect::<Result<_, _>>().unwrap())
    }

    #[test]
    fn a_provisioner_has_its_time_and_what_it_cannot_make_is_known() {
        let class = r#"storageclass.storage.k8s.io "absent" not found"#;
        let busy = r#"failed to provision volume with StorageClass "default": rpc error: code = DeadlineExceeded desc = context deadline exceeded"#;
        let invalid = r#"failed to provision volume with StorageClass "x": rpc error: code = InvalidArgument desc = unknown sku"#;
        let none = "no persistent volumes available for this claim and no storage class is set";
        for (reason, message, expected) in [
            (
                "Provisioning",
                "External provisioner is provisioning volume",
                Some(None),
            ),
            (
                "ExternalProvisioning",
                "Waiting for a volume to be created",
                Some(None),
            ),
            (
                "WaitForFirstConsumer",
                "waiting for first consumer",
                Some(None),
            ),
            ("WaitForPodScheduled", "waiting for pod app-0", Some(None)),
            ("ProvisioningFailed", busy, Some(None)),
            ("ProvisioningFailed", class, Some(Some(GRACE))),
            ("ProvisioningFailed", invalid, Some(Some(GRACE))),
            ("FailedBinding", none, Some(Some(BINDING_GRACE))),
            (
                "ProvisioningSucceeded",
                "Successfully provisioned volume",
                None,
            ),
            ("VolumeResizeFailed", "", None),
        ] {
            let found = of(&[event(1, reason, message)]);
            assert_eq!(
                found.map(|claim| claim.grace),
                expected,
                "{reason}: {message}"
            );
        }
    }

    #[test]
    fn the_last_event_of_a_claim_counts() {
        let failed = |second| event(second, "ProvisioningFailed", "code = InvalidArgument");
        let works = |second| event(second, "Provisioning", "again");
        assert_eq!(of(&[failed(9), works(3)]).unwrap().grace, Some(GRACE));
        assert_eq!(
            of(&[failed(3), works(9)]),
            Some(Claim {
                message: "Provisioning: again".into(),
                grace: None
            })
        );
        // What the controller repeats is not an attempt.
        let external = |second| event(second, "ExternalProvisioning", "Waiting");
        let found = of(&[failed(3), external(9)]).unwrap();
        assert_eq!(found.grace, Some(GRACE));
        assert_eq!(of(&[external(9)]).unwrap().grace, None);
        assert_eq!(of(&[]), None);
    }

    #[test]
    fn a_pod_has_claims_of_its_own_and_those_it_refers_to() {
        let volumes = json!([
            {"name": "data", "persistentVolumeClaim": {"claimName": "shop-data"}},
            {"name": "scratch", "ephemeral": {"volumeClaimTemplate": {"spec": {}}}},
            {"name": "config", "configMap": {"name": "shop"}},
        ]);
        let pod =
            json!({"metadata": {"name": "app-0"}, "spec": {"containers": [], "volumes": volumes}});
        let pod: Pod = serde_json::from_value(pod).unwrap();
        assert_eq!(claim_names(&pod), ["shop-data", "app-0-scratch"]);
        assert!(has_no_node(&pod));
    }
}
