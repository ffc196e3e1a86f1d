//! A live object is what kubectl's server-side apply of the same manifest gives, after any history; a deployment that
//! was rolled back leaves no trace. Judged by kubectl, with the real API server: each step is made in two namespaces.

mod kinds;

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
use crate::steps::{apply, dry_run, roll_back};

const LIMITS: crate::rollout::Limits = crate::rollout::Limits {
    timeout: std::time::Duration::from_secs(30),
    restarts: 0,
};
const SEQUENCES: u32 = 24;
const STEPS: usize = 7;

/// What happens to an object.
#[derive(Debug, Clone)]
enum Step {
    /// A manifest is deployed.
    Deployed(u16),
    /// A manifest is deployed and rolled back; meanwhile someone adds a label.
    RolledBack(u16, bool),
    /// A manifest is applied by `kubectl apply`, client-side.
    ClientSide(u16),
    /// Someone changes the object by kubectl: the number of the change.
    Changed(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => any::<u16>().prop_map(Step::Deployed),
        4 => any::<(u16, bool)>().prop_map(|(features, meanwhile)| Step::RolledBack(features, meanwhile)),
        2 => any::<u16>().prop_map(Step::ClientSide),
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
            // A change of what does not exist yet changes nothing, in both.
            let _ = Self::kubectl(namespace, args, stdin);
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
        dry_run::validate(&log, &self.cluster, &objects).await?;
        let snapshot = Snapshot::read(&self.cluster, &objects).await?;
        let mut report = crate::report::Report::new(
            format!("x@sha256:{}", "0".repeat(64)).parse().unwrap(),
            std::time::Instant::now(),
        );
        apply::apply(&log, &self.cluster, &objects, snapshot, LIMITS, &mut report).await?;
        if let Some(meanwhile) = meanwhile {
            meanwhile();
            let snapshot = report.snapshot.take().unwrap();
            roll_back::restore(&snapshot, &self.cluster, &log).await?;
        }
        Ok(())
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
        for (count, step) in steps.iter().enumerate() {
            let done = &steps[..=count];
            match step {
                Step::Deployed(features) => {
                    let manifest = kind.manifest(name, *features);
                    let ours = self.deploy(&manifest, None::<fn()>).await;
                    let judge = Self::kubectl(&self.judge, &server_side, Some(&manifest));
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
                    }
                }
                Step::ClientSide(features) => {
                    self.in_both(&apply, Some(&kind.manifest(name, *features)));
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

// What must not change when a deployment is rolled back: everything but owners that were taken over, and counters.
fn exact(live: &Value) -> Value {
    let mut live = live.clone();
    let metadata = live["metadata"].as_object_mut().unwrap();
    for field in ["resourceVersion", "generation", "managedFields"] {
        metadata.remove(field);
    }
    live["status"] = Value::Null;
    live
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
                    "clusterIP" | "clusterIPs" | "nodePort" | "healthCheckNodePort"
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
    // As the API server does where there is a default class.
    let patch = json!({"spec": {"storageClassName": class}}).to_string();
    let patch = [
        "patch",
        "persistentvolumeclaim",
        "x",
        "--type=merge",
        "--patch",
        &patch,
    ];
    Both::kubectl(&both.ours, &patch, None).unwrap();
    let deployment = Kind::Deployment.manifest("x", 0);
    both.deploy(&deployment, NEVER).await.unwrap();
    let scale = ["scale", "deployment", "x", "--replicas=3"];
    Both::kubectl(&both.ours, &scale, None).unwrap();

    claim["metadata"]["labels"] = json!({"bad": "x"});
    both.deploy(&claim, Some(|| {})).await.unwrap();
    both.deploy(&Kind::Deployment.manifest("x", 0xffff), Some(|| {}))
        .await
        .unwrap();
    claim["metadata"]["labels"] = json!({"good": "x"});
    both.deploy(&claim, NEVER).await.unwrap();
    both.deploy(&Kind::Deployment.manifest("x", 2), NEVER)
        .await
        .unwrap();
    let claim = Both::live(&both.ours, Kind::Claim, "x").unwrap();
    assert_eq!(claim["spec"]["storageClassName"], class);
    let deployment = Both::live(&both.ours, Kind::Deployment, "x").unwrap();
    assert_eq!(deployment["spec"]["replicas"], 3);
}
