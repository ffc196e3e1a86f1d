use super::*;
use crate::kubernetes::Object;
use serde_json::{Value, json};

use NewNodes::{Excluded, Expected, Possible};

const SOON: Duration = Duration::from_secs(5);
const LATER: Duration = Duration::from_secs(13);
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
        "name": "app", "restartCount": 2, "state": {"waiting": {"reason": waiting, "message": message}},
        "lastState": {"terminated": terminated},
    }]}})
}

// The status of a workload with these `pods`, when that has been so for `elapsed`.
fn workload(live: &Value, pods: &[Value], elapsed: Duration, nodes: NewNodes) -> Status {
    let mut judge = Judge::new(2);
    let first = Duration::from_secs(2);
    judged(&mut judge, live, pods, around(first, nodes));
    judged(&mut judge, live, pods, around(first + elapsed, nodes))
}

static NO_OBSTACLES: Obstacles = Obstacles {
    creation: None,
    mount: None,
    claims: BTreeMap::new(),
};

fn around(elapsed: Duration, nodes: NewNodes) -> Surroundings<'static> {
    Surroundings {
        elapsed,
        nodes,
        has_terminating_pods: false,
        room: ComingRoom::default(),
        obstacles: &NO_OBSTACLES,
    }
}

// The verdict on what the client reads.
fn judged(judge: &mut Judge, live: &Value, pods: &[Value], around: Surroundings<'_>) -> Status {
    let object = Object::of_test(live.clone(), None);
    let live = Workload::read(&object, live.clone()).unwrap();
    judge.workload(&live, &read(pods), around)
}

fn read(pods: &[Value]) -> Vec<Pod> {
    let pods = pods.iter().map(|pod| serde_json::from_value(pod.clone()));
    pods.collect::<Result<_, _>>().unwrap()
}

// Which of the workloads have failed at `at` seconds, each with the pods that it has then; one without a pod is done.
fn failed_of(judge: &mut Judge, workloads: &[(&str, Option<Value>)], at: u64) -> String {
    let elapsed = Duration::from_secs(at);
    let around = around(elapsed, Possible);
    let states = workloads.iter().map(|(name, pod)| {
        let status = match pod {
            Some(pod) => judged(judge, &in_progress(), std::slice::from_ref(pod), around),
            None => Status::Done,
        };
        ((*name).to_owned(), read(pod.as_slice()), status)
    });
    let mut states: Vec<_> = states.collect();
    let verdicts = states.iter_mut();
    let verdicts = verdicts.map(|(name, pods, status)| (name.clone(), pods.as_slice(), status));
    judge.weigh(verdicts.collect(), elapsed);
    let failed = states.into_iter();
    let failed = failed.filter(|(_, _, status)| matches!(status, Status::Failed(_)));
    let failed: Vec<_> = failed.map(|(name, ..)| name).collect();
    failed.join(" ")
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
        assert_eq!(shown(workload(&live, &[], SOON, Possible)), expected);
    }
}

#[test]
fn a_permanent_failure_is_reported_at_once_and_a_transient_one_later() {
    let exit = |code: i64, reason: &str| json!({"exitCode": code, "reason": reason});
    let waiting = "waiting: 1 of 2 new replicas";
    // waiting reason, message, last end → after 5 s, after 13 s
    let table = [
        (
            "ErrImagePull",
            "manifest unknown: not found",
            exit(0, ""),
            waiting,
            Some(
                "failed: container `app` does not start: ErrImagePull: manifest unknown: not found",
            ),
        ),
        (
            "InvalidImageName",
            "couldn't parse",
            exit(0, ""),
            "failed: container `app` does not start: InvalidImageName: couldn't parse",
            None,
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
            shown(workload(&in_progress(), &pods, SOON, Possible)),
            soon,
            "{reason}"
        );
        let later = later.unwrap_or(soon);
        assert_eq!(
            shown(workload(&in_progress(), &pods, LATER, Possible)),
            later,
            "{reason}"
        );
    }
}

fn exited(name: &str, exit_code: i64, reason: &str, restarts: i64) -> Value {
    json!({"metadata": {"name": name}, "status": {"initContainerStatuses": [{
        "name": "before", "restartCount": restarts, "state": {"terminated": {"exitCode": exit_code, "reason": reason}},
    }]}})
}

#[test]
fn restarts_are_tolerated_up_to_their_limit() {
    let waiting = "waiting: 1 of 2 new replicas";
    let restarted =
        "waiting: 1 of 2 new replicas; container `before` exited (exit code 4) and is restarted";
    let failed = "failed: container `before` is crash-looping (exit code 4)";
    for (exit_code, reason, restarts, expected) in [
        (4, "Error", 0, restarted),
        (4, "Error", 1, restarted),
        (4, "Error", 2, failed),
        (0, "Completed", 2, waiting),
        (
            137,
            "OOMKilled",
            1,
            "failed: container `before` is crash-looping (exit code 137, OOMKilled)",
        ),
    ] {
        let pods = [exited("p", exit_code, reason, restarts)];
        let status = workload(&in_progress(), &pods, SOON, Possible);
        assert_eq!(shown(status), expected, "{exit_code}, {restarts}");
    }
}

#[test]
fn without_tolerated_restarts_the_first_exit_is_a_failure() {
    let pods = [exited("p", 4, "Error", 0)];
    for (max_restarts, is_failed) in [(0, true), (1, false)] {
        let mut judge = Judge::new(max_restarts);
        let status = judged(&mut judge, &in_progress(), &pods, around(SOON, Possible));
        let failed = matches!(status, Status::Failed(_));
        assert_eq!(failed, is_failed, "{max_restarts}");
    }
}

#[test]
fn restarts_of_the_past_do_not_count_nor_do_those_while_another_workload_is_waited_for() {
    let mut judge = Judge::new(2);
    // The pod had six restarts before this deployment.
    for (restarts, at, others_wait, is_failed) in [
        (6, 0, false, false),
        (7, 5, false, false),
        (8, 9, true, false),
        (9, 20, true, false),
        (10, 29, false, false),
        (10, 35, false, false),
        (11, 90, false, true),
    ] {
        let pods = [exited("p", 4, "Error", restarts)];
        let around = around(Duration::from_secs(at), Possible);
        let verdict = judged(&mut judge, &in_progress(), &pods, around);
        let mut verdicts = [verdict, Status::Done];
        if others_wait {
            verdicts[1] = Status::Waiting(String::new());
        }
        let pods = read(&pods);
        let names = ["Deployment/app", "Deployment/db"].map(ToOwned::to_owned);
        let pods_of_each = [pods.as_slice(), &[][..]];
        let verdicts_by_name = names.into_iter().zip(pods_of_each).zip(&mut verdicts);
        let verdicts_by_name = verdicts_by_name.map(|((name, pods), status)| (name, pods, status));
        judge.weigh(verdicts_by_name.collect(), Duration::from_secs(at));
        let failed = matches!(verdicts[0], Status::Failed(_));
        assert_eq!(failed, is_failed, "{restarts}, {at}s");
    }
}

// A container that runs after so many restarts, and is not ready.
fn running(name: &str, restarts: i64) -> Value {
    json!({"metadata": {"name": name}, "status": {"initContainerStatuses": [{
        "name": "before", "restartCount": restarts, "state": {"running": {}},
    }]}})
}

#[test]
fn two_workloads_that_crash_in_a_loop_do_not_excuse_each_other() {
    let mut judge = Judge::new(2);
    let exited = |name: &str, restarts: i64| Some(exited(name, 4, "Error", restarts));
    // Each reaches its limit while the other one runs, is restarted, or crashes.
    for (at, web, worker, expected) in [
        (1, Some(running("web", 0)), Some(running("worker", 0)), ""),
        (2, exited("web", 0), exited("worker", 0), ""),
        (3, Some(running("web", 1)), Some(running("worker", 1)), ""),
        (4, exited("web", 1), Some(running("worker", 1)), ""),
        (14, exited("web", 2), Some(running("worker", 2)), "web"),
        (15, exited("web", 2), exited("worker", 2), "web worker"),
        (16, Some(running("web", 3)), exited("worker", 2), "worker"),
    ] {
        let failed = failed_of(&mut judge, &[("web", web), ("worker", worker)], at);
        assert_eq!(failed, expected, "{at}s");
    }
}

#[test]
fn without_a_readiness_probe_a_container_is_watched_for_some_seconds() {
    let live = json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "app", "generation": 1},
        "spec": {"replicas": 1, "selector": {}, "template": {}},
        "status": {"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "availableReplicas": 1},
    });
    let run = |probe: &str, restarts: i64| {
        json!({
            "metadata": {"name": "p"},
            "spec": {"containers": [{"name": "app", probe: {}}]},
            "status": {"containerStatuses": [{"name": "app", "restartCount": restarts, "state": {"running": {}}}]},
        })
    };
    let waits = "waiting: container `app` has no readiness probe; it must run for 5s";
    for (probe, looks) in [
        ("readinessProbe", &[(2, 0, "done")][..]),
        ("startupProbe", &[(2, 0, "done")]),
        // Nothing changed: it ran before.
        ("livenessProbe", &[(0, 0, "done"), (3, 0, "done")]),
        (
            "livenessProbe",
            &[(2, 0, waits), (6, 0, waits), (7, 0, "done")],
        ),
        // It was started again.
        (
            "livenessProbe",
            &[(2, 0, waits), (4, 1, waits), (8, 1, waits), (9, 1, "done")],
        ),
    ] {
        let mut judge = Judge::new(2);
        for (at, restarts, expected) in looks {
            let pods = [run(probe, *restarts)];
            let elapsed = Duration::from_secs(*at);
            let mut verdict = judged(&mut judge, &live, &pods, around(elapsed, Possible));
            let pods = read(&pods);
            judge.weigh(
                vec![("Deployment/app".into(), &pods, &mut verdict)],
                elapsed,
            );
            assert_eq!(shown(verdict), *expected, "{probe} {at}s");
        }
    }
}

#[test]
fn a_chain_has_some_time_after_what_it_waits_for_is_up() {
    let mut judge = Judge::new(1);
    let exited = |name: &str, restarts: i64| Some(exited(name, 4, "Error", restarts));
    for (at, app, api, db, expected) in [
        (
            2,
            Some(running("app", 0)),
            Some(running("api", 0)),
            Some(running("db", 0)),
            "",
        ),
        (
            20,
            exited("app", 2),
            exited("api", 2),
            Some(running("db", 0)),
            "",
        ),
        (
            40,
            exited("app", 3),
            exited("api", 3),
            Some(running("db", 0)),
            "",
        ),
        (42, exited("app", 3), exited("api", 3), None, ""),
        (55, exited("app", 3), Some(running("api", 4)), None, ""),
        // One more restart is tolerated, and again once the next one is up.
        (60, exited("app", 3), None, None, ""),
        (65, exited("app", 4), None, None, ""),
        (85, exited("app", 4), None, None, ""),
        (95, exited("app", 5), None, None, "app"),
    ] {
        let failed = failed_of(&mut judge, &[("app", app), ("api", api), ("db", db)], at);
        assert_eq!(failed, expected, "{at}s");
    }
}

#[test]
fn what_exited_once_and_runs_since_is_waited_for_again() {
    let mut judge = Judge::new(1);
    let exited = |name: &str, restarts: i64| Some(exited(name, 4, "Error", restarts));
    let running = |name: &str, restarts: i64| Some(running(name, restarts));
    for (at, app, login, db, expected) in [
        (
            1,
            running("app", 0),
            running("login", 0),
            running("db", 0),
            "",
        ),
        (
            5,
            exited("app", 0),
            exited("login", 0),
            running("db", 0),
            "",
        ),
        (
            8,
            exited("app", 1),
            running("login", 1),
            running("db", 0),
            "",
        ),
        (18, exited("app", 2), running("login", 1), None, ""),
        (40, exited("app", 3), running("login", 1), None, ""),
        (60, exited("app", 3), None, None, ""),
        (75, exited("app", 4), None, None, "app"),
    ] {
        let workloads = [("app", app), ("login", login), ("db", db)];
        let failed = failed_of(&mut judge, &workloads, at);
        assert_eq!(failed, expected, "{at}s");
    }
}

#[test]
fn what_a_controller_makes_later_is_waited_for() {
    let message = r#"secret "shop-tls" not found"#;
    let creating = pod(
        "CreateContainerConfigError",
        message,
        &json!({"exitCode": 0}),
    );
    let failed = |expected: &[&str]| {
        let names = expected.iter().map(ToString::to_string);
        let mut judge = Judge::new(2).expecting(names.collect());
        let statuses = [1, 12].map(|at| {
            let around = around(Duration::from_secs(at), Possible);
            judged(
                &mut judge,
                &in_progress(),
                std::slice::from_ref(&creating),
                around,
            )
        });
        matches!(statuses, [_, Status::Failed(_)])
    };
    assert!(failed(&["other"]));
    assert!(!failed(&["shop-tls"]));
}

#[test]
fn what_terminating_pods_use_is_waited_for() {
    let failure =
        json!([{"type": "ReplicaFailure", "status": "True", "message": "exceeded quota"}]);
    let live = rollout((2, 2), (1, 0, 0), &failure);
    let mut judge = Judge::new(2);
    for (at, has_terminating_pods, is_failed) in [
        (1, false, false),
        (2, true, false),
        (40, true, false),
        (41, false, false),
        (70, false, false),
        (72, false, true),
    ] {
        let around = Surroundings {
            has_terminating_pods,
            ..around(Duration::from_secs(at), Possible)
        };
        let status = judged(&mut judge, &live, &[], around);
        assert_eq!(matches!(status, Status::Failed(_)), is_failed, "{at}s");
    }
}

#[test]
fn a_paused_deployment_and_a_readiness_gate_are_named() {
    let mut live = in_progress();
    live["spec"]["paused"] = true.into();
    live["status"]["updatedReplicas"] = 0.into();
    assert_eq!(
        shown(workload(&live, &[], SOON, Possible)),
        "failed: it is paused (`spec.paused`), so no pod is replaced; resume it (`kubectl rollout resume`)"
    );
    let gated = json!({
        "metadata": {"name": "p"}, "spec": {"containers": [], "readinessGates": [{"conditionType": "example.com/ready"}]},
        "status": {"conditions": [{"type": "ContainersReady", "status": "True"}, {"type": "Ready", "status": "False"}]},
    });
    assert_eq!(
        shown(workload(&in_progress(), &[gated], LATE, Possible)),
        "waiting: 1 of 2 new replicas; a pod waits for its readiness gate `example.com/ready`"
    );
}

#[test]
fn the_pod_and_the_container_are_named() {
    let pods = [pod("CrashLoopBackOff", "", &json!({"exitCode": 1}))];
    let Status::Failed(cause) = workload(&in_progress(), &pods, SOON, Possible) else {
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
    assert_eq!(shown(workload(&done, &[running], LATE, Possible)), "done");
    let mut ending = pod("CrashLoopBackOff", "", &json!({"exitCode": 1}));
    ending["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
    assert_eq!(shown(workload(&done, &[ending], LATE, Possible)), "done");
}

#[test]
fn a_pod_that_cannot_be_scheduled_has_some_time() {
    let unschedulable = [
        json!({"metadata": {"name": "p"}, "status": {"conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes: Insufficient cpu"}]}}),
    ];
    let waiting =
        "waiting: 1 of 2 new replicas; a pod cannot be scheduled yet: 0/1 nodes: Insufficient cpu";
    assert_eq!(
        shown(workload(&in_progress(), &unschedulable, LATER, Possible)),
        waiting
    );
    // No node will come.
    assert_eq!(
        shown(workload(&in_progress(), &unschedulable, LATER, Excluded)),
        "failed: the pod cannot be scheduled: 0/1 nodes: Insufficient cpu"
    );
    assert_eq!(
        shown(workload(&in_progress(), &unschedulable, SOON, Excluded)),
        waiting
    );
    // One will: it takes minutes.
    assert_eq!(
        shown(workload(&in_progress(), &unschedulable, 9 * LATE, Expected)),
        waiting
    );
    assert_eq!(
        shown(workload(&in_progress(), &unschedulable, LATE, Possible)),
        "failed: the pod cannot be scheduled: 0/1 nodes: Insufficient cpu"
    );
}

#[test]
fn the_verdicts_of_the_controllers_count() {
    let failure =
        json!([{"type": "ReplicaFailure", "status": "True", "message": "violates PodSecurity"}]);
    let live = rollout((2, 2), (0, 0, 0), &failure);
    assert_eq!(
        shown(workload(&live, &[], SOON, Possible)),
        "waiting: 0 of 2 new replicas; no pod can be created yet: violates PodSecurity"
    );
    assert_eq!(
        shown(workload(&live, &[], LATER, Possible)),
        "failed: no pod can be created: violates PodSecurity"
    );
    let late =
        json!([{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}]);
    assert_eq!(
        shown(workload(
            &rollout((2, 2), (3, 1, 2), &late),
            &[],
            SOON,
            Possible
        )),
        "failed: no progress for 120s (`progressDeadlineSeconds`)"
    );
}

#[test]
fn pods_that_no_controller_creates_are_judged_by_its_events() {
    let obstacles = Obstacles {
        creation: Some("exceeded quota".into()),
        ..Obstacles::default()
    };
    for (live, waiting) in [
        (
            json!({"kind": "StatefulSet"}),
            "0 of 1 replicas are available",
        ),
        (
            json!({"kind": "DaemonSet", "status": {"desiredNumberScheduled": 1}}),
            "0 of 1 new replicas",
        ),
        (json!({"kind": "Job"}), "0 of 1 completions"),
    ] {
        let mut judge = Judge::new(2);
        for (at, expected) in [
            (
                1,
                format!("waiting: {waiting}; no pod can be created yet: exceeded quota"),
            ),
            (12, "failed: no pod can be created: exceeded quota".into()),
        ] {
            let around = Surroundings {
                obstacles: &obstacles,
                ..around(Duration::from_secs(at), Possible)
            };
            assert_eq!(shown(judged(&mut judge, &live, &[], around)), expected);
        }
        let around = around(Duration::from_secs(13), Possible);
        let status = judged(&mut judge, &live, &[], around);
        assert_eq!(shown(status), format!("waiting: {waiting}"));
    }
}

#[test]
fn a_volume_of_an_absent_secret_has_some_time() {
    let obstacles = Obstacles {
        mount: Some(("p".into(), "secret \"absent\" not found".into())),
        ..Obstacles::default()
    };
    let creating = pod("ContainerCreating", "", &json!({"exitCode": 0}));
    let mut other = creating.clone();
    other["metadata"]["name"] = "q".into();
    let mut judge = Judge::new(2);
    let waiting = "waiting: 1 of 2 new replicas";
    for (at, pod, expected) in [
        (1, &creating, waiting),
        (11, &creating, waiting),
        (
            12,
            &creating,
            "failed: a volume cannot be mounted: secret \"absent\" not found",
        ),
        (13, &other, waiting),
    ] {
        let around = Surroundings {
            obstacles: &obstacles,
            ..around(Duration::from_secs(at), Possible)
        };
        let pods = std::slice::from_ref(pod);
        let status = judged(&mut judge, &in_progress(), pods, around);
        assert_eq!(shown(status), expected, "{at}s");
    }
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
        assert_eq!(
            shown(workload(&live, &[], SOON, Possible)),
            expected,
            "{live}"
        );
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
        assert_eq!(shown(workload(&live, &[], SOON, Possible)), expected);
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
        assert_eq!(
            shown(workload(&live, &[], LATE, Possible)),
            expected,
            "{live}"
        );
    }
}

#[test]
fn a_job_is_done_when_it_has_succeeded_and_tries_as_often_as_it_says() {
    let live = |conditions: &Value| json!({"kind": "Job", "spec": {"completions": 2}, "status": {"succeeded": 1, "conditions": conditions}});
    let is = |kind: &str| json!([{"type": kind, "status": "True", "reason": "DeadlineExceeded", "message": "too long"}]);
    let table = [
        (live(&is("Complete")), "done"),
        (
            live(&is("Failed")),
            "failed: the Job failed: DeadlineExceeded: too long",
        ),
        (
            live(&json!([])),
            "waiting: 1 of 2 completions; container `before` exited (exit code 4) and is restarted",
        ),
        (json!({"kind": "Job", "spec": {"suspend": true}}), "done"),
    ];
    for (live, expected) in table {
        let pods = [exited("p", 4, "Error", 7)];
        assert_eq!(shown(workload(&live, &pods, LATE, Possible)), expected);
    }
}

#[test]
fn restarts_are_counted_anew_after_a_long_run() {
    let exited = |restarts: i32, minutes: i64| {
        json!({"metadata": {"name": "p"}, "status": {"containerStatuses": [{
            "name": "app", "restartCount": restarts, "state": {"waiting": {"reason": "CrashLoopBackOff"}},
            "lastState": {"terminated": {"exitCode": 1, "startedAt": "2026-11-30T08:00:00Z", "finishedAt": format!("2026-11-30T08:{minutes:02}:00Z")}},
        }]}})
    };
    let live = in_progress();
    let mut judge = Judge::new(1);
    // Each is a restart, and how many minutes the container ran before it.
    for (restarts, minutes, is_tolerated) in
        [(0, 1, true), (1, 10, true), (2, 12, true), (3, 9, false)]
    {
        let pods = [exited(restarts, minutes)];
        let status = judged(&mut judge, &live, &pods, around(SOON, Excluded));
        let is_failed = matches!(status, Status::Failed(_));
        assert_eq!(!is_failed, is_tolerated, "{restarts}: {}", shown(status));
    }
}

fn pending(message: &str) -> Value {
    json!({
        "metadata": {"name": "p", "uid": "p"},
        "spec": {"containers": [], "volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "data"}}]},
        "status": {"conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}]},
    })
}

// Whether the rollout has failed at each of these seconds, with what is around it then.
fn fails_at<const N: usize>(
    live: &Value,
    pods: &[Value],
    looks: [(u64, ComingRoom, &Obstacles); N],
) -> [bool; N] {
    let mut judge = Judge::new(1);
    looks.map(|(at, room, obstacles)| {
        let around = Surroundings {
            room,
            obstacles,
            ..around(Duration::from_secs(at), Excluded)
        };
        let status = judged(&mut judge, live, pods, around);
        matches!(status, Status::Failed(_))
    })
}

const FULL: ComingRoom = ComingRoom {
    on_nodes: false,
    in_quota: false,
};

#[test]
fn a_full_node_is_waited_for_while_other_pods_leave_it_and_a_while_after() {
    let leaving = ComingRoom {
        on_nodes: true,
        ..FULL
    };
    let pods = [pending("0/1 nodes are available: 1 Insufficient cpu.")];
    let none = &NO_OBSTACLES;
    let fails = fails_at(
        &in_progress(),
        &pods,
        [
            (2, leaving, none),
            (200, leaving, none),
            (201, FULL, none),
            (230, FULL, none),
            (232, FULL, none),
        ],
    );
    assert_eq!(fails, [false, false, false, false, true]);
    let fails = fails_at(&in_progress(), &pods, [(2, FULL, none), (13, FULL, none)]);
    assert_eq!(fails, [false, true]);
}

#[test]
fn a_full_quota_is_waited_for_while_there_will_be_room_in_it() {
    let coming = ComingRoom {
        in_quota: true,
        ..FULL
    };
    let failure =
        json!([{"type": "ReplicaFailure", "status": "True", "message": "exceeded quota"}]);
    let live = rollout((2, 2), (1, 0, 0), &failure);
    let none = &NO_OBSTACLES;
    let looks = [
        (2, coming, none),
        (100, coming, none),
        (101, FULL, none),
        (130, FULL, none),
        (132, FULL, none),
    ];
    let fails = fails_at(&live, &[], looks);
    assert_eq!(fails, [false, false, false, false, true]);
}

#[test]
fn a_volume_that_is_being_made_is_waited_for_and_one_that_cannot_be_is_not() {
    let unbound = "0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims. preemption: not helpful";
    let with = |grace: Option<u64>| {
        let message = "ProvisioningFailed: storageclass.storage.k8s.io \"absent\" not found";
        let claim = super::super::claims::Claim {
            message: message.into(),
            grace: grace.map(Duration::from_secs),
        };
        Obstacles {
            claims: [("data".to_owned(), claim)].into(),
            ..Obstacles::default()
        }
    };
    let (made, absent) = (with(None), with(Some(10)));
    for message in [unbound, "0/1 nodes are available: 1 Insufficient cpu."] {
        let looks = [(2, FULL, &absent), (13, FULL, &absent)];
        let fails = fails_at(&in_progress(), &[pending(message)], looks);
        assert_eq!(fails, [false, true], "{message}");
    }
    let looks = [(2, FULL, &made), (500, FULL, &made)];
    let fails = fails_at(&in_progress(), &[pending(unbound)], looks);
    assert_eq!(fails, [false, false]);
    // Nothing is known of the claim.
    let looks = [(2, FULL, &NO_OBSTACLES), (500, FULL, &NO_OBSTACLES)];
    let fails = fails_at(&in_progress(), &[pending(unbound)], looks);
    assert_eq!(fails, [false, false]);

    let mut judge = Judge::new(1);
    let mut status = Status::Done;
    for at in [2, 13] {
        let around = Surroundings {
            obstacles: &absent,
            ..around(Duration::from_secs(at), Excluded)
        };
        status = judged(&mut judge, &in_progress(), &[pending(unbound)], around);
    }
    assert_eq!(
        shown(status),
        "failed: the claim `data` gets no volume: ProvisioningFailed: storageclass.storage.k8s.io \"absent\" not found"
    );
}

#[test]
fn a_claim_that_has_its_volume_by_now_is_no_reason() {
    let claim = super::super::claims::Claim {
        message: "FailedBinding: no persistent volumes available".into(),
        grace: Some(Duration::from_secs(20)),
    };
    let obstacles = Obstacles {
        claims: [("data".to_owned(), claim)].into(),
        ..Obstacles::default()
    };
    let last = |message: &str| {
        let mut judge = Judge::new(1);
        let mut status = Status::Done;
        for at in [2, 25] {
            let around = Surroundings {
                obstacles: &obstacles,
                ..around(Duration::from_secs(at), NewNodes::Expected)
            };
            status = judged(&mut judge, &in_progress(), &[pending(message)], around);
        }
        shown(status)
    };
    // An event that stays for an hour, while the pod waits for a node.
    assert!(!last("0/1 nodes are available: 1 Insufficient cpu.").starts_with("failed"));
    let unbound = "0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims.";
    assert!(last(unbound).starts_with("failed: the claim `data` gets no volume"));
}

// A pod that was ended from outside.
fn lost(name: &str, reason: &str) -> Value {
    json!({
        "metadata": {"name": name, "uid": name}, "spec": {"containers": [], "restartPolicy": "Always"},
        "status": {
            "phase": "Failed", "reason": reason, "message": "The node was low on resource: memory.",
            "containerStatuses": [{"name": "app", "restartCount": 0, "state": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}}],
        },
    })
}

#[test]
fn pods_that_are_lost_are_replaced_as_often_as_containers_may_restart() {
    let live = in_progress();
    // Two replicas.
    for (max_restarts, count, is_failed) in [
        (0, 2, false),
        (0, 3, true),
        (1, 3, true),
        (2, 4, false),
        (2, 5, true),
    ] {
        let mut judge = Judge::new(max_restarts);
        let first = judged(&mut judge, &live, &[], around(SOON, Excluded));
        assert!(matches!(first, Status::Waiting(_)));
        let pods: Vec<_> = (0..count)
            .map(|number| lost(&format!("p{number}"), "Evicted"))
            .collect();
        let status = judged(&mut judge, &live, &pods, around(LATE, Excluded));
        let expected = if is_failed {
            format!(
                "failed: {count} pods were lost one after another; of the last one: Evicted: The node was low on resource: memory"
            )
        } else {
            "waiting: 1 of 2 new replicas; a pod was lost (Evicted: The node was low on resource: memory) and is replaced".to_owned()
        };
        assert_eq!(shown(status), expected, "{max_restarts}, {count}");
    }
}

#[test]
fn pods_that_were_lost_before_or_long_ago_do_not_count() {
    let pods = ["a", "b", "c"].map(|name| lost(name, "Terminated"));
    let mut judge = Judge::new(1);
    // However late the first look is.
    for at in [9, 30] {
        let around = around(Duration::from_secs(at), Excluded);
        let status = judged(&mut judge, &in_progress(), &pods, around);
        assert!(matches!(status, Status::Waiting(_)), "{at}");
    }
    let mut judge = Judge::new(1);
    for (at, count) in [(2, 0), (10, 2), (700, 3)] {
        let around = around(Duration::from_secs(at), Excluded);
        let status = judged(&mut judge, &in_progress(), &pods[..count], around);
        assert!(matches!(status, Status::Waiting(_)), "{at}");
    }
}

#[test]
fn sidecars_are_judged_and_ephemeral_containers_are_not() {
    let crashed = |name: &str| json!({"name": name, "restartCount": 2, "state": {"waiting": {"reason": "CrashLoopBackOff"}}});
    let spec =
        json!({"containers": [], "initContainers": [{"name": "proxy", "restartPolicy": "Always"}]});
    for (field, expected) in [
        (
            "initContainerStatuses",
            "failed: container `proxy` is crash-looping",
        ),
        ("ephemeralContainerStatuses", "waiting: 1 of 2 new replicas"),
    ] {
        let mut pod = json!({"metadata": {"name": "p"}, "spec": spec, "status": {}});
        pod["status"][field] = json!([crashed("proxy")]);
        let status = workload(&in_progress(), &[pod], SOON, Possible);
        assert_eq!(shown(status), expected, "{field}");
    }
}

#[test]
fn a_pod_without_a_controller_is_ready_or_has_succeeded() {
    let ready = |status: &str| json!([{"type": "Ready", "status": status}]);
    let pod = |policy: &str, probe: bool, phase: &str, is_ready: &str| {
        let mut container = json!({"name": "app"});
        if probe {
            container["readinessProbe"] = json!({"tcpSocket": {"port": 80}});
        }
        json!({
            "kind": "Pod", "metadata": {"name": "p"},
            "spec": {"restartPolicy": policy, "containers": [container]},
            "status": {"phase": phase, "conditions": ready(is_ready)},
        })
    };
    let mut failed = pod("Never", false, "Failed", "False");
    failed["status"]["containerStatuses"] =
        json!([{"name": "app", "restartCount": 0, "state": {"terminated": {"exitCode": 3}}}]);
    let mut evicted = pod("Always", false, "Failed", "False");
    evicted["status"]["reason"] = "Evicted".into();
    let advice = "delete it before the next deployment, or use a Deployment or a Job";
    for (live, expected) in [
        (
            pod("Always", true, "Running", "False"),
            "waiting: the pod is not ready yet".to_owned(),
        ),
        (pod("Always", true, "Running", "True"), "done".to_owned()),
        (
            pod("Never", false, "Running", "True"),
            "waiting: the pod is not done yet".to_owned(),
        ),
        (
            pod("OnFailure", false, "Succeeded", "False"),
            "done".to_owned(),
        ),
        // A probe says that it serves.
        (pod("Never", true, "Running", "True"), "done".to_owned()),
        (
            failed,
            format!(
                "failed: the pod failed, and nothing replaces it: container `app` exited (exit code 3); {advice}"
            ),
        ),
        (
            evicted,
            format!("failed: the pod failed, and nothing replaces it: Evicted; {advice}"),
        ),
    ] {
        let pods = [live.clone()];
        assert_eq!(
            shown(workload(&live, &pods, SOON, Possible)),
            expected,
            "{live}"
        );
    }
}

#[test]
fn sets_without_a_rollout_are_done_when_their_replicas_are_available() {
    for kind in ["ReplicaSet", "ReplicationController"] {
        let live = |available: u32| json!({"kind": kind, "spec": {"replicas": 2}, "status": {"replicas": 2, "availableReplicas": available}});
        for (available, expected) in [(1, "waiting: 1 of 2 replicas are available"), (2, "done")] {
            let status = workload(&live(available), &[], SOON, Possible);
            assert_eq!(shown(status), expected, "{kind}");
        }
    }
}
