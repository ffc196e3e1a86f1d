//! The built binary in the environment of a step.

#![expect(clippy::unwrap_used, reason = "in a test, a panic is the report")]

mod azure;
mod dry_run;
mod endless;
mod kustomize;
mod network;
mod registry;

use std::net::TcpListener;
use std::path::Path;

use testkit::{FakeDocker, FakeRunner, Ran};

const MANIFEST: &str = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: flask-app, namespace: web}\nspec:\n  template:\n    spec:\n      containers: [{name: app, image: 'seaworthy.azurecr.io/flask-app:latest'}]\n";
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
        .input("registry", "seaworthy")
        .input("resource-group", "seaworthy")
        .input("cluster", "seaworthy")
}

/// A step that deploys `image` from `registry`, to the cluster at `server`.
fn step_without_azure(image: &str, registry: &str, server: &str) -> FakeRunner {
    let manifest = MANIFEST.replace("seaworthy.azurecr.io/flask-app:latest", image);
    let kubeconfig = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: a\ncontexts: [{{name: a, context: {{cluster: a, user: a}}}}]\nclusters: [{{name: a, cluster: {{server: 'http://{server}'}}}}]\nusers: [{{name: a, user: {{token: t}}}}]\n"
    );
    FakeRunner::new(env!("CARGO_BIN_EXE_azure-deploy"))
        .file("k8s/deployment.yaml", &manifest)
        .input("image", image)
        .input("registry", registry)
        .input("kubeconfig", &kubeconfig)
}

/// A server that accepts connections and never responds, and its address.
fn silent_server() -> (TcpListener, String) {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap().to_string();
    (server, address)
}

fn rejected(ran: &Ran, error: &str) {
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
            "input `image`: is required (Image to deploy: `repository:tag` in Docker, or with host or digest in a registry.)",
        ),
        (
            "image",
            "flask-app",
            "input `image`: `flask-app` needs a tag or a digest",
        ),
        (
            "image",
            "other:1",
            "input `image`: no container of the manifests has an image called `other`; they have: seaworthy.azurecr.io/flask-app:latest",
        ),
        (
            "tenant-id",
            "contoso.com",
            "input `tenant-id`: invalid ID `contoso.com`; use a form such as `00000000-0000-0000-0000-000000000000`",
        ),
        (
            "registry",
            "seaworthy.azurecr.io",
            "input `registry`: `seaworthy.azurecr.io` is a host or path; use the name of the resource (`seaworthy`)",
        ),
        (
            "manifests",
            "nowhere",
            "input `manifests`: there is no `nowhere` in the workspace",
        ),
        (
            "manifests",
            "../k8s",
            "input `manifests`: `../k8s` must not contain `..`",
        ),
        (
            "repository",
            "team/flask-app",
            "input `image`: no container of the manifests has an image called `team/flask-app`; they have: seaworthy.azurecr.io/flask-app:latest",
        ),
        (
            "repository",
            "seaworthy.azurecr.io/flask-app",
            "input `repository`: `seaworthy.azurecr.io/flask-app` is more than a repository; use `flask-app`",
        ),
        (
            "namespace",
            "other",
            "input `manifests`: `Deployment/flask-app` in `k8s/deployment.yaml` is for the namespace `web`, but the input `namespace` is `other`",
        ),
        (
            "also-push",
            "flask-app:2\nflask-app@",
            "input `also-push`: `flask-app@`: invalid digest ``; use `sha256:` and 64 hex digits",
        ),
        (
            "resource-group",
            "a/b",
            "input `resource-group`: `a/b` is a path; use the name of the resource group",
        ),
        (
            "rollout-timeout",
            "soon",
            "input `rollout-timeout`: invalid duration `soon`; use a form such as `90s`, `5m` or `1h30m`",
        ),
        (
            "authority-host",
            "http://login.example",
            "input `authority-host`: `http://login.example` would send credentials unencrypted; use https",
        ),
        (
            "latest",
            "yes",
            "input `latest`: invalid value `yes`; expected one of `true`, `false`",
        ),
    ];
    for (name, value, error) in table {
        rejected(&step().input(name, value).run(), error);
    }
}

#[test]
fn what_cannot_be_queried_for_the_health_is_bad_input() {
    let table = [
        (
            "health-path",
            "health",
            "input `health-path`: `health` does not begin with `/`",
        ),
        (
            "health-port",
            "70000",
            "input `health-port`: `70000` is not a port between 1 and 65535",
        ),
        (
            "health-port",
            "metrics",
            "input `health-port`: the application has no Service of type LoadBalancer; leave it out, or set `health-url`",
        ),
        (
            "health-url",
            "shop.example/health",
            "input `health-url`: `shop.example/health` is not a URL; use a form such as `https://shop.example/health`",
        ),
        (
            "health-url",
            "https://me:secret@shop.example/health",
            "input `health-url`: has a user or a password, which a health check does not send",
        ),
    ];
    for (name, value, error) in table {
        rejected(&step().input(name, value).run(), error);
    }
}

#[test]
fn inputs_that_do_not_go_together_are_named() {
    let table = [
        (
            "environment-variables",
            "A=1\nB",
            "input `environment-variables`: `B` is not of the form `NAME=value`",
        ),
        (
            "kubeconfig",
            "x",
            "input `kubeconfig`: names a cluster, and so does `cluster`; use one of them",
        ),
        (
            "cluster-access",
            "tunnel",
            "input `cluster-access`: invalid value `tunnel`; expected one of `direct`, `run-command`",
        ),
        (
            "username",
            "me",
            "input `password`: is required with `username`",
        ),
        (
            "registry",
            "ghcr.io/octo-org",
            "input `registry`: `ghcr.io/octo-org` has a path or scheme; use the host alone, and `repository` for the path",
        ),
        (
            "environment",
            "production",
            "input `token`: is required with `environment`: `${{ github.token }}`",
        ),
        (
            "deployment-record",
            "production",
            "input `token`: is required with `deployment-record`: `${{ github.token }}`",
        ),
        (
            "deployment-record",
            "production/",
            "input `deployment-record`: invalid stage `production/`; use a name such as `production`, or with the region `production/westeurope`",
        ),
        ("client-id", "", "input `client-id`: is required"),
        (
            "preview",
            "PR 7",
            "input `preview`: invalid name `PR 7`; use at most 30 lower-case letters, digits and `-`, such as `pr-123`, or `true` for the pull request of the run",
        ),
        (
            "preview",
            "true",
            "input `preview`: `true` takes the name from a pull request, which the event of this run has not; name the preview, such as `pr-123`",
        ),
        (
            "canary",
            "10",
            "input `canary`: invalid share `10`; use a percentage from `1%` to `99%`, such as `10%`",
        ),
        (
            "canary",
            "10%, 100%",
            "input `canary`: invalid share `100%`; use a percentage from `1%` to `99%`, such as `10%`",
        ),
        (
            "canary",
            "50%,10%",
            "input `canary`: each share must be larger than the one before it, as in `10%,50%`",
        ),
        (
            "manifests",
            "oci://charts/app",
            "input `manifests`: `oci://charts/app` has no host; use a form such as `oci://ghcr.io/octo-org/charts/app:1.2.0`",
        ),
        (
            "manifests",
            "oci://ghcr.io/octo-org/app",
            "input `manifests`: `oci://ghcr.io/octo-org/app` has no version; add it, as in `oci://ghcr.io/octo-org/app:1.2.0`",
        ),
        (
            "release",
            "shop",
            "input `release`: requires a Helm chart among the `manifests`",
        ),
        (
            "chart-values",
            "a=b",
            "input `chart-values`: requires a Helm chart among the `manifests`",
        ),
        (
            "clusters",
            "x",
            "input `clusters` is unknown; did you mean `cluster`?",
        ),
    ];
    for (name, value, error) in table {
        rejected(&step().input(name, value).run(), error);
    }
}

#[test]
fn inputs_of_a_chart_are_checked_before_anything_is_started() {
    let charts = || {
        let step = step().file("a/Chart.yaml", "name: a\n");
        step.file("b/Chart.yaml", "name: b\n")
    };
    let table = [
        (
            "a\nb",
            "a=b",
            "input `manifests`: there are two Helm charts, `a` and `b`; deploy each in its own step",
        ),
        (
            "a",
            "absent.yaml",
            "input `chart-values`: there is no file `absent.yaml` in the workspace, and it is not of the form `NAME=value`",
        ),
        (
            "a",
            "../x.yaml",
            "input `chart-values`: `../x.yaml` must not contain `..`",
        ),
    ];
    for (manifests, values, error) in table {
        let step = charts().input("manifests", manifests);
        rejected(&step.input("chart-values", values).run(), error);
    }
}

#[test]
fn a_manifest_that_does_not_parse_is_named() {
    let ran = step().file("k8s/service.yaml", "kind: [").run();
    assert_eq!(ran.code, 3);
    assert!(
        ran.error()
            .starts_with("azure-deploy: input `manifests`: invalid YAML in `k8s/service.yaml`"),
        "{}",
        ran.error()
    );
}

#[test]
fn what_is_not_a_set_of_manifests_is_named_with_its_place() {
    let by_path = [
        (
            "k8s/*.json",
            "input `manifests`: `k8s/*.json` matches no `.yaml`, `.yml` or `.json` file",
        ),
        (
            "https://example.com/app.yaml",
            "input `manifests`: `https://example.com/app.yaml` is a URL (https), which is not fetched: what is deployed would not be what was checked out; keep the file in the repository, or download it in an earlier step",
        ),
    ];
    for (path, error) in by_path {
        rejected(&step().input("manifests", path).run(), error);
    }
    let by_content = [
        (
            "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: batch/v1, kind: Job, metadata: {generateName: x-}}\n",
            "input `manifests`: an object of the kind `Job` in `k8s/more.yaml` has a `metadata.generateName`, which makes another object each time; give it a `metadata.name`",
        ),
        (
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n---\nkind: Service\nspec: {}\nspec: {}\n",
            "input `manifests`: invalid YAML in `k8s/more.yaml`, document 2: line 7 column 1: duplicate mapping key: spec",
        ),
        (
            MANIFEST,
            "input `manifests`: `Deployment/flask-app` is in `k8s/deployment.yaml` and in `k8s/more.yaml`",
        ),
    ];
    for (content, error) in by_content {
        let step = step().file("k8s/more.yaml", content);
        rejected(&step.input("manifests", "k8s/*").run(), error);
    }
}

#[test]
fn without_docker_the_error_says_so() {
    let ran = step().env("DOCKER_HOST", "unix:///nonexistent.sock").run();
    assert_eq!((ran.code, ran.output("result")), (2, "error"));
    assert!(ran.error().contains("is Docker running"), "{}", ran.error());
}

#[test]
fn action_yml_and_readme_are_generated_from_the_declaration() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    testkit::contract::check(&azure_deploy::ACTION, &root);
    testkit::contract::check_network(&azure_deploy::ACTION, azure_deploy::NETWORK, &root);
}

#[test]
fn an_image_that_docker_does_not_have_is_bad_input() {
    let docker = FakeDocker::with("other:1");
    let step = step().env("DOCKER_HOST", &docker.host());
    rejected(
        &step.run(),
        "input `image`: Docker has no image `flask-app:1`; build or pull it in an earlier step, or name its registry (`HOST/flask-app:1`) if it was pushed",
    );
}
