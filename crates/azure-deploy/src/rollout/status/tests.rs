use super::*;
use crate::kubernetes::Object;
use serde_json::{Value, json};

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

fn in_progress() -> Value {
    rollout((2, 2), (3, 1, 2), &json!([]))
}

fn pod(waiting: &str, message: &str, terminated: &Value) -> Value {
    json!({"metadata": {"name": "p"}, "status": {"containerStatuses": [{
        "name": "app", "restartCount": 1, "state": {"waiting": {"reason": waiting, "message": message}},
        "lastState": {"terminated": terminated},
    }]}})
}

// The status of a workload with these `pods`, read as the client reads them.
fn workload(live: &Value, pods: &[Value], elapsed: Duration, adds_nodes: bool) -> Status {
    let pods = pods.iter().map(|pod| serde_json::from_value(pod.clone()));
    let pods: Vec<Pod> = pods.collect::<Result<_, _>>().unwrap();
    let object = Object {
        file: String::new(),
        value: live.clone(),
        default_namespace: None,
    };
    let live = Workload::read(&object, live.clone()).unwrap();
    super::workload(&live, &pods, elapsed, adds_nodes)
}

fn shown(status: Status) -> String {
    match status {
        Status::Done => "done".into(),
        Status::Waiting(message) => format!("waiting: {message}"),
        Status::Failed(cause) => format!("failed: {}", cause.message),
    }
}

#[test]
fn a_rollout_is_done_only_when_it_is_the_new_one() {
    let table = [
        (
            (2, 1),
            (2, 2, 2),
            "waiting: the controller has not observed the change yet",
        ),
        ((2, 2), (2, 1, 2), "waiting: 1 of 2 new replicas"),
        (
            (2, 2),
            (3, 2, 2),
            "waiting: 1 old replica still terminating",
        ),
        ((2, 2), (2, 2, 1), "waiting: 1 of 2 replicas are available"),
        ((2, 2), (2, 2, 2), "done"),
    ];
    for (generation, counts, expected) in table {
        let live = rollout(generation, counts, &json!([]));
        assert_eq!(shown(workload(&live, &[], SOON, true)), expected);
    }
}

#[test]
fn a_permanent_failure_is_reported_at_once_and_a_transient_one_later() {
    let exit = |code: i64, reason: &str| json!({"exitCode": code, "reason": reason});
    let waiting = "waiting: 1 of 2 new replicas";
    // waiting reason, message, last end → after 5 s, after 11 s
    let table = [
        (
            "ErrImagePull",
            "manifest unknown: not found",
            exit(0, ""),
            "failed: container `app` does not start: ErrImagePull: manifest unknown: not found",
            None,
        ),
        (
            "ErrImagePull",
            "connection reset",
            exit(0, ""),
            waiting,
            Some(waiting),
        ),
        (
            "ImagePullBackOff",
            "Back-off",
            exit(0, ""),
            waiting,
            Some("failed: container `app` does not start: ImagePullBackOff: Back-off"),
        ),
        (
            "CreateContainerConfigError",
            "secret \"x\" not found",
            exit(0, ""),
            waiting,
            Some(
                "failed: container `app` does not start: CreateContainerConfigError: secret \"x\" not found",
            ),
        ),
        (
            "CrashLoopBackOff",
            "back-off 10s",
            exit(3, "Error"),
            "failed: container `app` is crash-looping (exit code 3)",
            None,
        ),
        (
            "CrashLoopBackOff",
            "back-off 10s",
            exit(137, "OOMKilled"),
            "failed: container `app` is crash-looping (exit code 137, OOMKilled)",
            None,
        ),
        (
            "CrashLoopBackOff",
            "back-off 10s",
            json!({"exitCode": 128, "reason": "StartError", "message": "exec: \"/absent\": no such file"}),
            "failed: container `app` is crash-looping (exit code 128, StartError): exec: \"/absent\": no such file",
            None,
        ),
        ("ContainerCreating", "", exit(0, ""), waiting, Some(waiting)),
    ];
    for (reason, message, terminated, soon, later) in table {
        let pods = [pod(reason, message, &terminated)];
        assert_eq!(
            shown(workload(&in_progress(), &pods, SOON, true)),
            soon,
            "{reason}"
        );
        let later = later.unwrap_or(soon);
        assert_eq!(
            shown(workload(&in_progress(), &pods, LATER, true)),
            later,
            "{reason}"
        );
    }
}

#[test]
fn the_second_exit_is_a_failure_and_the_first_is_not() {
    let terminated = |exit_code: i64, restarts: i64| {
        json!({"metadata": {"name": "p"}, "status": {"initContainerStatuses": [{
            "name": "before", "restartCount": restarts, "state": {"terminated": {"exitCode": exit_code}},
        }]}})
    };
    let waiting = "waiting: 1 of 2 new replicas";
    let failed = "failed: container `before` is crash-looping (exit code 4)";
    for (exit_code, restarts, expected) in [(4, 0, waiting), (4, 1, failed), (0, 1, waiting)] {
        let status = workload(
            &in_progress(),
            &[terminated(exit_code, restarts)],
            SOON,
            true,
        );
        assert_eq!(shown(status), expected, "{exit_code}, {restarts}");
    }
}

#[test]
fn the_pod_and_the_container_are_named() {
    let pods = [pod("CrashLoopBackOff", "", &json!({"exitCode": 1}))];
    let Status::Failed(cause) = workload(&in_progress(), &pods, SOON, true) else {
        panic!("a container that is crash-looping has failed");
    };
    assert_eq!(
        (cause.pod.as_deref(), cause.container.as_deref()),
        (Some("p"), Some("app"))
    );
}

#[test]
fn past_restarts_and_terminating_pods_do_not_count() {
    let running = json!({"metadata": {"name": "p"}, "status": {"containerStatuses": [{"name": "app", "restartCount": 7, "state": {"running": {}}, "lastState": {"terminated": {"exitCode": 1}}}]}});
    let done = rollout((2, 2), (2, 2, 2), &json!([]));
    assert_eq!(shown(workload(&done, &[running], LATE, true)), "done");
    let mut ending = pod("CrashLoopBackOff", "", &json!({"exitCode": 1}));
    ending["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
    assert_eq!(shown(workload(&done, &[ending], LATE, true)), "done");
}

#[test]
fn a_pod_that_cannot_be_scheduled_has_some_time() {
    let unschedulable = [
        json!({"metadata": {"name": "p"}, "status": {"conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes: Insufficient cpu"}]}}),
    ];
    let waiting =
        "waiting: 1 of 2 new replicas; a pod cannot be scheduled yet: 0/1 nodes: Insufficient cpu";
    assert_eq!(
        shown(workload(&in_progress(), &unschedulable, LATER, true)),
        waiting
    );
    // No node will come.
    assert_eq!(
        shown(workload(&in_progress(), &unschedulable, LATER, false)),
        "failed: the pod cannot be scheduled: 0/1 nodes: Insufficient cpu"
    );
    assert_eq!(
        shown(workload(&in_progress(), &unschedulable, SOON, false)),
        waiting
    );
    assert_eq!(
        shown(workload(&in_progress(), &unschedulable, LATE, true)),
        "failed: the pod cannot be scheduled: 0/1 nodes: Insufficient cpu"
    );
}

#[test]
fn the_verdicts_of_the_controllers_count() {
    let failure =
        json!([{"type": "ReplicaFailure", "status": "True", "message": "violates PodSecurity"}]);
    let live = rollout((2, 2), (0, 0, 0), &failure);
    assert_eq!(
        shown(workload(&live, &[], SOON, true)),
        "waiting: 0 of 2 new replicas"
    );
    assert_eq!(
        shown(workload(&live, &[], LATER, true)),
        "failed: no pod can be created: violates PodSecurity"
    );
    let late =
        json!([{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}]);
    assert_eq!(
        shown(workload(
            &rollout((2, 2), (3, 1, 2), &late),
            &[],
            SOON,
            true
        )),
        "failed: no progress for 120s (`progressDeadlineSeconds`)"
    );
}

#[test]
fn a_stateful_set_is_done_when_all_pods_have_its_revision() {
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
        assert_eq!(shown(workload(&live, &[], SOON, true)), expected, "{live}");
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
        assert_eq!(shown(workload(&live, &[], SOON, true)), expected);
    }
}

#[test]
fn fields_that_are_missing_or_odd_are_no_reason_to_stop() {
    let table = [
        (
            json!({"kind": "Deployment"}),
            "waiting: 0 of 1 new replicas",
        ),
        (
            json!({"kind": "StatefulSet"}),
            "waiting: 0 of 1 replicas are available",
        ),
        (json!({"kind": "DaemonSet"}), "done"),
        (
            json!({
                "kind": "Deployment", "spec": {"replicas": i32::MIN},
                "status": {"replicas": i32::MAX, "updatedReplicas": -1, "conditions": null},
            }),
            "waiting: 2147483647 old replicas still terminating",
        ),
        (
            json!({
                "kind": "StatefulSet", "status": {"updateRevision": "new"},
                "spec": {"updateStrategy": {"rollingUpdate": {"partition": i32::MIN}}},
            }),
            "waiting: 0 of 2147483647 new replicas",
        ),
    ];
    for (live, expected) in table {
        assert_eq!(shown(workload(&live, &[], LATE, true)), expected, "{live}");
    }
}
