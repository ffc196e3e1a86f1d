//! Directories that kustomize renders, by the real kustomize.

use testkit::FakeRunner;

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
