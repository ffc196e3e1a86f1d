//! A run that is cancelled, at each stage: the previous version stays, and GitHub has the state.

use std::sync::Arc;
use std::sync::atomic::AtomicI32;

use fake_azure::ApiServer;
use fake_github::GitHub;
use serde_json::Value;
use testkit::{FakeRunner, Fault, Ran};

use crate::stack::{Stack, get, run};

/// The server whose request triggers the signal.
#[derive(Clone, Copy)]
enum At {
    Azure,
    Cluster,
    GitHub,
}

struct Stage {
    name: &'static str,
    at: At,
    request: String,
    /// Whether there is something to roll back by then.
    changed: bool,
}

fn stages(namespace: &str) -> Vec<Stage> {
    let app = format!("PATCH /apis/apps/v1/namespaces/{namespace}/deployments/app?");
    let stage = |name, at, request: &str, changed| Stage {
        name,
        at,
        request: request.into(),
        changed,
    };
    vec![
        stage("it signs in", At::Azure, "/oauth2/v2.0/token", false),
        stage(
            "it queries the registry",
            At::Azure,
            "ContainerRegistry/registries",
            false,
        ),
        stage(
            "it discovers the kinds",
            At::Cluster,
            "GET /apis/apps/v1",
            false,
        ),
        stage(
            "it runs the dry run",
            At::Cluster,
            &format!("{app}&dryRun=All"),
            false,
        ),
        stage(
            "it pushes",
            At::GitHub,
            "POST /repos/octo-org/app/deployments",
            false,
        ),
        stage(
            "it applies",
            At::Cluster,
            &format!("{app}&force=true"),
            true,
        ),
        stage("it waits", At::Cluster, "/replicasets?", true),
    ]
}

/// A healthy version and its servers.
struct Scene {
    stack: Stack,
    front: ApiServer,
    github: GitHub,
    access: &'static str,
    manifests: String,
}

impl Scene {
    async fn new(name: &str, access: &'static str) -> Self {
        let (stack, front) = Stack::fronted(&format!("{name}-{access}"), |_| {}).await;
        Self {
            manifests: stack.manifests(80, "", ""),
            github: GitHub::start("t").await.unwrap(),
            stack,
            front,
            access,
        }
    }

    fn step(&self, image: &str) -> FakeRunner {
        let step = self.stack.step(image, &self.manifests);
        step.input("cluster-access", self.access)
            .input("rollout-timeout", "30s")
            .input("environment", "production")
            .input("token", "t")
            .env("GITHUB_API_URL", &self.github.url())
    }

    /// Deploy `image` in a run that is cancelled at `stage`.
    async fn stopped(&self, image: &str, stage: &Stage) -> Ran {
        self.signaled(image, stage, Fault::terminate).await
    }

    /// Deploy `image` in a run that gets a signal at `stage`.
    async fn signaled(
        &self,
        image: &str,
        stage: &Stage,
        signal: fn(&str, &Arc<AtomicI32>) -> Fault,
    ) -> Ran {
        let step = self.step(image);
        let signal = signal(&stage.request, step.process());
        match stage.at {
            At::Azure => self.stack.azure.expect(signal),
            At::Cluster => self.front.expect(signal),
            At::GitHub => self.github.expect(signal),
        }
        run(step).await
    }

    fn deployed(&self) -> Value {
        self.stack.spec("deployment/app")
    }
}

#[tokio::test]
#[ignore = "real: needs the local stack"]
async fn a_cancelled_run_leaves_the_old_version_at_every_stage() {
    for access in ["direct", "run-command"] {
        let scene = Scene::new("cancel", access).await;
        let good = scene.stack.build("one", "well").await;
        let slow = scene.stack.build("two", "slow").await;
        let ran = run(scene.step(&good)).await;
        assert_eq!(ran.code, 0, "{}", ran.log);
        let (image, url) = (ran.output("image"), ran.output("url"));
        let before = scene.deployed();
        for stage in stages(&scene.stack.namespace) {
            let (ran, name) = (scene.stopped(&slow, &stage).await, stage.name);
            let context = format!("{access}, {name}: {}", ran.log);
            assert_eq!((ran.code, ran.output("result")), (2, "error"), "{context}");
            let error = ran.error();
            assert!(error.contains("stopped by SIGTERM"), "{context}");
            let restored = error.contains(&format!("rolled back to `{image}`"));
            assert_eq!(restored, stage.changed, "{context}");
            let rolled_back = ran.outputs.get("rolled-back").map(String::as_str);
            assert_eq!(rolled_back == Some("true"), stage.changed, "{context}");
            assert_eq!(scene.deployed(), before, "{context}");
            assert_eq!(get(url).await["commit"], "one", "{context}");
        }
        assert!(scene.front.is_met());
        // Each deployment on GitHub has a final state.
        for (_, states) in scene.github.deployments() {
            let last = states.last().map(String::as_str);
            assert!(matches!(last, Some("success" | "error")), "{states:?}");
        }
        scene.stack.forget(&[&good, &slow]).await;
    }
}

#[tokio::test]
#[ignore = "real: needs the local stack"]
async fn after_a_run_that_is_killed_at_any_stage_the_next_one_continues() {
    let scene = Scene::new("kill", "direct").await;
    let good = scene.stack.build("one", "well").await;
    let slow = scene.stack.build("two", "slow").await;
    let fine = scene.stack.build("three", "well").await;
    let ran = run(scene.step(&good)).await;
    assert_eq!(ran.code, 0, "{}", ran.log);
    let url = ran.output("url");
    for stage in stages(&scene.stack.namespace) {
        let before = scene.deployed();
        let (ran, name) = (scene.signaled(&slow, &stage, Fault::kill).await, stage.name);
        // The runner has nothing but what was in the log.
        assert_eq!(ran.outputs.get("result"), None, "{name}: {}", ran.log);
        // What was sent with the signal may have arrived: the new version, which is not ready.
        assert!(stage.changed || scene.deployed() == before, "{name}");
        assert_eq!(get(url).await["commit"], "one", "{name}");
        let ran = run(scene.step(&fine)).await;
        assert_eq!(
            (ran.code, ran.output("result")),
            (0, "deployed"),
            "{name}: {}",
            ran.log
        );
        assert_eq!(get(url).await["commit"], "three", "{name}");
        let ran = run(scene.step(&good)).await;
        assert_eq!(ran.code, 0, "{name}: {}", ran.log);
        assert_eq!(scene.deployed()["replicas"], 2, "{name}");
    }
    assert!(scene.front.is_met());
    scene.stack.forget(&[&good, &slow, &fine]).await;
}
