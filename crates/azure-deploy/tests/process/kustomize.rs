//! Directories that kustomize renders, by the real kustomize.

use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use testkit::{FakeRunner, Ran, Recorder, Seen};

use crate::{rejected, step};

const BASE: &str = "resources: [deployment.yaml]\n";
const OVERLAY: &str = "resources: [../../base]\nnamePrefix: shop-\nnamespace: shop\nimages: [{name: flask-app, newName: seaworthy.azurecr.io/shop}]\n";
const DEPLOYMENT: &str = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: app}\nspec:\n  template:\n    spec:\n      containers: [{name: app, image: flask-app}]\n";

fn overlay(kustomization: &str) -> FakeRunner {
    let path = std::env::var("PATH").unwrap();
    step()
        .env("PATH", &path)
        .env("DOCKER_HOST", "unix:///nonexistent.sock")
        .input("manifests", "deploy/overlays/shop")
        .file("deploy/base/kustomization.yaml", BASE)
        .file("deploy/base/deployment.yaml", DEPLOYMENT)
        .file("deploy/overlays/shop/kustomization.yaml", kustomization)
}

#[test]
#[ignore = "real: needs kustomize in PATH"]
fn an_overlay_is_rendered_with_its_base() {
    // The overlay's image is the one that must match.
    rejected(
        &overlay(OVERLAY).run(),
        "input `image`: no container of the manifests has an image called `flask-app`; they have: seaworthy.azurecr.io/shop",
    );
    // So is its namespace.
    let ran = overlay(OVERLAY).input("namespace", "web").run();
    assert_eq!(
        ran.error(),
        "azure-deploy: input `manifests`: `Deployment/shop-app` in `deploy/overlays/shop` is for the namespace `shop`, but the input `namespace` is `web`"
    );
    let ran = overlay(OVERLAY).input("repository", "shop").run();
    assert!(ran.error().contains("is Docker running"), "{}", ran.error());
}

#[test]
#[ignore = "real: needs kustomize in PATH"]
fn errors_of_kustomize_are_reported_with_its_message() {
    let ran = overlay("resources: [absent]\n").run();
    assert_eq!(ran.code, 3, "{}", ran.log);
    assert!(
        ran.error().starts_with(
            "azure-deploy: input `manifests`: kustomize failed to render `deploy/overlays/shop`: "
        ),
        "{}",
        ran.error()
    );
    assert!(ran.error().contains("absent"), "{}", ran.error());
    // No program is run for a kustomization.
    let plugin = "generators: [plugin.yaml]\n";
    let config = "apiVersion: x/v1\nkind: X\nmetadata:\n  name: x\n  annotations:\n    config.kubernetes.io/function: |\n      exec: {path: /bin/true}\n";
    let ran = overlay(plugin)
        .file("deploy/overlays/shop/plugin.yaml", config)
        .run();
    assert_eq!(ran.code, 3, "{}", ran.log);
}

const SERVICE: &str = "apiVersion: v1\nkind: Service\nmetadata: {name: app}\nspec: {type: LoadBalancer, ports: [{name: metrics, port: 9090}]}\n";

fn archive(files: &[(&str, &str)]) -> Vec<u8> {
    let level = flate2::Compression::fast();
    let mut tar = tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), level));
    for (path, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        let path = format!("octo-org-bases-0123abc/{path}");
        tar.append_data(&mut header, path, content.as_bytes())
            .unwrap();
    }
    tar.into_inner().unwrap().finish().unwrap()
}

// Another host than that of the API, with files and the archive of a repository.
fn storage(seen: &Seen) -> Response {
    match &*seen.line {
        "GET /service.yaml" | "GET /service.yaml?again" => SERVICE.into_response(),
        "GET /page.yaml" => "<!DOCTYPE html>".into_response(),
        "GET /bases.tar.gz" => {
            let elsewhere = format!("resources: ['http://{}/service.yaml']\n", seen.host);
            archive(&[
                ("app/kustomization.yaml", "resources: [../common]\n"),
                ("elsewhere/kustomization.yaml", &elsewhere),
                ("common/kustomization.yaml", BASE),
                ("common/deployment.yaml", DEPLOYMENT),
                ("out/kustomization.yaml", "resources: [../..]\n"),
                (
                    "internal/kustomization.yaml",
                    "resources: ['https://internal.example.com/a.yaml']\n",
                ),
                (
                    "nested/kustomization.yaml",
                    "resources: ['github.com/octo-org/bases//common?ref=v1']\n",
                ),
            ])
            .into_response()
        }
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

// GitHub's API, which redirects to the storage.
async fn github(storage: &Recorder) -> Recorder {
    let archive = format!("http://{}/bases.tar.gz", storage.host());
    let github = Recorder::start(move |seen| match &*seen.line {
        "GET /repos/octo-org/bases/tarball/v1" => {
            (StatusCode::FOUND, [("location", archive.clone())]).into_response()
        }
        _ => StatusCode::NOT_FOUND.into_response(),
    });
    github.await.unwrap()
}

fn remote(kustomization: &str, github: &Recorder) -> FakeRunner {
    overlay(kustomization)
        .input("remote-bases", "true")
        .input("token", "abc-secret-1")
        .env("GITHUB_API_URL", &format!("http://{}", github.host()))
}

async fn run(step: FakeRunner) -> Ran {
    let ran = tokio::task::spawn_blocking(move || step.run());
    ran.await.unwrap()
}

#[tokio::test]
#[ignore = "real: needs kustomize in PATH"]
async fn remote_bases_are_fetched_and_rendered() {
    let storage = Recorder::start(storage).await.unwrap();
    let github = github(&storage).await;
    let reference = "github.com/octo-org/bases//app?ref=v1";
    let kustomization = format!(
        "resources: ['{reference}', 'http://{}/service.yaml']\nnamePrefix: shop-\nimages: [{{name: flask-app, newName: seaworthy.azurecr.io/shop}}]\n",
        storage.host()
    );
    let step = remote(&kustomization, &github)
        .input("repository", "shop")
        .input("health-port", "metrics");
    let ran = run(step).await;
    // The image is that of the overlay, and the port that of the file.
    assert!(ran.error().contains("is Docker running"), "{}", ran.log);
    for line in [
        format!("fetched {reference} (commit 0123abc)"),
        format!("fetched http://{}/service.yaml (sha256:", storage.host()),
    ] {
        assert!(ran.log.contains(&line), "{line}: {}", ran.log);
    }
    assert_eq!(github.authorizations(), ["Bearer abc-secret-1"]);
    assert_eq!(storage.authorizations(), ["", ""]);
}

#[tokio::test]
#[ignore = "real: needs kustomize in PATH"]
async fn a_run_fetches_a_repository_once() {
    let storage = Recorder::start(storage).await.unwrap();
    let github = github(&storage).await;
    // The other one is referred to by a link, and by a base whose references are replaced for the first one.
    let image = "images: [{name: flask-app, newName: seaworthy.azurecr.io/shop}]\n";
    let kustomization = |references: &str| format!("resources: [{references}]\n{image}");
    let first = kustomization("'github.com/octo-org/bases//nested?ref=v1'");
    let second = kustomization("../../current, 'github.com/octo-org/bases//nested?ref=v1'")
        + "nameSuffix: -b\n";
    let step = remote(&first, &github)
        .input("manifests", "deploy/overlays/shop\ndeploy/overlays/other")
        .input("repository", "shop")
        .file("deploy/overlays/other/kustomization.yaml", &second)
        .file("deploy/versions/v2/service.yaml", SERVICE)
        .file(
            "deploy/versions/v2/kustomization.yaml",
            "resources: [service.yaml]\n",
        );
    let link = step.workspace().join("deploy/current");
    std::os::unix::fs::symlink("versions/v2", link).unwrap();
    let ran = run(step).await;
    assert!(ran.error().contains("is Docker running"), "{}", ran.log);
    assert_eq!(github.authorizations(), ["Bearer abc-secret-1"]);
}

#[tokio::test]
#[ignore = "real: needs kustomize in PATH"]
async fn errors_of_kustomize_have_no_path_of_the_copy() {
    let storage = Recorder::start(storage).await.unwrap();
    let github = github(&storage).await;
    let kustomization = format!(
        "resources: ['http://{0}/service.yaml', 'http://{0}/service.yaml?again']\n",
        storage.host()
    );
    let ran = run(remote(&kustomization, &github)).await;
    assert_eq!(ran.code, 3, "{}", ran.log);
    let error = ran.error();
    assert!(error.contains("kustomize failed to render"), "{error}");
    assert!(!error.contains("seaworthy-kustomize-"), "{error}");
}

#[tokio::test]
async fn remote_bases_that_are_not_fetched_are_named() {
    let storage = Recorder::start(storage).await.unwrap();
    let github = github(&storage).await;
    let table = [
        (
            "github.com/octo-org/bases//app",
            "`github.com/octo-org/bases//app` has no version, so that another one could be deployed at any time; add a tag or a commit, such as `?ref=v1.2.0`",
        ),
        (
            "github.com/octo-org/bases//absent?ref=v1",
            "`octo-org/bases` has no directory `absent` at `v1`",
        ),
        (
            "github.com/octo-org/bases//app?ref=v2",
            "`github.com/octo-org/bases//app?ref=v2`: GitHub has no `v2` of a repository `octo-org/bases`, or the token may not read it; set `token` to one with `contents: read` there if it is private",
        ),
        (
            "github.com/octo-org/bases//out?ref=v1",
            "`github.com/octo-org/bases//out?ref=v1`: `out/../..`: it leads out of the repository `octo-org/bases`",
        ),
        (
            "github.com/octo-org/bases//elsewhere?ref=v1",
            "`github.com/octo-org/bases//elsewhere?ref=v1`: it is fetched, and refers elsewhere, to `{storage}/service.yaml`; a fetched base may only refer to repositories on `github.com`, and to their files by https",
        ),
        (
            "github.com/octo-org/bases//internal?ref=v1",
            "`github.com/octo-org/bases//internal?ref=v1`: it is fetched, and refers elsewhere, to `https://internal.example.com/a.yaml`; a fetched base may only refer to repositories on `github.com`, and to their files by https",
        ),
        (
            "https://x-access-token:abc-secret-2@github.com/octo-org/bases//app?ref=v1",
            "`https://***@github.com/octo-org/bases//app?ref=v1` has a user or a password, which are not used: a file is fetched without credentials, and a repository with `token`; remove them",
        ),
        (
            "git@gitlab.com:octo-org/bases?ref=v1",
            "`git@gitlab.com:octo-org/bases?ref=v1` is not a repository on `github.com`, and is not fetched; check it out in an earlier step, such as by `actions/checkout` with `repository` and `path`, and refer to it by its path",
        ),
        (
            "{storage}/page.yaml",
            "`{storage}/page.yaml` is a web page, and not a file with objects",
        ),
        (
            "{storage}/absent.yaml",
            "`{storage}/absent.yaml` does not exist on its server",
        ),
    ];
    for (reference, problem) in table {
        let address = format!("http://{}", storage.host());
        let reference = reference.replace("{storage}", &address);
        let problem = problem.replace("{storage}", &address);
        let kustomization = format!("resources: [../../base, '{reference}']\n");
        let ran = run(remote(&kustomization, &github)).await;
        let error = format!(
            "input `manifests`: kustomize failed to render `deploy/overlays/shop`: {problem}"
        );
        rejected(&ran, &error);
    }
}

#[test]
fn without_the_input_nothing_is_fetched() {
    let reference = "https://example.com/app.yaml";
    let start = "input `manifests`: kustomize failed to render `deploy/overlays/shop`: `deploy/overlays/shop/kustomization.yaml`: ";
    let table = [
        (
            format!("resources: ['{reference}']\n"),
            "; set `remote-bases: true` to fetch it",
        ),
        (format!("crds: ['{reference}']\n"), ""),
    ];
    for (kustomization, hint) in table {
        let error = format!("{start}`{reference}` is not a path in the checkout{hint}");
        rejected(&overlay(&kustomization).run(), &error);
    }
    // A password is not shown, and a hint is not given for what is not fetched.
    let kustomization = "resources: ['https://a:abc-secret-2@example.com/app.yaml']\n";
    let error = format!("{start}`https://***@example.com/app.yaml` is not a path in the checkout");
    rejected(&overlay(kustomization).run(), &error);
}
