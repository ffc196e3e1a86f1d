//! A live object is what kubectl's server-side apply of the same manifest gives, after any history; a deployment that
//! was rolled back leaves no trace. Judged by kubectl, with the real API server: each step is made in two namespaces.

mod kinds;

use std::collections::BTreeSet;
use std::io::Write as _;
use std::process::{Command, Stdio};

use actions_toolkit::Log;
use kube::Config;
use kube::config::{KubeConfigOptions, Kubeconfig};
use proptest::prelude::*;
use proptest::test_runner::{Config as Cases, TestRunner};
use serde_json::{Value, json};

use kinds::Kind;

use super::client::FIELD_MANAGER;
use super::{COUNTED_ANNOTATIONS, Cluster, LAST_APPLIED, Object, Snapshot};
use crate::steps::apply::Apply;
use crate::steps::{dry_run, roll_back};

const LIMITS: crate::rollout::Limits = crate::rollout::Limits {
    timeout: std::time::Duration::from_secs(30),
    restarts: 0,
};
const SEQUENCES: u32 = 24;
const STEPS: usize = 7;

/// Other managers, as kubectl's arguments. From the last ones this action takes over the first time, and kubectl does not.
const OTHERS: [&[&str]; 4] = [
    &[
        "apply",
        "--server-side",
        "--force-conflicts",
        "--field-manager=terraform",
    ],
    &["create", "--field-manager=terraform"],
    &[
        "apply",
        "--server-side",
        "--force-conflicts",
        "--field-manager=helm",
    ],
    &["replace"],
];
/// How many of them are not taken over.
const LASTING: usize = 2;

/// What happens to an object.
#[derive(Debug, Clone)]
enum Step {
    /// A manifest is deployed.
    Deployed(u16),
    /// A manifest is deployed and rolled back; meanwhile someone adds a label.
    RolledBack(u16, bool),
    /// A manifest is applied by `kubectl apply`, client-side.
    ClientSide(u16),
    /// A manifest is applied by another manager: the number of it in [`OTHERS`].
    AppliedBy(usize, u16),
    /// Someone changes the object by kubectl: the number of the change.
    Changed(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => any::<u16>().prop_map(Step::Deployed),
        4 => any::<(u16, bool)>().prop_map(|(features, meanwhile)| Step::RolledBack(features, meanwhile)),
        2 => any::<u16>().prop_map(Step::ClientSide),
        2 => (0..OTHERS.len(), any::<u16>()).prop_map(|(by, features)| Step::AppliedBy(by, features)),
        3 => (0..4_usize).prop_map(Step::Changed),
    ];
    prop::collection::vec(step, 2..STEPS)
}

/// Two namespaces: in one this action deploys, in the other kubectl.
struct Both {
    cluster: Cluster,
    ours: String,
    judge: String,
}

impl Both {
    async fn new(name: &str) -> Self {
        let path = std::env::var("SEAWORTHY_KUBECONFIG").expect("names the kubeconfig");
        let config = Kubeconfig::read_from(path).unwrap();
        let options = KubeConfigOptions::default();
        let config = Config::from_custom_kubeconfig(config, &options).await;
        let cluster = Cluster::connect(config.unwrap(), None, &Log::sink()).unwrap();
        let id = std::process::id();
        let both = Self {
            ours: format!("same-{name}-{id}"),
            judge: format!("same-{name}-judge-{id}"),
            cluster: {
                let kinds = Kind::ALL.map(|kind| object("", kind.manifest("x", 0)));
                cluster.discover_kinds(&kinds).await.unwrap();
                cluster
            },
        };
        for namespace in [&both.ours, &both.judge] {
            Both::kubectl("", &["create", "namespace", namespace], None).unwrap();
        }
        both
    }

    fn kubectl(namespace: &str, args: &[&str], stdin: Option<&Value>) -> Result<String, String> {
        let mut child = Command::new("kubectl")
            .args(["--namespace", namespace])
            .args(args)
            .env(
                "KUBECONFIG",
                std::env::var_os("SEAWORTHY_KUBECONFIG").unwrap(),
            )
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("kubectl is in PATH");
        let mut input = child.stdin.take().unwrap();
        if let Some(value) = stdin {
            input.write_all(value.to_string().as_bytes()).unwrap();
        }
        drop(input);
        let done = child.wait_with_output().unwrap();
        if done.status.success() {
            return Ok(String::from_utf8(done.stdout).unwrap());
        }
        Err(String::from_utf8_lossy(&done.stderr).into_owned())
    }

    fn in_both(&self, args: &[&str], stdin: Option<&Value>) {
        for namespace in [&self.ours, &self.judge] {
            // A change of what does not exist yet changes nothing, in both; one that meets a controller's is made again.
            let conflict = |e: String| e.contains("the object has been modified");
            while Self::kubectl(namespace, args, stdin).is_err_and(conflict) {}
        }
    }

    fn live(namespace: &str, kind: Kind, name: &str) -> Option<Value> {
        let args = [
            "get",
            kind.resource(),
            name,
            "--output=json",
            "--show-managed-fields",
        ];
        let text = Self::kubectl(namespace, &args, None).ok()?;
        Some(serde_json::from_str(&text).unwrap())
    }

    // Deploy `manifest`; with `meanwhile` roll it back after that.
    async fn deploy(
        &self,
        manifest: &Value,
        meanwhile: Option<impl FnOnce()>,
    ) -> anyhow::Result<()> {
        let (log, objects) = (Log::sink(), [object(&self.ours, manifest.clone())]);
        let taken = dry_run::validate(&log, &self.cluster, &objects).await?;
        let mut snapshot = Snapshot::read(&self.cluster, &objects).await?;
        taken.restore_in(&mut snapshot);
        let mut report = crate::report::Report::new(
            format!("x@sha256:{}", "0".repeat(64)).parse().unwrap(),
            std::time::Instant::now(),
        );
        let apply = Apply {
            log: &log,
            cluster: &self.cluster,
            objects: &objects,
            limits: LIMITS,
        };
        apply.begin(snapshot, &mut report).await?;
        apply.before_workloads(&mut report).await?;
        apply.workloads(&mut report).await?;
        if let Some(meanwhile) = meanwhile {
            meanwhile();
            let snapshot = report.snapshot.take().unwrap();
            roll_back::restore(&snapshot, &report.applied, &self.cluster, &log).await?;
        }
        Ok(())
    }

    // Set a field of `spec` as the admission of the API server does where the cluster has a default: it has no owner.
    fn set_default(&self, kind: Kind, name: &str, field: &str, value: &str) {
        let patch = |patch: &Value| {
            let patch = patch.to_string();
            let resource = kind.resource();
            let args = ["patch", resource, name, "--type=merge", "--patch", &patch];
            Self::kubectl(&self.ours, &args, None).unwrap();
        };
        patch(&json!({"spec": {field: value}}));
        let live = Self::live(&self.ours, kind, name).unwrap();
        let owners = live["metadata"]["managedFields"].as_array().unwrap();
        let owners = owners.iter().filter(|e| e["manager"] != "kubectl-patch");
        let owners: Vec<_> = owners.collect();
        assert!(!owners.is_empty(), "{live}");
        patch(&json!({"metadata": {"managedFields": owners}}));
    }

    async fn run(&self, kind: Kind, name: &str, steps: &[Step]) -> Result<(), TestCaseError> {
        let apply = ["apply", "--filename=-"];
        let server_side = [
            "apply",
            "--filename=-",
            "--server-side",
            "--force-conflicts",
            &format!("--field-manager={FIELD_MANAGER}"),
        ];
        let is_ours = || {
            let live = Self::live(&self.ours, kind, name);
            live.is_some_and(|live| super::Owners::of(&live).is_applied_by_us())
        };
        let mut is_shared = false;
        for (count, step) in steps.iter().enumerate() {
            let done = &steps[..=count];
            // Where nothing is left of what it applied, this action takes over as it does the first time.
            if is_shared && matches!(step, Step::Deployed(_) | Step::RolledBack(..)) && !is_ours() {
                return Ok(());
            }
            match step {
                Step::Deployed(features) => {
                    let manifest = kind.manifest(name, *features);
                    let ours = self.deploy(&manifest, None::<fn()>).await;
                    let judge = Self::kubectl(&self.judge, &server_side, Some(&manifest));
                    // kubectl takes over from its client side after its first apply, which the API server rejects if both
                    // together are invalid (kubectl/pkg/cmd/apply/apply.go, `migrateToSSAIfNecessary`): then it has no judgment.
                    let is_both = |e: &String| e.contains("cannot be both set");
                    if ours.is_ok() && judge.as_ref().is_err_and(is_both) {
                        return Ok(());
                    }
                    prop_assert_eq!(
                        ours.is_ok(),
                        judge.is_ok(),
                        "{:?} {:?} {:?}",
                        done,
                        ours,
                        judge
                    );
                }
                Step::RolledBack(features, meanwhile) => {
                    let manifest = kind.manifest(name, *features);
                    let label = ["label", kind.resource(), name, "meanwhile=x", "--overwrite"];
                    let before = Self::live(&self.ours, kind, name);
                    let change = || {
                        if *meanwhile && before.is_some() {
                            self.in_both(&label, None);
                        }
                    };
                    let deployed = self.deploy(&manifest, Some(change)).await;
                    prop_assert!(deployed.is_ok(), "{:?} {:?}", done, deployed);
                    if let (Some(before), false) = (before, *meanwhile) {
                        let after = Self::live(&self.ours, kind, name).unwrap();
                        prop_assert_eq!(exact(&before), exact(&after), "{:?}", done);
                        prop_assert_eq!(owners(before), owners(after), "{:?}", done);
                    }
                }
                Step::ClientSide(features) => {
                    self.in_both(&apply, Some(&kind.manifest(name, *features)));
                }
                Step::AppliedBy(by, features) => {
                    let is_taken_over = *by >= LASTING;
                    if !kind.has_alternatives() && (!is_taken_over || is_ours()) {
                        let manifest = kind.manifest(name, *features);
                        self.in_both(&[OTHERS[*by], &["--filename=-"]].concat(), Some(&manifest));
                        is_shared |= is_taken_over;
                    }
                }
                Step::Changed(change) => {
                    let change = kind.change(*change, name);
                    let change: Vec<_> = change.iter().map(String::as_str).collect();
                    self.in_both(&change, None);
                }
            }
            let ours = Self::live(&self.ours, kind, name);
            let judge = Self::live(&self.judge, kind, name);
            prop_assert_eq!(
                ours.as_ref().map(shape),
                judge.as_ref().map(shape),
                "{:?}",
                done
            );
            if matches!(step, Step::Deployed(_)) {
                let owned = |live: Option<Value>| live.map(|live| super::Owners::of(&live).ours());
                prop_assert_eq!(owned(ours), owned(judge), "{:?}", done);
            }
        }
        Ok(())
    }
}

impl Drop for Both {
    fn drop(&mut self) {
        let args = [
            "delete",
            "namespace",
            "--wait=false",
            &self.ours,
            &self.judge,
        ];
        let _ = Self::kubectl("", &args, None);
    }
}

fn object(namespace: &str, value: Value) -> Object {
    Object::of_test(value, Some(namespace))
}

// What must not change when a deployment is rolled back, beside the owners of the fields: everything but counters.
fn exact(live: &Value) -> Value {
    let mut live = live.clone();
    let metadata = live["metadata"].as_object_mut().unwrap();
    for field in ["resourceVersion", "generation", "managedFields"] {
        metadata.remove(field);
    }
    live["status"] = Value::Null;
    live
}

// The owners of the fields, without those of the status, which controllers change at any time.
fn owners(mut live: Value) -> BTreeSet<String> {
    let entries = live["metadata"]["managedFields"].as_array_mut().unwrap();
    entries.retain(|entry| entry["subresource"] != "status");
    super::Owners::of(&live).by_owner()
}

// What must be equal in both namespaces: what the API server assigns is there, with another value.
fn shape(live: &Value) -> Value {
    let mut live = exact(live);
    let metadata = live["metadata"].as_object_mut().unwrap();
    for field in ["uid", "creationTimestamp", "namespace"] {
        metadata.remove(field);
    }
    if let Some(annotations) = metadata
        .get_mut("annotations")
        .and_then(Value::as_object_mut)
    {
        annotations.retain(|name, _| !COUNTED_ANNOTATIONS.contains(&&**name));
        if let Some(text) = annotations.get_mut(LAST_APPLIED) {
            *text = "assigned".into();
        }
        if annotations.is_empty() {
            metadata.remove("annotations");
        }
    }
    assigned(&mut live["spec"]);
    live
}

fn assigned(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                if matches!(
                    &**name,
                    "clusterIP"
                        | "clusterIPs"
                        | "nodePort"
                        | "healthCheckNodePort"
                        | "controller-uid"
                        | "batch.kubernetes.io/controller-uid"
                ) {
                    *value = "assigned".into();
                }
                assigned(value);
            }
        }
        Value::Array(list) => list.iter_mut().for_each(assigned),
        _ => {}
    }
}

#[test]
#[ignore = "real: needs the local stack"]
fn a_live_object_is_what_kubectl_gives_after_any_history() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let both = runtime.block_on(Both::new("random"));
    let started = std::time::Instant::now();
    let (mut sequences, mut made) = (0, 0);
    let mut runner = TestRunner::new(Cases {
        cases: std::env::var("SEQUENCES").map_or(SEQUENCES, |n| n.parse().unwrap()),
        failure_persistence: None,
        max_shrink_iters: 60,
        ..Cases::default()
    });
    let kind = prop::sample::select(Kind::ALL.to_vec());
    let counts = std::cell::RefCell::new((&mut sequences, &mut made));
    let outcome = runner.run(&(kind, steps()), |(kind, steps)| {
        let name = {
            let mut counts = counts.borrow_mut();
            *counts.0 += 1;
            *counts.1 += steps.len();
            format!("x{}", counts.0)
        };
        runtime.block_on(both.run(kind, &name, &steps))
    });
    println!(
        "{sequences} sequences, {made} steps, {:.0} s",
        started.elapsed().as_secs_f64()
    );
    if let Err(error) = outcome {
        panic!("{error}");
    }
}

#[tokio::test]
#[ignore = "real: needs the local stack"]
async fn an_item_of_two_owners_that_a_deployment_removes_goes_back_to_both() {
    let both = Both::new("two-owners").await;
    // A variable of the manifest has another value since, which the next manifest does not have.
    let (with_a, without_a) = (0b10, 0b100);
    let steps = [
        Step::Deployed(with_a),
        Step::Changed(3),
        Step::RolledBack(without_a, false),
    ];
    both.run(Kind::Deployment, "x", &steps).await.unwrap();
}

const NEVER: Option<fn()> = None;

#[tokio::test]
#[ignore = "real: needs the local stack"]
async fn another_strategy_clears_the_default_and_a_rollback_brings_it_back() {
    let both = Both::new("strategy").await;
    let rolling = Kind::Deployment.manifest("x", 0);
    let mut recreate = rolling.clone();
    recreate["spec"]["strategy"] = json!({"type": "Recreate"});
    let strategy = || {
        let live = Both::live(&both.ours, Kind::Deployment, "x").unwrap();
        live["spec"]["strategy"].clone()
    };
    let default = json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}});
    both.deploy(&rolling, NEVER).await.unwrap();
    both.deploy(&recreate, Some(|| {})).await.unwrap();
    assert_eq!(strategy(), default);
    both.deploy(&recreate, NEVER).await.unwrap();
    assert_eq!(strategy(), json!({"type": "Recreate"}));
    both.deploy(&rolling, Some(|| {})).await.unwrap();
    assert_eq!(strategy(), json!({"type": "Recreate"}));
    both.deploy(&rolling, NEVER).await.unwrap();
    assert_eq!(strategy(), default);

    // The first version was applied client-side: kubectl itself is rejected.
    Both::kubectl(&both.ours, &["delete", "deployment", "x"], None).unwrap();
    let apply = ["apply", "--filename=-"];
    Both::kubectl(&both.ours, &apply, Some(&rolling)).unwrap();
    both.deploy(&recreate, NEVER).await.unwrap();
    assert_eq!(strategy(), json!({"type": "Recreate"}));
}

#[tokio::test]
#[ignore = "real: needs the local stack"]
async fn another_update_strategy_clears_the_default_of_a_set() {
    let both = Both::new("sets").await;
    let nowhere =
        json!({"nodeSelector": {"nowhere": "x"}, "containers": [{"name": "app", "image": "x"}]});
    let spec = |pod: Value| json!({"selector": {"matchLabels": {"app": "x"}}, "template": {"metadata": {"labels": {"app": "x"}}, "spec": pod}});
    let daemons = json!({"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "x"}, "spec": spec(nowhere)});
    both.cluster
        .discover_kinds(&[object(&both.ours, daemons.clone())])
        .await
        .unwrap();
    for rolling in [Kind::StatefulSet.manifest("x", 0), daemons] {
        let resource = rolling["kind"].as_str().unwrap().to_lowercase();
        let strategy = || {
            let path = "--output=jsonpath={.spec.updateStrategy}";
            let text = Both::kubectl(&both.ours, &["get", &resource, "x", path], None);
            serde_json::from_str::<Value>(&text.unwrap()).unwrap()
        };
        let mut by_hand = rolling.clone();
        by_hand["spec"]["updateStrategy"] = json!({"type": "OnDelete"});
        both.deploy(&rolling, NEVER).await.unwrap();
        let default = strategy();
        both.deploy(&by_hand, Some(|| {})).await.unwrap();
        assert_eq!(strategy(), default, "{resource}");
        both.deploy(&by_hand, NEVER).await.unwrap();
        assert_eq!(strategy(), json!({"type": "OnDelete"}), "{resource}");
        both.deploy(&rolling, NEVER).await.unwrap();
        assert_eq!(strategy(), default, "{resource}");
    }
}

#[tokio::test]
#[ignore = "real: needs the local stack"]
async fn another_template_of_a_job_that_is_not_done_is_rejected_as_by_kubectl() {
    let both = Both::new("jobs").await;
    let first = Kind::Job.manifest("x", 0);
    let mut other = first.clone();
    other["spec"]["template"]["spec"]["containers"][0]["image"] = "y".into();
    let by = format!("--field-manager={FIELD_MANAGER}");
    let apply = ["apply", "--filename=-", "--server-side", &by];
    let live = || Both::live(&both.ours, Kind::Job, "x").unwrap();
    both.deploy(&first, NEVER).await.unwrap();
    Both::kubectl(&both.judge, &apply, Some(&first)).unwrap();
    let before = live();
    let ours = both.deploy(&other, NEVER).await.unwrap_err();
    let judge = Both::kubectl(&both.judge, &apply, Some(&other)).unwrap_err();
    for rejected in [format!("{ours:#}"), judge] {
        assert!(rejected.contains("field is immutable"), "{rejected}");
    }
    assert_eq!(exact(&before), exact(&live()));
    assert_eq!(owners(before), owners(live()));
}

#[tokio::test]
#[ignore = "real: needs the local stack"]
async fn what_another_deployer_set_is_removed_the_first_time() {
    let both = Both::new("deployers").await;
    let manifest = Kind::ConfigMap.manifest("x", 1);
    let more = Kind::ConfigMap.manifest("x", 3);
    let live = || Both::live(&both.ours, Kind::ConfigMap, "x").unwrap();
    for manager in ["kubectl", "helm"] {
        let by = format!("--field-manager={manager}");
        let apply = ["apply", "--filename=-", "--server-side", &by];
        Both::kubectl(&both.ours, &apply, Some(&more)).unwrap();
        both.deploy(&manifest, Some(|| {})).await.unwrap();
        assert_eq!(live()["data"], more["data"]);
        both.deploy(&manifest, NEVER).await.unwrap();
        assert_eq!(live()["data"], manifest["data"]);
        Both::kubectl(&both.ours, &["delete", "configmap", "x"], None).unwrap();
    }
}

#[tokio::test]
#[ignore = "real: needs the local stack"]
async fn after_a_rollback_the_next_deployment_leaves_what_is_not_in_the_manifests() {
    let both = Both::new("defaults").await;
    let class = format!("class-{}", std::process::id());
    let mut claim = Kind::Claim.manifest("x", 0);
    both.deploy(&claim, NEVER).await.unwrap();
    both.set_default(Kind::Claim, "x", "storageClassName", &class);
    let ingress = |features| Kind::Ingress.manifest("x", features);
    both.deploy(&ingress(0), NEVER).await.unwrap();
    both.set_default(Kind::Ingress, "x", "ingressClassName", &class);
    // Its selector, and the labels of its template, are of the API server.
    both.deploy(&Kind::Job.manifest("x", 0), NEVER)
        .await
        .unwrap();
    let deployment = Kind::Deployment.manifest("x", 0);
    both.deploy(&deployment, NEVER).await.unwrap();
    let scale = ["scale", "deployment", "x", "--replicas=3"];
    Both::kubectl(&both.ours, &scale, None).unwrap();

    claim["metadata"]["labels"] = json!({"bad": "x"});
    both.deploy(&claim, Some(|| {})).await.unwrap();
    both.deploy(&ingress(1), Some(|| {})).await.unwrap();
    both.deploy(&Kind::Job.manifest("x", 1), Some(|| {}))
        .await
        .unwrap();
    both.deploy(&Kind::Deployment.manifest("x", 0xffff), Some(|| {}))
        .await
        .unwrap();
    claim["metadata"]["labels"] = json!({"good": "x"});
    both.deploy(&claim, NEVER).await.unwrap();
    both.deploy(&ingress(2), NEVER).await.unwrap();
    both.deploy(&Kind::Job.manifest("x", 4), NEVER)
        .await
        .unwrap();
    both.deploy(&Kind::Deployment.manifest("x", 2), NEVER)
        .await
        .unwrap();
    let claim = Both::live(&both.ours, Kind::Claim, "x").unwrap();
    assert_eq!(claim["spec"]["storageClassName"], class);
    let ingress = Both::live(&both.ours, Kind::Ingress, "x").unwrap();
    assert_eq!(ingress["spec"]["ingressClassName"], class);
    let deployment = Both::live(&both.ours, Kind::Deployment, "x").unwrap();
    assert_eq!(deployment["spec"]["replicas"], 3);
}
