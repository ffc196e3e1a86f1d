//! The built binary in the environment of a step.

use std::path::Path;

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
            "input `image`: is required and was empty or absent (The image to deploy, in the engine: `repository:tag`. Its repository is pushed to under the same name.)",
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

/// The steps before the registry, with an engine that has an image: the real one.
mod real {
    use super::*;

    fn signed_in(azure: &Azure, image: &str) -> FakeRunner {
        let manifest = MANIFEST.replace(
            "flask-app:latest",
            &format!("{}:latest", image.split(':').next().unwrap_or_default()),
        );
        step()
            .file("k8s/deployment.yaml", &manifest)
            .input("image", image)
            .input("authority-host", &azure.url())
            .input("resource-manager", &azure.url())
            .env("ACTIONS_ID_TOKEN_REQUEST_URL", &azure.oidc_url())
            .env("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "oidc-request-token")
    }

    async fn run(step: FakeRunner) -> Ran {
        tokio::task::spawn_blocking(move || step.run())
            .await
            .expect("the step runs")
    }

    #[tokio::test]
    #[ignore = "real: needs a container engine"]
    async fn a_run_that_the_application_does_not_trust_learns_what_to_set() {
        let mut config = AzureConfig::new(TENANT, CLIENT, SUBSCRIPTION);
        config.run_subject = "repo:octo-org/app:ref:refs/heads/fix".into();
        let azure = Azure::start(config).await.unwrap();
        let ran = run(signed_in(&azure, "debian:trixie-slim")).await;
        assert_eq!((ran.code, ran.output("result")), (2, "error"));
        assert!(ran.error().contains("subject `repo:octo-org/app:ref:refs/heads/fix`, audience `api://AzureADTokenExchange`"), "{}", ran.error());
        assert!(
            azure
                .journal()
                .iter()
                .all(|line| !line.contains("managedClusters"))
        );
    }

    #[tokio::test]
    #[ignore = "real: needs a container engine"]
    async fn without_the_right_to_a_token_the_permission_is_named() {
        let azure = Azure::start(AzureConfig::new(TENANT, CLIENT, SUBSCRIPTION))
            .await
            .unwrap();
        let ran =
            run(signed_in(&azure, "debian:trixie-slim").env("ACTIONS_ID_TOKEN_REQUEST_URL", ""))
                .await;
        assert_eq!(
            ran.error(),
            "azure-deploy: the job cannot get an OIDC token; add `permissions: id-token: write` to the job"
        );
        assert_eq!(ran.code, 3);
    }

    #[tokio::test]
    #[ignore = "real: needs a container engine"]
    async fn a_missing_role_is_named() {
        let azure = Azure::start(AzureConfig::new(TENANT, CLIENT, SUBSCRIPTION))
            .await
            .unwrap();
        azure.expect(Fault::new(
            "listClusterUserCredential",
            403,
            r#"{"error": {"code": "AuthorizationFailed", "message": "no rights"}}"#,
        ));
        let ran = run(signed_in(&azure, "debian:trixie-slim")).await;
        assert!(
            ran.error()
                .contains("give the identity the role that the message names"),
            "{}",
            ran.error()
        );
        assert_eq!(ran.code, 2);
    }

    #[tokio::test]
    #[ignore = "real: needs a container engine"]
    async fn a_cluster_out_of_reach_is_explained_and_no_token_is_shown() {
        let folder = tempfile::tempdir().unwrap();
        let kubeconfig = folder.path().join("config");
        std::fs::write(&kubeconfig, r#"{"clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:1", "certificate-authority-data": ""}}]}"#).unwrap();
        let mut config = AzureConfig::new(TENANT, CLIENT, SUBSCRIPTION);
        config.kubeconfig = Some(kubeconfig);
        config.authorized_ranges = vec!["203.0.113.0/24".into()];
        let azure = Azure::start(config).await.unwrap();
        let ran = run(signed_in(&azure, "debian:trixie-slim")).await;
        assert_eq!(ran.code, 2);
        assert!(
            ran.error().contains("only 203.0.113.0/24 may reach it"),
            "{}",
            ran.error()
        );
        let shown = ran
            .log
            .lines()
            .filter(|line| !line.starts_with("::add-mask::"))
            .collect::<String>();
        assert!(
            !shown.contains("cluster-token") && !shown.contains("arm-2222"),
            "{}",
            ran.log
        );
    }
}
