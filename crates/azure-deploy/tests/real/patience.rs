//! Good versions that take their time: nothing of that is a failure.

use std::time::Duration;

use serde_json::json;
use testkit::{FakeRunner, Fault};

use crate::stack::{LOGIN_SERVER, Stack, run, run_until};

#[tokio::test]
#[ignore = "real: needs the local stack"]
async fn an_application_may_exit_until_its_database_is_up() {
    let stack = Stack::new("database").await;
    let image = stack.build("one", "well").await;
    let manifests = stack.manifests(80, "", "");
    let (_, deployment) = manifests.rsplit_once("---\n").unwrap();
    let database = deployment
        .replace("name: app,", "name: db,")
        .replace("{app: app}", "{app: db}")
        .replace(
            "periodSeconds: 1",
            "periodSeconds: 1, initialDelaySeconds: 15",
        );
    let namespace = &stack.namespace;
    let service = format!(
        "---\napiVersion: v1\nkind: Service\nmetadata: {{name: db, namespace: {namespace}}}\nspec: {{selector: {{app: db}}, ports: [{{port: 8000}}]}}\n---\n"
    );
    let connects = "        command: [sh, -c, 'perl -MIO::Socket::INET -e \"IO::Socket::INET->new(PeerAddr => qq(\\$ENV{DB_SERVICE_HOST}:8000), Timeout => 1) or exit 5\" && exec perl /server.pl']\n";
    let step = stack.step(&image, &format!("{manifests}{connects}{service}{database}"));
    let ran = run(step).await;
    assert_eq!(ran.code, 0, "{}", ran.log);
    let tolerated = "container `app` is crash-looping (exit code 5), which may need Deployment/db";
    assert!(ran.log.contains(tolerated), "{}", ran.log);
    stack.forget(&[&image]).await;
}

#[tokio::test]
#[ignore = "real: needs the local stack"]
async fn a_quota_may_be_full_until_old_pods_are_gone() {
    let stack = Stack::new("full").await;
    let images = [
        stack.build("one", "well").await,
        stack.build("two", "well").await,
    ];
    let manifests = stack.manifests(
        80,
        "",
        "        lifecycle: {preStop: {sleep: {seconds: 12}}}\n",
    );
    let surge = "{maxUnavailable: 0, maxSurge: 1}";
    assert!(manifests.contains(surge));
    let manifests = manifests
        .replace(surge, "{maxUnavailable: 1, maxSurge: 0}")
        .replace("replicas: 2", "replicas: 1")
        .replace(
            "terminationGracePeriodSeconds: 2",
            "terminationGracePeriodSeconds: 20",
        );
    let ran = run(stack.step(&images[0], &manifests)).await;
    assert_eq!(ran.code, 0, "{}", ran.log);
    stack.kubectl(&["create", "quota", "full", "--hard=pods=1"]);
    let ran = run(stack.step(&images[1], &manifests)).await;
    assert_eq!(ran.code, 0, "{}", ran.log);
    stack.forget(&images.each_ref().map(String::as_str)).await;
}

// Manifests whose application exits in a new pod once for each word of `exits`, and serves then.
fn exiting(stack: &Stack, exits: &str) -> String {
    let more = format!(
        "        command: [sh, -c, 'for n in {exits}; do mkdir /runs/$n 2>/dev/null && exit 5; done; exec perl /server.pl']
        volumeMounts: [{{name: runs, mountPath: /runs}}]
      volumes: [{{name: runs, emptyDir: {{}}}}]
"
    );
    let manifests = stack.manifests(80, "", &more);
    manifests.replace("replicas: 2", "replicas: 1")
}

#[tokio::test]
#[ignore = "real: needs the local stack"]
async fn an_application_may_exit_as_often_as_max_restarts_says() {
    let stack = Stack::new("restarts").await;
    let image = stack.build("one", "well").await;
    // Once, by default.
    let ran = run(stack.step(&image, &exiting(&stack, "first"))).await;
    assert_eq!(ran.code, 0, "{}", ran.log);

    let twice = exiting(&stack, "first second");
    let step = |restarts: &str| stack.step(&image, &twice).input("max-restarts", restarts);
    let ran = run(step("0")).await;
    assert_eq!(
        (ran.code, ran.output("rolled-back")),
        (1, "true"),
        "{}",
        ran.log
    );
    let problem = "Deployment/app: container `app` is crash-looping (exit code 5)";
    assert!(ran.error().contains(problem), "{}", ran.error());

    let ran = run(step("2")).await;
    assert_eq!(ran.code, 0, "{}", ran.log);
    let tolerated = "container `app` exited (exit code 5) and is restarted";
    assert!(ran.log.contains(tolerated), "{}", ran.log);
    stack.forget(&[&image]).await;
}

// Manifests of one pod, which needs a node without the occupant.
fn alone(stack: &Stack) -> String {
    let containers = "      containers:\n";
    let alone = "      affinity: {podAntiAffinity: {requiredDuringSchedulingIgnoredDuringExecution: [{topologyKey: kubernetes.io/hostname, labelSelector: {matchLabels: {app: occupant}}}]}}\n";
    let manifests = stack.manifests(80, "", "");
    assert!(manifests.contains(containers));
    manifests
        .replace("replicas: 2", "replicas: 1")
        .replace(containers, &format!("{alone}{containers}"))
}

// The namespace, in which pods can be created.
fn namespace(stack: &Stack) {
    stack.kubectl(&["create", "namespace", &stack.namespace]);
    stack.kubectl(&["wait", "--for=create", "serviceaccount/default"]);
}

// Run the step beside an occupant of the node.
async fn waits_for_a_node(stack: &Stack, step: FakeRunner) {
    // It ends after more than the ten seconds that a pod has where no node is added.
    let occupant = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "occupant", "namespace": stack.namespace, "labels": {"app": "occupant"}},
        "spec": {
            "restartPolicy": "Never", "activeDeadlineSeconds": 20,
            "containers": [{"name": "app", "image": "seaworthy.azurecr.io/absent:1", "imagePullPolicy": "Never"}],
        },
    });
    stack.kubectl_with("create", &occupant.to_string());
    let ran = run(step.input("expect-commit", "one")).await;
    assert_eq!(
        (ran.code, ran.output("result")),
        (0, "deployed"),
        "{}",
        ran.log
    );
    let waits = "a pod cannot be scheduled yet: ";
    assert!(ran.log.contains(waits), "{}", ran.log);
}

#[tokio::test]
#[ignore = "real: needs the local stack"]
async fn a_pod_is_waited_for_while_a_node_is_added_for_it() {
    let by_event = Stack::new("scale-up").await;
    let by_azure = Stack::with("scaled-pool", |azure| azure.pool_limit = Some(3)).await;
    let image = by_event.build("one", "well").await;
    let strategy =
        "strategy: {type: RollingUpdate, rollingUpdate: {maxUnavailable: 0, maxSurge: 1}}";
    let manifests = alone(&by_event);
    assert!(manifests.contains(strategy));
    // The name of its pod is known before there is one.
    let manifests = manifests
        .replace("kind: Deployment", "kind: StatefulSet")
        .replace(strategy, "serviceName: app");
    namespace(&by_event);
    // As the cluster autoscaler reports that it adds a node.
    let own = &by_event.namespace;
    let event = json!({
        "apiVersion": "v1", "kind": "Event", "metadata": {"name": "scale-up", "namespace": own},
        "involvedObject": {"apiVersion": "v1", "kind": "Pod", "name": "app-0", "namespace": own},
        "type": "Normal", "reason": "TriggeredScaleUp", "message": "pod triggered scale-up: [{pool 1->2 (max: 3)}]",
        "source": {"component": "cluster-autoscaler"},
    });
    by_event.kubectl_with("create", &event.to_string());
    let step = by_event.step_without_azure(&image).await;
    let step = step.file("k8s/app.yaml", &manifests);

    // Resource Manager reports that a pool grows; no event does.
    let other = by_azure.build("one", "well").await;
    namespace(&by_azure);
    let without_event = by_azure.step(&other, &alone(&by_azure));
    tokio::join!(
        waits_for_a_node(&by_event, step),
        waits_for_a_node(&by_azure, without_event)
    );
    by_event.forget(&[&image]).await;
    by_azure.forget(&[&other]).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "real: needs the local stack"]
async fn an_image_that_comes_late_to_a_replica_of_the_registry_is_waited_for() {
    let (stack, front) = Stack::fronted("replica", |_| {}).await;
    let image = stack.build("one", "well").await;
    let late = format!("{}-late-{}", stack.repository, std::process::id());
    let side = format!(
        "      - {{name: side, image: '{LOGIN_SERVER}/{late}:one', command: [sleep, '600']}}\n"
    );
    let manifests = stack.manifests(80, "", &side);
    let manifests = manifests.replace("replicas: 2", "replicas: 1");
    // A failure may last 12 seconds, and the kubelet pulls again after 10: the step sees it a while after it began, and still
    // when the image is there.
    let pods = format!("GET /api/v1/namespaces/{}/pods?", stack.namespace);
    let slow = Fault::slow(&format!("{pods}&labelSelector"), Duration::from_secs(8));
    front.expect(slow);
    let ran = tokio::spawn(run(stack.step(&image, &manifests)));
    let reason = "--output=jsonpath={.items[*].status.containerStatuses[*].state.waiting.reason}";
    let fails = || {
        stack
            .kubectl(&["get", "pods", reason])
            .contains("ImagePull")
    };
    while !fails() && !ran.is_finished() {
        tokio::task::yield_now().await;
    }
    let (registry, own) = (stack.registry().await, &stack.repository);
    let manifest = registry.manifest(own, "one").await.unwrap();
    let manifest = manifest.expect("it was pushed");
    let copied = registry.copy_from(&registry, own, &late, &manifest, Some("one"));
    copied.await.unwrap();
    // The kubelet looks at a pod that changes at once, and at others a random time after those 10 seconds.
    let mut changes = 0;
    while fails() && !ran.is_finished() {
        let change = format!("change={changes}");
        stack.kubectl(&["annotate", "pods", "--all", "--overwrite", &change]);
        changes += 1;
        tokio::task::yield_now().await;
    }
    let ran = ran.await.unwrap();
    assert_eq!(
        (ran.code, ran.output("result")),
        (0, "deployed"),
        "{}",
        ran.log
    );
    assert!(front.is_met(), "{}", ran.log);
    stack.forget(&[&image]).await;
}

#[tokio::test]
#[ignore = "real: needs the local stack"]
async fn a_paused_deployment_is_named_and_a_readiness_gate_may_be_set_late() {
    const GATE: &str = "test.example/ready";
    let stack = Stack::new("gate").await;
    let image = stack.build("one", "well").await;
    let manifests = stack.manifests(80, "", "");
    let manifests = manifests.replace("replicas: 2", "replicas: 1");
    let paused = manifests.replace("replicas: 1", "replicas: 1\n  paused: true");
    let ran = run(stack.step(&image, &paused)).await;
    assert_eq!(
        (ran.code, ran.output("result")),
        (1, "failed"),
        "{}",
        ran.log
    );
    let problem = "Deployment/app: it is paused (`spec.paused`), so no pod is replaced; resume it (`kubectl rollout resume`)";
    assert!(ran.error().contains(problem), "{}", ran.error());

    let containers = "      containers:\n";
    let gate = format!("      readinessGates: [{{conditionType: {GATE}}}]\n");
    let gated = manifests.replace(containers, &format!("{gate}{containers}"));
    let waits = format!("a pod waits for its readiness gate `{GATE}`");
    let set = || {
        let condition = json!({"type": GATE, "status": "True"});
        let status = json!({"status": {"conditions": [condition]}}).to_string();
        let patch = ["--subresource=status", "--patch", &status];
        for pod in stack.kubectl(&["get", "pods", "--output=name"]).lines() {
            stack.kubectl(&[&["patch", pod], &patch[..]].concat());
        }
    };
    let ran = run_until(stack.step(&image, &gated), &waits, set).await;
    assert_eq!(
        (ran.code, ran.output("result")),
        (0, "deployed"),
        "{}",
        ran.log
    );
    assert!(ran.log.contains(&waits), "{}", ran.log);
    stack.forget(&[&image]).await;
}
