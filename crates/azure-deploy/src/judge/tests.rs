use super::*;
use serde_json::json;

const SOON: Duration = Duration::from_secs(5);
const LATER: Duration = Duration::from_secs(11);
const LATE: Duration = Duration::from_secs(61);

fn rollout(generation: (i64, i64), counts: (i64, i64, i64), conditions: &Value) -> Value {
    json!({
        "kind": "Deployment", "metadata": {"generation": generation.0},
        "spec": {"replicas": 2, "progressDeadlineSeconds": 120},
        "status": {"observedGeneration": generation.1, "replicas": counts.0, "updatedReplicas": counts.1, "availableReplicas": counts.2, "conditions": conditions},
    })
}

fn going() -> Value {
    rollout((2, 2), (3, 1, 2), &json!([]))
}

fn pod(waiting: &str, message: &str, ended: &Value) -> Value {
    json!({"metadata": {"name": "p"}, "status": {"containerStatuses": [{
        "name": "app", "restartCount": 1, "state": {"waiting": {"reason": waiting, "message": message}},
        "lastState": {"terminated": ended},
    }]}})
}

fn words(standing: Standing) -> String {
    match standing {
        Standing::Done => "done".into(),
        Standing::Waiting(words) => format!("waiting: {words}"),
        Standing::Lost(cause) => format!("lost: {}", cause.words),
    }
}

#[test]
fn a_rollout_is_done_only_when_it_is_the_new_one() {
    let table = [
        ((2, 1), (2, 2, 2), "waiting: the change is being taken up"),
        ((2, 2), (2, 1, 2), "waiting: 1 of 2 new replicas"),
        ((2, 2), (3, 2, 2), "waiting: 1 old replica still to end"),
        ((2, 2), (2, 2, 1), "waiting: 1 of 2 replicas are available"),
        ((2, 2), (2, 2, 2), "done"),
    ];
    for (generation, counts, expected) in table {
        let live = rollout(generation, counts, &json!([]));
        assert_eq!(words(workload(&live, &[], SOON, true)), expected);
    }
}

#[test]
fn what_can_not_succeed_is_said_at_once_and_what_may_pass_a_little_later() {
    let end = |code: i64, reason: &str| json!({"exitCode": code, "reason": reason});
    let waiting = "waiting: 1 of 2 new replicas";
    // waiting reason, message, last end → after 5 s, after 11 s
    let table = [
        (
            "ErrImagePull",
            "manifest unknown: not found",
            end(0, ""),
            "lost: container `app` does not start: ErrImagePull: manifest unknown: not found",
            None,
        ),
        (
            "ErrImagePull",
            "connection reset",
            end(0, ""),
            waiting,
            Some(waiting),
        ),
        (
            "ImagePullBackOff",
            "Back-off",
            end(0, ""),
            waiting,
            Some("lost: container `app` does not start: ImagePullBackOff: Back-off"),
        ),
        (
            "CreateContainerConfigError",
            "secret \"x\" not found",
            end(0, ""),
            waiting,
            Some(
                "lost: container `app` does not start: CreateContainerConfigError: secret \"x\" not found",
            ),
        ),
        (
            "CrashLoopBackOff",
            "back-off 10s",
            end(3, "Error"),
            "lost: container `app` ends with exit code 3 again and again",
            None,
        ),
        (
            "CrashLoopBackOff",
            "back-off 10s",
            end(137, "OOMKilled"),
            "lost: container `app` ends with exit code 137 (OOMKilled) again and again",
            None,
        ),
        (
            "CrashLoopBackOff",
            "back-off 10s",
            json!({"exitCode": 128, "reason": "StartError", "message": "exec: \"/absent\": no such file"}),
            "lost: container `app` ends with exit code 128 (StartError): exec: \"/absent\": no such file, again and again",
            None,
        ),
        ("ContainerCreating", "", end(0, ""), waiting, Some(waiting)),
    ];
    for (reason, message, ended, soon, later) in table {
        let pods = [pod(reason, message, &ended)];
        assert_eq!(
            words(workload(&going(), &pods, SOON, true)),
            soon,
            "{reason}"
        );
        let later = later.unwrap_or(soon);
        assert_eq!(
            words(workload(&going(), &pods, LATER, true)),
            later,
            "{reason}"
        );
    }
}

#[test]
fn the_second_end_is_enough_and_the_first_is_not() {
    let ended = |exit_code: i64, restarts: i64| {
        json!({"metadata": {"name": "p"}, "status": {"initContainerStatuses": [{
            "name": "before", "restartCount": restarts, "state": {"terminated": {"exitCode": exit_code}},
        }]}})
    };
    let waiting = "waiting: 1 of 2 new replicas";
    let lost = "lost: container `before` ends with exit code 4 again and again";
    for (exit_code, restarts, expected) in [(4, 0, waiting), (4, 1, lost), (0, 1, waiting)] {
        let standing = workload(&going(), &[ended(exit_code, restarts)], SOON, true);
        assert_eq!(words(standing), expected, "{exit_code}, {restarts}");
    }
}

#[test]
fn the_culprit_is_named() {
    let pods = [pod("CrashLoopBackOff", "", &json!({"exitCode": 1}))];
    let Standing::Lost(cause) = workload(&going(), &pods, SOON, true) else {
        panic!("a container that ends again and again is lost");
    };
    assert_eq!(
        (cause.pod.as_deref(), cause.container.as_deref()),
        (Some("p"), Some("app"))
    );
}

#[test]
fn restarts_of_the_past_and_pods_that_go_do_not_count() {
    let running = json!({"metadata": {"name": "p"}, "status": {"containerStatuses": [{"name": "app", "restartCount": 7, "state": {"running": {}}, "lastState": {"terminated": {"exitCode": 1}}}]}});
    let done = rollout((2, 2), (2, 2, 2), &json!([]));
    assert_eq!(words(workload(&done, &[running], LATE, true)), "done");
    let mut ending = pod("CrashLoopBackOff", "", &json!({"exitCode": 1}));
    ending["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
    assert_eq!(words(workload(&done, &[ending], LATE, true)), "done");
}

#[test]
fn a_pod_that_can_not_be_placed_has_some_time() {
    let unplaced = [
        json!({"metadata": {"name": "p"}, "status": {"conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes: Insufficient cpu"}]}}),
    ];
    let waiting =
        "waiting: 1 of 2 new replicas; a pod can't be placed yet: 0/1 nodes: Insufficient cpu";
    assert_eq!(words(workload(&going(), &unplaced, LATER, true)), waiting);
    // No node will come.
    assert_eq!(
        words(workload(&going(), &unplaced, LATER, false)),
        "lost: the pod can't be placed: 0/1 nodes: Insufficient cpu"
    );
    assert_eq!(words(workload(&going(), &unplaced, SOON, false)), waiting);
    assert_eq!(
        words(workload(&going(), &unplaced, LATE, true)),
        "lost: the pod can't be placed: 0/1 nodes: Insufficient cpu"
    );
}

#[test]
fn the_controllers_own_verdicts_count() {
    let failure =
        json!([{"type": "ReplicaFailure", "status": "True", "message": "violates PodSecurity"}]);
    let live = rollout((2, 2), (0, 0, 0), &failure);
    assert_eq!(
        words(workload(&live, &[], SOON, true)),
        "waiting: 0 of 2 new replicas"
    );
    assert_eq!(
        words(workload(&live, &[], LATER, true)),
        "lost: no pod can be made: violates PodSecurity"
    );
    let late =
        json!([{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}]);
    assert_eq!(
        words(workload(
            &rollout((2, 2), (3, 1, 2), &late),
            &[],
            SOON,
            true
        )),
        "lost: there was no progress for 120 s"
    );
}

#[test]
fn a_stateful_set_is_done_when_its_revision_is_everywhere() {
    let set = |updated: i64, ready: i64, revision: &str, strategy: &Value| {
        json!({
            "kind": "StatefulSet", "metadata": {"generation": 2}, "spec": {"replicas": 3, "updateStrategy": strategy},
            "status": {"observedGeneration": 2, "updatedReplicas": updated, "readyReplicas": ready, "updateRevision": "new", "currentRevision": revision},
        })
    };
    let rolling = json!({"type": "RollingUpdate"});
    let partition = json!({"type": "RollingUpdate", "rollingUpdate": {"partition": 2}});
    let table = [
        (set(1, 2, "old", &rolling), "waiting: 1 of 3 new replicas"),
        (
            set(3, 2, "old", &rolling),
            "waiting: 2 of 3 replicas are available",
        ),
        (set(0, 3, "new", &rolling), "done"),
        (set(1, 3, "old", &partition), "done"),
        (set(0, 3, "old", &json!({"type": "OnDelete"})), "done"),
    ];
    for (live, expected) in table {
        assert_eq!(words(workload(&live, &[], SOON, true)), expected, "{live}");
    }
}

#[test]
fn a_daemon_set_is_done_when_every_node_has_it() {
    let set = |updated: i64, available: i64| {
        json!({
            "kind": "DaemonSet", "metadata": {"generation": 2}, "spec": {},
            "status": {"observedGeneration": 2, "desiredNumberScheduled": 2, "updatedNumberScheduled": updated, "numberAvailable": available},
        })
    };
    let table = [
        (set(1, 2), "waiting: 1 of 2 new replicas"),
        (set(2, 1), "waiting: 1 of 2 replicas are available"),
        (set(2, 2), "done"),
    ];
    for (live, expected) in table {
        assert_eq!(words(workload(&live, &[], SOON, true)), expected);
    }
}
