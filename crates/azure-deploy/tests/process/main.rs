//! The built binary in the environment of a step.

#![allow(clippy::unwrap_used)] // in a test, a panic is the report

mod engine;
mod kustomize;

use std::path::Path;

use engine::Engine;

use testkit::{Azure, AzureConfig, FakeRunner, Fault, Ran};

const MANIFEST: &str = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: flask-app, namespace: web}\nspec:\n  template:\n    spec:\n      containers: [{name: app, image: 'drydock.azurecr.io/flask-app:latest'}]\n";
const TENANT: &str = "11111111-1111-4111-8111-111111111111";
const CLIENT: &str = "22222222-2222-4222-8222-222222222222";
const SUBSCRIPTION: &str = "33333333-3333-4333-8333-333333333333";

fn step() -> FakeRunner {
    FakeRunner::new(env!("CARGO_BIN_EXE_azure-deploy"))
        .file("k8s/deployment.yaml", MANIFEST)
        .input("image", "flask-app:1")
        .input("client-id", CLIENT)
        .input("tenant-id", TENANT)
        .input("subscription-id", SUBSCRIPTION)
        .input("registry", "drydock")
        .input("resource-group", "drydock")
        .input("cluster", "drydock")
}

fn refused(ran: &Ran, error: &str) {
    assert_eq!(
        (ran.code, ran.output("result")),
        (3, "error"),
        "{}",
        ran.log
    );
    assert_eq!(ran.error(), format!("azure-deploy: {error}"));
    assert!(ran.summary.contains("bad input"), "{}", ran.summary);
    assert_eq!(ran.output("rolled-back"), "");
}

#[test]
fn bad_input_is_named_before_anything_is_started() {
    let table = [
        (
            "image",
            "",
            "input `image`: is required and was empty or absent (The image to deploy, in the engine: `repository:tag`.)",
        ),
        (
            "image",
            "flask-app",
            "input `image`: `flask-app` needs a tag and no digest: the tag is what it is pushed under",
        ),
        (
            "image",
            "other:1",
            "input `image`: no container of the manifests has an image called `other`; they have: drydock.azurecr.io/flask-app:latest",
        ),
        (
            "tenant-id",
            "contoso.com",
            "input `tenant-id`: `contoso.com` is no id such as `00000000-0000-0000-0000-000000000000`",
        ),
        (
            "registry",
            "drydock.azurecr.io",
            "input `registry`: `drydock.azurecr.io` is a host or path; the name of the resource is wanted (`drydock`)",
        ),
        (
            "manifests",
            "nowhere",
            "input `manifests`: `nowhere` can't be read: No such file or directory (os error 2)",
        ),
        (
            "manifests",
            "../k8s",
            "input `manifests`: `../k8s` must not have `..` in it",
        ),
        (
            "repository",
            "team/flask-app",
            "input `image`: no container of the manifests has an image called `team/flask-app`; they have: drydock.azurecr.io/flask-app:latest",
        ),
        (
            "repository",
            "drydock.azurecr.io/flask-app",
            "input `repository`: `drydock.azurecr.io/flask-app` has more than a repository in it (`flask-app`)",
        ),
        (
            "namespace",
            "other",
            "input `manifests`: `Deployment/flask-app` in `k8s/deployment.yaml` is for the namespace `web`, but the input `namespace` is `other`",
        ),
        (
            "also-push",
            "flask-app:2\nflask-app@",
            "input `also-push`: `flask-app@`: `` is no digest: `sha256:` and 64 hex digits",
        ),
        (
            "resource-group",
            "a/b",
            "input `resource-group`: `a/b` is a path; the name of the resource group is wanted",
        ),
        (
            "health-path",
            "health",
            "input `health-path`: `health` does not begin with `/`",
        ),
        (
            "rollout-timeout",
            "soon",
            "input `rollout-timeout`: `soon` is no length of time such as `90s` or `5m`",
        ),
        (
            "authority-host",
            "http://login.example",
            "input `authority-host`: `http://login.example` would send credentials in the clear; use https",
        ),
        (
            "latest",
            "yes",
            "input `latest`: `yes` is neither `true` nor `false`",
        ),
    ];
    for (name, value, error) in table {
        refused(&step().input(name, value).run(), error);
    }
}

#[test]
fn inputs_that_do_not_go_together_are_named() {
    let table = [
        (
            "environment-variables",
            "A=1\nB",
            "input `environment-variables`: `B` is no `NAME=value`",
        ),
        (
            "kubeconfig",
            "x",
            "input `kubeconfig`: says which cluster, and so does `cluster`; give one of them",
        ),
        ("username", "me", "input `password`: goes with `username`"),
        (
            "registry",
            "ghcr.io/octo-org",
            "input `registry`: `ghcr.io/octo-org` has a path or scheme in it; the host is wanted, and the path belongs to `repository`",
        ),
        (
            "environment",
            "production",
            "input `token`: is not set, and `environment` needs it: `${{ github.token }}`",
        ),
        (
            "client-id",
            "",
            "input `client-id`: is required and was empty or absent",
        ),
        (
            "clusters",
            "x",
            "input `clusters` is unknown; did you mean `cluster`?",
        ),
    ];
    for (name, value, error) in table {
        refused(&step().input(name, value).run(), error);
    }
}

#[test]
fn a_manifest_that_does_not_parse_is_named() {
    let ran = step().file("k8s/service.yaml", "kind: [").run();
    assert_eq!(ran.code, 3);
    assert!(
        ran.error()
            .starts_with("azure-deploy: input `manifests`: `k8s/service.yaml` is no YAML"),
        "{}",
        ran.error()
    );
}

#[test]
fn without_an_engine_it_says_so() {
    let ran = step().env("DOCKER_HOST", "unix:///nonexistent.sock").run();
    assert_eq!((ran.code, ran.output("result")), (2, "error"));
    assert!(ran.error().contains("is Docker running"), "{}", ran.error());
}

#[test]
fn the_declaration_is_what_authors_read() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    assert_eq!(
        testkit::contract::differences(&azure_deploy::ACTION, &root),
        Vec::<String>::new()
    );
}

#[test]
fn an_image_that_the_engine_does_not_have_is_bad_input() {
    let engine = Engine::with("other:1");
    let step = step().env("DOCKER_HOST", &engine.host());
    refused(
        &step.run(),
        "input `image`: the engine has no image `flask-app:1`; build or pull it in an earlier step",
    );
}

// What Azure and the cluster say, up to the first push.

fn signed_in(azure: &Azure, engine: &Engine) -> FakeRunner {
    step()
        .input("authority-host", &azure.url())
        .input("resource-manager", &azure.url())
        .env("DOCKER_HOST", &engine.host())
        .env("ACTIONS_ID_TOKEN_REQUEST_URL", &azure.oidc_url())
        .env("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "oidc-request-token")
}

fn config() -> AzureConfig {
    AzureConfig::new(TENANT, CLIENT, SUBSCRIPTION)
}

async fn run(step: FakeRunner) -> Ran {
    tokio::task::spawn_blocking(move || step.run())
        .await
        .expect("the step runs")
}

#[tokio::test]
async fn without_the_right_to_a_token_the_permission_is_named() {
    let azure = Azure::start(config()).await.unwrap();
    let engine = Engine::with("flask-app:1");
    let step = signed_in(&azure, &engine).env("ACTIONS_ID_TOKEN_REQUEST_URL", "");
    refused(
        &run(step).await,
        "the job cannot get an OIDC token; add `permissions: id-token: write` to the job",
    );
    assert_eq!(azure.journal(), Vec::<String>::new());
}

#[tokio::test]
async fn a_run_that_the_application_does_not_trust_learns_what_to_set() {
    let mut config = config();
    config.run_subject = "repo:octo-org/app:ref:refs/heads/fix".into();
    let azure = Azure::start(config).await.unwrap();
    let engine = Engine::with("flask-app:1");
    let ran = run(signed_in(&azure, &engine)).await;
    assert_eq!((ran.code, ran.output("result")), (2, "error"));
    let said = ran.error();
    let start = "azure-deploy: the application trusts no such run (AADSTS700213: No matching federated identity record found for presented assertion subject 'repo:octo-org/app:ref:refs/heads/fix'";
    let cure = "; add a federated credential with exactly these values: issuer `https://token.actions.githubusercontent.com`, subject `repo:octo-org/app:ref:refs/heads/fix`, audience `api://AzureADTokenExchange`";
    assert!(said.starts_with(start) && said.ends_with(cure), "{said}");
    let asked = azure.journal();
    assert!(!asked.iter().any(|line| line.contains("/subscriptions/")));
}

#[tokio::test]
async fn a_missing_role_is_named() {
    let azure = Azure::start(config()).await.unwrap();
    let engine = Engine::with("flask-app:1");
    azure.expect(Fault::new(
        "listClusterUserCredential",
        403,
        r#"{"error": {"code": "AuthorizationFailed", "message": "no right to 'listClusterUserCredential/action'."}}"#,
    ));
    let ran = run(signed_in(&azure, &engine)).await;
    assert_eq!((ran.code, ran.output("result")), (2, "error"));
    assert!(
        ran.error().ends_with("AuthorizationFailed: no right to 'listClusterUserCredential/action'; give the identity a role with that right, on the resource or its group"),
        "{}",
        ran.error()
    );
}

#[tokio::test]
async fn a_cluster_out_of_reach_is_explained_and_no_token_is_shown() {
    let folder = tempfile::tempdir().unwrap();
    let kubeconfig = folder.path().join("config");
    let closed = r#"{"clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:1", "certificate-authority-data": ""}}]}"#;
    std::fs::write(&kubeconfig, closed).unwrap();
    let mut config = config();
    config.kubeconfig = Some(kubeconfig);
    config.authorized_ranges = vec!["203.0.113.0/24".into()];
    let azure = Azure::start(config).await.unwrap();
    let engine = Engine::with("flask-app:1");
    let step = signed_in(&azure, &engine);
    let folder = step.folder().to_owned();
    let files = |folder: &Path| walk(folder).concat();
    let ran = tokio::task::spawn_blocking(move || {
        let ran = step.run();
        (ran, files(&folder))
    });
    let (ran, left) = ran.await.unwrap();
    assert_eq!((ran.code, ran.output("result")), (2, "error"));
    let error = ran.error();
    assert!(
        error.starts_with("azure-deploy: the cluster's API server `https://127.0.0.1:1` can't be used: only 203.0.113.0/24 may reach it; add the runner's address to the authorized IP ranges, or use a runner inside them: "),
        "{error}"
    );
    assert!(error.contains("Connection refused"), "{error}");
    // The runner reads the masks and hides what they name.
    let left = left
        .lines()
        .filter(|line| !line.starts_with("::add-mask::"));
    let left: String = left.collect();
    for secret in ["cluster-token", "arm-2222", "oidc-request-token"] {
        assert!(
            ran.log.contains(&format!("::add-mask::{secret}")),
            "{secret}"
        );
        assert!(!left.contains(secret), "{secret}: {left}");
    }
}

// Whatever is in the runner's folder after the step: log, outputs, summary, workspace, temporary files.
fn walk(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap().flatten();
    entries
        .flat_map(|entry| {
            if entry.path().is_dir() {
                walk(&entry.path())
            } else {
                vec![std::fs::read_to_string(entry.path()).unwrap_or_default()]
            }
        })
        .collect()
}
