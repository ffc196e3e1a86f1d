//! What there is no room for now, and will be: on a node, in a quota, or on a volume. And pods that no controller replaces.

use std::time::Duration;

use serde_json::json;
use testkit::FakeRunner;

use crate::stack::{Stack, get, run};

// The stack's only node.
fn node(stack: &Stack) -> String {
    let name = "--output=jsonpath={.items[0].metadata.name}";
    stack.kubectl(&["get", "nodes", name])
}

// The namespace, in which pods can be created.
fn namespace(stack: &Stack) {
    stack.kubectl(&["create", "namespace", &stack.namespace]);
    stack.kubectl(&["wait", "--for=create", "serviceaccount/default"]);
}

// The step by the cluster's administrator: what these tests have is not among the rights of the deployer.
async fn step(stack: &Stack, image: &str, manifests: &str) -> FakeRunner {
    let commit = image.split(':').nth(1).unwrap();
    let step = stack.step_without_azure(image).await;
    step.file("k8s/app.yaml", manifests)
        .input("expect-commit", commit)
}

/// A resource of the node, of which there is one; it goes when this is dropped.
struct Slot<'a> {
    stack: &'a Stack,
    node: String,
    name: String,
}

impl<'a> Slot<'a> {
    fn new(stack: &'a Stack) -> Self {
        let slot = Self {
            node: node(stack),
            name: format!("test.example/slot-{}", std::process::id()),
            stack,
        };
        slot.patch(&json!("1"));
        slot
    }

    fn patch(&self, amount: &serde_json::Value) {
        let has = json!({ &self.name: amount });
        let patch = json!({"status": {"capacity": has, "allocatable": has}}).to_string();
        let args = ["patch", "node", &self.node, "--subresource=status"];
        let how = ["--type=merge", "--patch", &patch];
        self.stack.accepts(&[&args[..], &how[..]].concat());
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        self.patch(&serde_json::Value::Null);
    }
}

#[tokio::test]
#[ignore = "real: needs the local stack"]
async fn a_full_node_is_waited_for_until_a_pod_there_has_ended() {
    let stack = Stack::new("full-node").await;
    let image = stack.build("one", "well").await;
    namespace(&stack);
    let slot = Slot::new(&stack);
    let takes = json!({"requests": {&slot.name: "1"}, "limits": {&slot.name: "1"}});
    // It ends after more than the ten seconds that a pod has where no node is added. No controller has it: whether it ends is by its
    // `restartPolicy` alone.
    let occupant = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "occupant", "namespace": stack.namespace},
        "spec": {
            "restartPolicy": "Never", "activeDeadlineSeconds": 20,
            "containers": [{
                "name": "app", "image": "seaworthy.azurecr.io/absent:1", "imagePullPolicy": "Never", "resources": takes,
            }],
        },
    });
    stack.kubectl_with("create", &occupant.to_string());
    stack.kubectl(&["wait", "--for=condition=PodScheduled", "pod/occupant"]);
    let manifests = stack.manifests(80, "", &format!("        resources: {takes}\n"));
    let manifests = manifests.replace("replicas: 2", "replicas: 1");
    let ran = run(step(&stack, &image, &manifests).await).await;
    assert_eq!(
        (ran.code, ran.output("result")),
        (0, "deployed"),
        "{}",
        ran.log
    );
    let waits = format!("Insufficient {}", slot.name);
    assert!(ran.log.contains(&waits), "{}", ran.log);

    // Two of them are more than any node has.
    let two = manifests.replace("\":\"1\"", "\":\"2\"");
    let ran = run(step(&stack, &image, &two).await).await;
    assert_eq!(ran.code, 1, "{}", ran.log);
    assert!(ran.error().contains(&waits), "{}", ran.error());
    stack.forget(&[&image]).await;
}

#[tokio::test]
#[ignore = "real: needs the local stack"]
async fn a_full_quota_is_waited_for_while_the_rollout_replaces_pods() {
    let stack = Stack::new("moving-quota").await;
    let images = [
        stack.build("one", "well").await,
        stack.build("two", "well").await,
    ];
    // A new pod is ready after more than the ten seconds that a quota may be full where nothing changes.
    let manifests = stack.manifests(80, "", "").replace(
        "{maxUnavailable: 0, maxSurge: 1}",
        "{maxUnavailable: 1, maxSurge: 1}",
    );
    let slow = manifests.replace(
        "periodSeconds: 1",
        "periodSeconds: 1, initialDelaySeconds: 14",
    );
    assert_ne!(manifests, slow);
    let ran = run(step(&stack, &images[0], &manifests).await).await;
    assert_eq!(ran.code, 0, "{}", ran.log);
    stack.kubectl(&["create", "quota", "full", "--hard=pods=2"]);
    let ran = run(step(&stack, &images[1], &slow).await).await;
    assert_eq!(
        (ran.code, ran.output("result")),
        (0, "deployed"),
        "{}",
        ran.log
    );
    let waits = "no pod can be created yet: ";
    assert!(ran.log.contains(waits), "{}", ran.log);
    stack.forget(&images.each_ref().map(String::as_str)).await;
}

/// A class of volumes that nothing provisions, and a volume of it; they go when this is dropped.
struct Class<'a> {
    stack: &'a Stack,
    name: String,
}

impl Class<'_> {
    fn manifest(&self) -> String {
        json!({
            "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": self.name},
            "provisioner": "test.example/by-hand", "volumeBindingMode": "Immediate",
        })
        .to_string()
    }

    fn volume(&self) -> String {
        json!({
            "apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": self.name},
            "spec": {
                "capacity": {"storage": "1Mi"}, "accessModes": ["ReadWriteOnce"], "storageClassName": self.name,
                "hostPath": {"path": "/tmp"}, "persistentVolumeReclaimPolicy": "Retain",
                "claimRef": {"namespace": self.stack.namespace, "name": "data"},
            },
        })
        .to_string()
    }
}

impl Drop for Class<'_> {
    fn drop(&mut self) {
        // The test has its verdict: what can't be removed does not change it.
        for kind in ["storageclass", "persistentvolume"] {
            let delete = ["delete", kind, &self.name, "--ignore-not-found"];
            self.stack
                .accepts(&[&delete[..], &["--wait=false"]].concat());
        }
    }
}

#[tokio::test]
#[ignore = "real: needs the local stack"]
async fn a_volume_may_take_its_time() {
    let stack = Stack::new("slow-volume").await;
    let class = Class {
        stack: &stack,
        name: stack.namespace.clone(),
    };
    namespace(&stack);
    stack.kubectl_with("create", &class.manifest());
    let image = stack.build("one", "well").await;
    let claims = format!(
        "        volumeMounts: [{{name: v, mountPath: /v}}]
      volumes: [{{name: v, persistentVolumeClaim: {{claimName: data}}}}]
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {{name: data, namespace: {}}}
spec: {{accessModes: [ReadWriteOnce], storageClassName: {}, resources: {{requests: {{storage: 1Mi}}}}}}
",
        stack.namespace, class.name
    );
    let manifests = stack.manifests(80, "", &claims);
    let manifests = manifests.replace("replicas: 2", "replicas: 1");
    let step = step(&stack, &image, &manifests).await;
    let log = step.directory().join("log");
    let ran = tokio::spawn(run(step));
    // The state is logged at once, and then each ten seconds: the third time is more than the ten seconds that a pod has where
    // no node is added.
    let waits = "unbound immediate PersistentVolumeClaims";
    let waited = || {
        let log = std::fs::read_to_string(&log).unwrap_or_default();
        log.matches(waits).count() >= 3
    };
    let mut pace = tokio::time::interval(Duration::from_millis(100));
    while !waited() && !ran.is_finished() {
        pace.tick().await;
    }
    if !ran.is_finished() {
        stack.kubectl_with("create", &class.volume());
    }
    let ran = ran.await.unwrap();
    assert_eq!(
        (ran.code, ran.output("result")),
        (0, "deployed"),
        "{}",
        ran.log
    );
    stack.forget(&[&image]).await;
}

#[tokio::test]
#[ignore = "real: needs the local stack"]
async fn pods_without_a_deployment_are_awaited() {
    let stack = Stack::new("bare").await;
    let image = stack.build("one", "well").await;
    namespace(&stack);
    let (own, repository) = (&stack.namespace, &stack.repository);
    let container = format!("{{name: app, image: '{repository}:latest'");
    let bare = format!(
        "---
apiVersion: v1
kind: Pod
metadata: {{name: once, namespace: {own}}}
spec:
  restartPolicy: Never
  containers: [{container}, command: [sh, -c, 'echo done']}}]
---
apiVersion: v1
kind: Pod
metadata: {{name: serves, namespace: {own}, labels: {{app: other}}}}
spec:
  terminationGracePeriodSeconds: 2
  containers: [{container}, readinessProbe: {{httpGet: {{path: /health, port: 8000}}, periodSeconds: 1}}}}]
---
apiVersion: apps/v1
kind: ReplicaSet
metadata: {{name: set, namespace: {own}}}
spec:
  replicas: 1
  selector: {{matchLabels: {{app: set}}}}
  template:
    metadata: {{labels: {{app: set}}}}
    spec: {{terminationGracePeriodSeconds: 2, containers: [{container}, readinessProbe: {{httpGet: {{path: /health, port: 8000}}}}}}]}}
---
apiVersion: v1
kind: ReplicationController
metadata: {{name: controller, namespace: {own}}}
spec:
  replicas: 1
  selector: {{app: controller}}
  template:
    metadata: {{labels: {{app: controller}}}}
    spec: {{terminationGracePeriodSeconds: 2, containers: [{container}, readinessProbe: {{httpGet: {{path: /health, port: 8000}}}}}}]}}
"
    );
    let manifests = format!("{}{bare}", stack.manifests(80, "", ""));
    let ran = run(step(&stack, &image, &manifests).await).await;
    assert_eq!(ran.code, 0, "{}", ran.log);
    for label in [
        "Pod/once",
        "Pod/serves",
        "ReplicaSet/set",
        "ReplicationController/controller",
    ] {
        let line = format!("{label} is rolled out (");
        assert!(ran.log.contains(&line), "{label}: {}", ran.log);
    }

    let fails = manifests
        .replace("name: once", "name: fails")
        .replace("echo done", "echo no database; exit 4");
    let ran = run(step(&stack, &image, &fails).await).await;
    assert_eq!(ran.code, 1, "{}", ran.log);
    let problem = "Pod/fails: the pod failed, and nothing replaces it: container `app` exited (exit code 4); delete it before the next deployment, or use a Deployment or a Job: `no database`";
    assert!(ran.error().contains(problem), "{}", ran.error());
    stack.forget(&[&image]).await;
}

#[tokio::test]
#[ignore = "real: needs the local stack"]
async fn the_port_of_the_application_is_queried_and_not_that_of_its_metrics() {
    let stack = Stack::new("metrics-port").await;
    let image = stack.build("one", "well").await;
    let manifests = stack.manifests(8080, "", "");
    let http = "{name: http, port: 8080, targetPort: 8000}";
    assert!(manifests.contains(http));
    // Nothing listens at 8001.
    let ports =
        "{name: metrics, port: 9090, targetPort: 8001}, {name: web, port: 8080, targetPort: 8000}";
    let manifests = manifests.replace(http, ports);
    let ran = run(stack.step(&image, &manifests)).await;
    assert_eq!(ran.code, 0, "{}", ran.log);
    let why = "Service/app: of its ports `metrics` (9090), `web` (8080), `web` (8080) is queried: its name is that of an application";
    assert!(ran.log.contains(why), "{}", ran.log);
    assert_eq!(get(ran.output("url")).await["commit"], "one");
    stack.forget(&[&image]).await;
}
