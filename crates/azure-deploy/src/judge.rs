//! Is a rollout done, going on, or lost? A pure function of what the API server says.
//!
//! Rules: kubectl's `rollout status` (generation, then counts), kstatus, and the reasons that the kubelet
//! gives for a container that waits (kubernetes/pkg/kubelet/container and images).

use std::time::Duration;

use actions_toolkit::text::cut;
use serde_json::Value;

use crate::object::text;

/// How a rollout stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Every replica is of the new version, and available.
    Done,
    /// It goes on; in words.
    Waiting(String),
    /// It cannot succeed by itself.
    Lost(Cause),
}

/// Why a rollout is lost.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Cause {
    /// In words.
    pub(crate) words: String,
    /// The pod that shows it.
    pub(crate) pod: Option<String>,
    /// Its container.
    pub(crate) container: Option<String>,
}

/// What may pass by itself gets this long: a Secret that comes a moment later, a registry that hiccups, a
/// quota that the old pods still use.
const GRACE: Duration = Duration::from_secs(10);
/// The same for a pod that can't be placed, in a cluster that may grow: a node needs a moment.
const GROWTH: Duration = Duration::from_secs(60);

/// Of a runtime's message, this many bytes are shown.
const MESSAGE: usize = 300;

/// Reasons that do not pass by themselves. A container is in `CrashLoopBackOff` only from its second end on.
const HOPELESS: &[&str] = &["CrashLoopBackOff", "ErrImageNeverPull", "InvalidImageName"];
/// Reasons that mostly do not.
const DOUBTFUL: &[&str] = &[
    "ImagePullBackOff",
    "CreateContainerConfigError",
    "CreateContainerError",
    "RunContainerError",
];

fn number(value: &Value, pointer: &str) -> i64 {
    value
        .pointer(pointer)
        .and_then(Value::as_i64)
        .unwrap_or_default()
}

fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    let conditions = object.pointer("/status/conditions")?.as_array()?;
    conditions
        .iter()
        .find(|condition| condition["type"] == kind)
}

/// Judge a workload by itself and the pods of its newest revision, `elapsed` after the change, in a cluster that `grows`
/// when it has no room.
pub(crate) fn workload(
    workload: &Value,
    pods: &[Value],
    elapsed: Duration,
    grows: bool,
) -> Standing {
    if !is_observed(workload) {
        return Standing::Waiting("the change is being taken up".into());
    }
    if let Some(cause) = pods.iter().find_map(|pod| hopeless(pod, elapsed, grows)) {
        return Standing::Lost(cause);
    }
    let standing = match text(workload, "/kind") {
        "StatefulSet" => stateful_set(workload),
        "DaemonSet" => daemon_set(workload),
        _ => deployment(workload, elapsed),
    };
    match (standing, pods.iter().find_map(unplaced)) {
        (Standing::Waiting(words), Some(message)) => {
            Standing::Waiting(format!("{words}; a pod can't be placed yet: {message}"))
        }
        (standing, _) => standing,
    }
}

/// Why the scheduler has no node for a pod, in its words.
pub(crate) fn unplaced(pod: &Value) -> Option<&str> {
    let scheduled = condition(pod, "PodScheduled").filter(|c| c["reason"] == "Unschedulable")?;
    Some(text(scheduled, "/message").trim_end_matches('.'))
}

/// Whether a pod that has had its time cannot start by itself.
pub(crate) fn is_stuck(pod: &Value) -> bool {
    hopeless(pod, Duration::MAX, false).is_some()
}

/// Whether the controller has seen the last change of `workload`: until then, its status is of the version before.
pub(crate) fn is_observed(workload: &Value) -> bool {
    number(workload, "/status/observedGeneration") >= number(workload, "/metadata/generation")
}

fn lost(words: String) -> Standing {
    Standing::Lost(Cause {
        words,
        ..Cause::default()
    })
}

fn wanted(workload: &Value) -> i64 {
    let replicas = workload.pointer("/spec/replicas");
    replicas.and_then(Value::as_i64).unwrap_or(1)
}

fn counted(updated: i64, ready: i64, wanted: i64) -> Standing {
    if updated < wanted {
        Standing::Waiting(format!("{updated} of {wanted} new replicas"))
    } else if ready < wanted {
        Standing::Waiting(format!("{ready} of {wanted} replicas are available"))
    } else {
        Standing::Done
    }
}

fn deployment(deployment: &Value, elapsed: Duration) -> Standing {
    let failure = condition(deployment, "ReplicaFailure").filter(|c| c["status"] == "True");
    if let Some(failure) = failure.filter(|_| elapsed > GRACE) {
        return lost(format!("no pod can be made: {}", text(failure, "/message")));
    }
    if condition(deployment, "Progressing")
        .is_some_and(|c| c["reason"] == "ProgressDeadlineExceeded")
    {
        return lost(format!(
            "there was no progress for {} s",
            number(deployment, "/spec/progressDeadlineSeconds")
        ));
    }
    let status = |field: &str| number(deployment, &format!("/status/{field}"));
    let (all, updated) = (status("replicas"), status("updatedReplicas"));
    if updated >= wanted(deployment) && all > updated {
        let old = actions_toolkit::text::plural(
            usize::try_from(all - updated).unwrap_or(1),
            "old replica",
        );
        return Standing::Waiting(format!("{old} still to end"));
    }
    counted(updated, status("availableReplicas"), wanted(deployment))
}

fn stateful_set(set: &Value) -> Standing {
    // Its pods are replaced when somebody deletes them: there is nothing to wait for.
    if text(set, "/spec/updateStrategy/type") == "OnDelete" {
        return Standing::Done;
    }
    let kept = number(set, "/spec/updateStrategy/rollingUpdate/partition");
    let wanted = wanted(set);
    // Once every replica is new, the new revision is the current one, and `updatedReplicas` is left out.
    let same = text(set, "/status/updateRevision") == text(set, "/status/currentRevision");
    let updated = if same {
        wanted
    } else {
        number(set, "/status/updatedReplicas")
    };
    if updated < wanted - kept {
        return Standing::Waiting(format!("{updated} of {} new replicas", wanted - kept));
    }
    counted(wanted, number(set, "/status/readyReplicas"), wanted)
}

fn daemon_set(set: &Value) -> Standing {
    if text(set, "/spec/updateStrategy/type") == "OnDelete" {
        return Standing::Done;
    }
    let status = |field: &str| number(set, &format!("/status/{field}"));
    counted(
        status("updatedNumberScheduled"),
        status("numberAvailable"),
        status("desiredNumberScheduled"),
    )
}

fn hopeless(pod: &Value, elapsed: Duration, grows: bool) -> Option<Cause> {
    if pod.pointer("/metadata/deletionTimestamp").is_some() {
        return None;
    }
    let name = text(pod, "/metadata/name");
    let cause = |words: String, container: Option<&str>| {
        Some(Cause {
            words,
            pod: Some(name.to_owned()),
            container: container.map(ToOwned::to_owned),
        })
    };
    let room = if grows { GROWTH } else { GRACE };
    if let Some(message) = unplaced(pod).filter(|_| elapsed > room) {
        return cause(format!("the pod can't be placed: {message}"), None);
    }
    let statuses = ["/status/initContainerStatuses", "/status/containerStatuses"];
    let containers = statuses
        .iter()
        .filter_map(|list| pod.pointer(list)?.as_array());
    for status in containers.flatten() {
        let (container, waiting) = (text(status, "/name"), text(status, "/state/waiting/reason"));
        let message = text(status, "/state/waiting/message");
        let absent = waiting == "ErrImagePull"
            && (message.contains("not found") || message.contains("NotFound"));
        // The kubelet tells of a back-off up to a sync period later than of the end that it is for.
        let again = number(status, "/state/terminated/exitCode") != 0
            && number(status, "/restartCount") > 0;
        if waiting == "CrashLoopBackOff" || again {
            let words = format!(
                "container `{container}` ends{} again and again",
                end(status)
            );
            return cause(words, Some(container));
        }
        if absent || HOPELESS.contains(&waiting) || (DOUBTFUL.contains(&waiting) && elapsed > GRACE)
        {
            let words = format!("container `{container}` does not start: {waiting}: {message}");
            return cause(words, Some(container));
        }
    }
    None
}

// How the container ended last: ` with exit code 137 (OOMKilled)`.
fn end(status: &Value) -> String {
    let now = status.pointer("/state/terminated");
    let Some(terminated) = now.or_else(|| status.pointer("/lastState/terminated")) else {
        return String::new();
    };
    let reason = match text(terminated, "/reason") {
        "" | "Error" | "Completed" => String::new(),
        reason => format!(" ({reason})"),
    };
    // A program that could not even be started leaves no line in its log.
    let why = match text(terminated, "/message") {
        message if reason.is_empty() || message.is_empty() => String::new(),
        message => format!(": {},", cut(message.trim(), MESSAGE)),
    };
    format!(
        " with exit code {}{reason}{why}",
        number(terminated, "/exitCode")
    )
}

#[cfg(test)]
mod tests;
