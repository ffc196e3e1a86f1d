//! Is a rollout done, going on, or lost? A pure function of what the API server says.
//!
//! Rules: kubectl's `rollout status` (generation, then counts), kstatus, and the reasons that the kubelet
//! gives for a container that waits (kubernetes/pkg/kubelet/container and images).

use std::time::Duration;

use serde_json::Value;

/// How a rollout stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Every replica is of the new version, and available.
    Done,
    /// It goes on; in words.
    Waiting(String),
    /// It cannot succeed by itself.
    Lost {
        /// Why.
        cause: String,
        /// The pod that shows it.
        pod: Option<String>,
    },
}

/// How long a pod that can't be placed may wait: a cluster that grows needs a moment.
const UNSCHEDULABLE: Duration = Duration::from_secs(30);

/// Reasons that do not pass by themselves once the kubelet backs off.
const HOPELESS: &[&str] = &[
    "ImagePullBackOff",
    "ErrImageNeverPull",
    "InvalidImageName",
    "CreateContainerConfigError",
    "CreateContainerError",
    "RunContainerError",
    "CrashLoopBackOff",
];

fn number(value: &Value, pointer: &str) -> i64 {
    value
        .pointer(pointer)
        .and_then(Value::as_i64)
        .unwrap_or_default()
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    object
        .pointer("/status/conditions")?
        .as_array()?
        .iter()
        .find(|condition| condition["type"] == kind)
}

/// Judge a Deployment by itself and the pods of its newest revision, `elapsed` after the change.
pub(crate) fn deployment(deployment: &Value, pods: &[Value], elapsed: Duration) -> Standing {
    // Until the controller has seen the change, the rest of the status is of the version before.
    if number(deployment, "/status/observedGeneration") < number(deployment, "/metadata/generation")
    {
        return Standing::Waiting("the change is being taken up".into());
    }
    let lost = |cause: String| Standing::Lost { cause, pod: None };
    if let Some(failure) = condition(deployment, "ReplicaFailure").filter(|c| c["status"] == "True")
    {
        return lost(format!("no pod can be made: {}", text(failure, "/message")));
    }
    if let Some(standing) = pods.iter().find_map(|pod| hopeless(pod, elapsed)) {
        return standing;
    }
    if condition(deployment, "Progressing")
        .is_some_and(|c| c["reason"] == "ProgressDeadlineExceeded")
    {
        return lost(format!(
            "there was no progress for {} s",
            number(deployment, "/spec/progressDeadlineSeconds")
        ));
    }
    let wanted = deployment
        .pointer("/spec/replicas")
        .and_then(Value::as_i64)
        .unwrap_or(1);
    let (all, updated) = (
        number(deployment, "/status/replicas"),
        number(deployment, "/status/updatedReplicas"),
    );
    let available = number(deployment, "/status/availableReplicas");
    if updated < wanted {
        return Standing::Waiting(format!("{updated} of {wanted} new replicas"));
    }
    if all > updated {
        return Standing::Waiting(format!("{} old replicas are ending", all - updated));
    }
    if available < updated {
        return Standing::Waiting(format!("{available} of {updated} replicas are available"));
    }
    Standing::Done
}

fn hopeless(pod: &Value, elapsed: Duration) -> Option<Standing> {
    let name = text(pod, "/metadata/name");
    let lost = |cause: String| {
        Some(Standing::Lost {
            cause,
            pod: Some(name.to_owned()),
        })
    };
    let placed = condition(pod, "PodScheduled");
    if let Some(unplaced) =
        placed.filter(|c| c["status"] == "False" && c["reason"] == "Unschedulable")
        && elapsed > UNSCHEDULABLE
    {
        return lost(format!(
            "the pod can't be placed: {}",
            text(unplaced, "/message")
        ));
    }
    let statuses = ["/status/initContainerStatuses", "/status/containerStatuses"];
    let containers = statuses
        .iter()
        .filter_map(|list| pod.pointer(list)?.as_array())
        .flatten();
    for status in containers {
        let (container, waiting) = (text(status, "/name"), text(status, "/state/waiting/reason"));
        let message = text(status, "/state/waiting/message");
        let gone = waiting == "ErrImagePull"
            && (message.contains("not found") || message.contains("NotFound"));
        if waiting == "CrashLoopBackOff" || number(status, "/restartCount") >= 2 {
            let code = status
                .pointer("/lastState/terminated/exitCode")
                .or_else(|| status.pointer("/state/terminated/exitCode"));
            let code = code.map_or(String::new(), |code| format!(" with exit code {code}"));
            return lost(format!(
                "container `{container}` ends{code} again and again"
            ));
        }
        if gone || HOPELESS.contains(&waiting) {
            return lost(format!(
                "container `{container}` does not start: {waiting}: {message}"
            ));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn rollout(generation: (i64, i64), counts: (i64, i64, i64), conditions: &Value) -> Value {
        json!({
            "metadata": {"generation": generation.0}, "spec": {"replicas": 2, "progressDeadlineSeconds": 120},
            "status": {"observedGeneration": generation.1, "replicas": counts.0, "updatedReplicas": counts.1, "availableReplicas": counts.2, "conditions": conditions},
        })
    }

    fn pod(waiting: &str, message: &str, restarts: i64) -> Value {
        json!({"metadata": {"name": "p"}, "status": {"containerStatuses": [{
            "name": "app", "restartCount": restarts, "state": {"waiting": {"reason": waiting, "message": message}},
            "lastState": {"terminated": {"exitCode": 3}},
        }]}})
    }

    const SOON: Duration = Duration::from_secs(5);

    #[test]
    fn a_rollout_is_done_only_when_it_is_the_new_one() {
        let table = [
            ((2, 1), (2, 2, 2), "the change is being taken up"),
            ((2, 2), (2, 1, 2), "1 of 2 new replicas"),
            ((2, 2), (3, 2, 2), "1 old replicas are ending"),
            ((2, 2), (2, 2, 1), "1 of 2 replicas are available"),
        ];
        for (generation, counts, words) in table {
            let found = deployment(&rollout(generation, counts, &json!([])), &[], SOON);
            assert_eq!(found, Standing::Waiting(words.into()));
        }
        assert_eq!(
            deployment(&rollout((2, 2), (2, 2, 2), &json!([])), &[], SOON),
            Standing::Done
        );
    }

    #[test]
    fn what_can_not_succeed_is_said_at_once() {
        let going = rollout((2, 2), (3, 1, 2), &json!([]));
        let table = [
            (
                pod("ErrImagePull", "manifest unknown: not found", 0),
                "container `app` does not start: ErrImagePull: manifest unknown: not found",
            ),
            (
                pod("ImagePullBackOff", "Back-off pulling image", 0),
                "container `app` does not start: ImagePullBackOff: Back-off pulling image",
            ),
            (
                pod("CrashLoopBackOff", "back-off 10s", 1),
                "container `app` ends with exit code 3 again and again",
            ),
            (
                pod("CreateContainerConfigError", "secret \"x\" not found", 0),
                "container `app` does not start: CreateContainerConfigError: secret \"x\" not found",
            ),
        ];
        for (pod, words) in table {
            assert_eq!(
                deployment(&going, &[pod], SOON),
                Standing::Lost {
                    cause: words.into(),
                    pod: Some("p".into())
                }
            );
        }
        let passing = pod("ErrImagePull", "connection reset", 0);
        assert!(matches!(
            deployment(&going, &[passing], SOON),
            Standing::Waiting(_)
        ));
    }

    #[test]
    fn a_pod_that_can_not_be_placed_has_some_time() {
        let unplaced = json!({"metadata": {"name": "p"}, "status": {"conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes: Insufficient cpu"}]}});
        let going = rollout((2, 2), (3, 1, 2), &json!([]));
        assert!(matches!(
            deployment(&going, std::slice::from_ref(&unplaced), SOON),
            Standing::Waiting(_)
        ));
        assert!(matches!(
            deployment(&going, &[unplaced], Duration::from_secs(60)),
            Standing::Lost { .. }
        ));
    }

    #[test]
    fn the_controllers_own_verdicts_count() {
        let failure = json!([{"type": "ReplicaFailure", "status": "True", "message": "violates PodSecurity"}]);
        let found = deployment(&rollout((2, 2), (0, 0, 0), &failure), &[], SOON);
        assert_eq!(
            found,
            Standing::Lost {
                cause: "no pod can be made: violates PodSecurity".into(),
                pod: None
            }
        );
        let late = json!([{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}]);
        let found = deployment(&rollout((2, 2), (3, 1, 2), &late), &[], SOON);
        assert_eq!(
            found,
            Standing::Lost {
                cause: "there was no progress for 120 s".into(),
                pod: None
            }
        );
    }
}
