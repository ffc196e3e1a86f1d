//! Faults of a new version on a real node: the message, and how soon it comes.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::Value;
use testkit::Ran;

use crate::stack::{Stack, run};

/// From the first warning in the cluster to the verdict, at most. It is half of what the rollout may take: the verdict is
/// not the timeout. On a machine that does nothing else it is 15 s (each case prints its figure, and `rollout/judge.rs` has
/// the rules); these tests share theirs with others, and a container that starts takes several times as long then.
const LIMIT: Duration = Duration::from_secs(60);
/// Deployments in parallel.
const PARALLEL: usize = 4;

struct Case {
    name: &'static str,
    /// The fault of the image, if it has one.
    mode: &'static str,
    /// Change to the manifests: a text and its replacement.
    change: (&'static str, &'static str),
    /// Commands that prepare the namespace.
    prepare: &'static [&'static [&'static str]],
    /// Of the rollout: ends what Kubernetes does not report as a fault.
    timeout: &'static str,
    /// A part of the error.
    message: &'static str,
}

const PROBE: &str = "readinessProbe: {httpGet: {path: /health, port: 8000}, periodSeconds: 1}";
const LAST: &str = "periodSeconds: 1}\n";

const WELL: Case = Case {
    name: "",
    mode: "well",
    change: ("", ""),
    prepare: &[],
    timeout: "120s",
    message: "",
};

const CASES: &[Case] = &[
    Case {
        name: "absent-image",
        change: (
            LAST,
            "periodSeconds: 1}\n      - {name: side, image: 'seaworthy.azurecr.io/absent:1'}\n",
        ),
        message: "container `side` does not start: ",
        ..WELL
    },
    Case {
        name: "exits",
        mode: "crash",
        message: "container `app` is crash-looping (exit code 3): `No module named 'app'`",
        ..WELL
    },
    Case {
        name: "both-exit",
        mode: "crash",
        change: (
            "---\napiVersion: apps/v1\n",
            "---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: worker, namespace: NAMESPACE}\nspec:\n  selector: {matchLabels: {app: worker}}\n  template:\n    metadata: {labels: {app: worker}}\n    spec: {containers: [{name: app, image: 'REPOSITORY:latest'}]}\n---\napiVersion: apps/v1\n",
        ),
        message: "container `app` is crash-looping (exit code 3): `No module named 'app'`",
        ..WELL
    },
    Case {
        name: "out-of-memory",
        mode: "hungry",
        change: (
            LAST,
            "periodSeconds: 1}\n        resources: {limits: {memory: 32Mi}}\n",
        ),
        message: "container `app` is crash-looping (exit code 137, OOMKilled)",
        ..WELL
    },
    Case {
        name: "no-program",
        change: (LAST, "periodSeconds: 1}\n        command: [/absent]\n"),
        message: "/absent",
        ..WELL
    },
    Case {
        name: "init-fails",
        change: (
            "      containers:\n",
            "      initContainers:\n      - {name: before, image: 'REPOSITORY:latest', command: [sh, -c, 'echo no database; exit 4']}\n      containers:\n",
        ),
        message: "container `before` is crash-looping (exit code 4): `no database`",
        ..WELL
    },
    Case {
        name: "no-config",
        change: (
            LAST,
            "periodSeconds: 1}\n        envFrom: [{secretRef: {name: absent}}]\n",
        ),
        message: "container `app` does not start: CreateContainerConfigError: secret \"absent\" not found",
        ..WELL
    },
    Case {
        name: "no-volume",
        change: (
            LAST,
            "periodSeconds: 1}\n        volumeMounts: [{name: v, mountPath: /v}]\n      volumes: [{name: v, secret: {secretName: absent}}]\n",
        ),
        message: "a volume cannot be mounted: MountVolume.SetUp failed for volume \"v\" : secret \"absent\" not found",
        ..WELL
    },
    Case {
        name: "no-class",
        change: (
            LAST,
            "periodSeconds: 1}\n        volumeMounts: [{name: v, mountPath: /v}]\n      volumes: [{name: v, persistentVolumeClaim: {claimName: data}}]\n---\napiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: data, namespace: NAMESPACE}\nspec: {accessModes: [ReadWriteOnce], storageClassName: absent, resources: {requests: {storage: 1Mi}}}\n",
        ),
        message: "the claim `data` gets no volume: ProvisioningFailed: storageclass.storage.k8s.io \"absent\" not found",
        ..WELL
    },
    Case {
        name: "no-account",
        change: (
            "---\napiVersion: apps/v1\n",
            "---\napiVersion: batch/v1\nkind: Job\nmetadata: {name: migrate, namespace: NAMESPACE}\nspec:\n  template:\n    spec: {restartPolicy: Never, serviceAccountName: absent, containers: [{name: app, image: 'REPOSITORY:latest'}]}\n---\napiVersion: apps/v1\n",
        ),
        message: "serviceaccount \"absent\" not found",
        ..WELL
    },
    Case {
        name: "root",
        change: (
            LAST,
            "periodSeconds: 1}\n        securityContext: {runAsNonRoot: true, runAsUser: 0}\n",
        ),
        message: "container `app` does not start: CreateContainerConfigError: ",
        ..WELL
    },
    Case {
        name: "unready",
        timeout: "20s",
        change: (
            PROBE,
            "readinessProbe: {httpGet: {path: /health, port: 8001}, periodSeconds: 1}",
        ),
        message: "Unhealthy: Readiness probe failed: ",
        ..WELL
    },
    Case {
        name: "pod-security",
        prepare: &[&[
            "label",
            "namespace",
            "{namespace}",
            "pod-security.kubernetes.io/enforce=restricted",
        ]],
        message: "violates PodSecurity \"restricted:latest\"",
        ..WELL
    },
    Case {
        name: "quota",
        prepare: &[&["create", "quota", "few", "--hard=pods=1"]],
        message: "exceeded quota: few, requested: pods=1, used: pods=1, limited: pods=1",
        ..WELL
    },
    Case {
        name: "no-room",
        change: (
            LAST,
            "periodSeconds: 1}\n        resources: {requests: {cpu: '50'}}\n",
        ),
        message: "Insufficient cpu",
        ..WELL
    },
];

#[tokio::test]
#[ignore = "real: needs the local stack"]
async fn each_fault_is_reported_within_seconds() {
    for cases in CASES.chunks(PARALLEL) {
        join_all(cases.iter().map(meets)).await;
    }
}

async fn meets(case: &Case) {
    let stack = Stack::new(case.name).await;
    stack.kubectl(&["create", "namespace", &stack.namespace]);
    for command in case.prepare {
        let args: Vec<_> = command
            .iter()
            .map(|arg| arg.replace("{namespace}", &stack.namespace))
            .collect();
        stack.kubectl(&args.iter().map(String::as_str).collect::<Vec<_>>());
    }
    let image = stack.build(case.name, case.mode).await;
    let manifests = stack.manifests(80, "", "");
    assert!(manifests.contains(case.change.0));
    let manifests = manifests
        .replacen(case.change.0, case.change.1, 1)
        .replace("REPOSITORY", &stack.repository)
        .replace("NAMESPACE", &stack.namespace);
    // These are not among the rights of the deployer.
    let kinds = ["kind: Job", "kind: PersistentVolumeClaim"];
    let step = if kinds.iter().any(|kind| manifests.contains(kind)) {
        let step = stack.step_without_azure(&image).await;
        step.file("k8s/app.yaml", &manifests)
    } else {
        stack.step(&image, &manifests)
    };
    let ran = run(step.input("rollout-timeout", case.timeout)).await;
    let verdict = jiff::Timestamp::now();
    assert_eq!(
        (ran.code, ran.output("result")),
        (1, "failed"),
        "{}: {}",
        case.name,
        ran.log
    );
    assert_message(case, &ran);
    let events: Value =
        serde_json::from_str(&stack.kubectl(&["get", "events", "--output", "json"])).unwrap();
    let warnings = events["items"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|event| event["type"] == "Warning");
    let seen = warnings.map(|event| {
        event
            .pointer("/metadata/creationTimestamp")
            .unwrap()
            .as_str()
            .unwrap()
            .parse::<jiff::Timestamp>()
            .unwrap()
    });
    let seen = seen.min().unwrap();
    let took = verdict.duration_since(seen).unsigned_abs();
    println!(
        "{:<14} {:.1} s after the first warning",
        case.name,
        took.as_secs_f64()
    );
    assert!(took <= LIMIT, "{}: {took:?}: {}", case.name, ran.log);
    stack.forget(&[&image]).await;
}

fn assert_message(case: &Case, ran: &Ran) {
    assert!(
        ran.error().contains(case.message),
        "{}: {}",
        case.name,
        ran.error()
    );
    assert!(
        ran.error()
            .starts_with("azure-deploy: this was the first deployment, "),
        "{}",
        ran.error()
    );
}
