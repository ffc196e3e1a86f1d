//! A dry run shows what a deployment would change, and sends nothing that changes something.

use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};
use testkit::{FakeDocker, FakeRunner, Ran, Recorder, Seen};

use crate::step_without_azure;

const KINDS: &str = r#"{"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": "apps/v1", "resources": [{"name": "deployments", "singularName": "deployment", "namespaced": true, "kind": "Deployment", "verbs": ["get", "list", "patch"]}]}"#;
const NONE: &str = r#"{"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "reason": "NotFound", "message": "not found", "code": 404}"#;
const DEPLOYMENT: &str = "/apis/apps/v1/namespaces/web/deployments/flask-app";

fn live() -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "flask-app", "namespace": "web", "uid": "1", "resourceVersion": "1"},
        "spec": {"template": {"spec": {"containers": [{"name": "app", "image": "registry.example/flask-app:0"}]}}},
    })
}

// An API server that has the Deployment, and responds to a dry run with the object that it got.
fn cluster(seen: &Seen) -> Response {
    let (method, target) = seen.line.split_once(' ').unwrap();
    let path = target.split('?').next().unwrap();
    match (method, path) {
        ("GET", "/version") => r#"{"major": "1", "minor": "34", "gitVersion": "v1.34.0", "gitCommit": "", "gitTreeState": "", "buildDate": "", "goVersion": "", "compiler": "", "platform": ""}"#.into_response(),
        ("GET", "/apis/apps/v1") => KINDS.into_response(),
        ("GET", DEPLOYMENT) => live().to_string().into_response(),
        ("PATCH", DEPLOYMENT) => {
            let mut applied: Value = serde_json::from_slice(&seen.body).unwrap();
            applied["metadata"] = live()["metadata"].clone();
            applied.to_string().into_response()
        }
        _ => (StatusCode::NOT_FOUND, NONE).into_response(),
    }
}

// What would change something: a request that neither reads nor is a dry run.
fn writes(seen: &[Seen]) -> Vec<&str> {
    let lines = seen.iter().map(|seen| seen.line.as_str());
    let is_write = |line: &&str| {
        let (method, target) = line.split_once(' ').unwrap();
        !matches!(method, "GET" | "HEAD") && !target.contains("dryRun=All")
    };
    lines.filter(is_write).collect()
}

async fn run(step: FakeRunner) -> Ran {
    tokio::task::spawn_blocking(move || step.run())
        .await
        .expect("the step runs")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_changes_are_shown_and_nothing_is_changed() {
    let server = Recorder::start(cluster).await.unwrap();
    let docker = FakeDocker::with("flask-app:1");
    let github = Recorder::start(|_| StatusCode::NOT_FOUND.into_response());
    let github = github.await.unwrap();
    let step = step_without_azure("flask-app:1", "registry.example", &server.host())
        .env("DOCKER_HOST", &docker.host())
        .env("GITHUB_API_URL", &format!("http://{}", github.host()))
        .input("environment", "production")
        .input("token", "a-token")
        .input("dry-run", "true");
    let ran = run(step).await;
    assert_eq!(
        (ran.code, ran.output("result")),
        (0, "planned"),
        "{}",
        ran.log
    );
    for line in [
        "flask-app:1 would be pushed to registry.example/flask-app:1",
        "Deployment/flask-app: spec.template.spec.containers[app].image: registry.example/flask-app:0 → registry.example/flask-app:1",
        "the tag `latest` would move to this image",
    ] {
        assert!(ran.log.contains(line), "{line}: {}", ran.log);
    }
    assert_eq!(ran.output("previous-image"), "registry.example/flask-app:0");
    assert!(ran.summary.contains("Dry run"), "{}", ran.summary);

    let requests = server.seen();
    assert_eq!(writes(&requests), Vec::<&str>::new());
    let is_dry_run = |seen: &Seen| seen.line.starts_with(&format!("PATCH {DEPLOYMENT}?"));
    assert!(requests.iter().any(is_dry_run), "{requests:?}");
    assert_eq!(github.seen(), Vec::<Seen>::new());
    let changes = docker.requests().into_iter();
    let changes: Vec<_> = changes.filter(|line| !line.starts_with("GET ")).collect();
    assert_eq!(changes, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_that_the_cluster_would_reject_fail_a_dry_run_too() {
    let server = Recorder::start(|seen| {
        if seen.line.starts_with("PATCH ") {
            let invalid = r#"{"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "reason": "Invalid", "message": "Deployment is invalid: spec.selector: Required value", "code": 422}"#;
            return (StatusCode::UNPROCESSABLE_ENTITY, invalid).into_response();
        }
        cluster(seen)
    });
    let server = server.await.unwrap();
    let docker = FakeDocker::with("flask-app:1");
    let step = step_without_azure("flask-app:1", "registry.example", &server.host())
        .env("DOCKER_HOST", &docker.host())
        .input("dry-run", "true");
    let ran = run(step).await;
    assert_eq!(
        (ran.code, ran.output("result")),
        (3, "error"),
        "{}",
        ran.log
    );
    let error = "the API server would reject the objects, so nothing was changed";
    assert!(ran.error().contains(error), "{}", ran.error());
    assert_eq!(writes(&server.seen()), Vec::<&str>::new());
}
