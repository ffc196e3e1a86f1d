//! Any registry and any cluster: a password, a kubeconfig, a kustomization.

use testkit::FakeRunner;

use crate::stack::{LOGIN_SERVER, REPOSITORY, Stack, get, run};

const BASE: &str = "resources: [app.yaml]\n";
const PRODUCTION: &str = "resources: [../base]\nreplicas: [{name: app, count: 1}]\n";

#[tokio::test]
#[ignore = "real: needs the local stack"]
async fn a_password_a_kubeconfig_and_a_kustomization_are_enough() {
    let stack = Stack::new("anywhere").await;
    let image = stack.build("one", "well").await;
    let kustomized = |step: FakeRunner| {
        step.file("k8s/base/app.yaml", &stack.manifests(80, "", ""))
            .file("k8s/base/kustomization.yaml", BASE)
            .file("k8s/production/kustomization.yaml", PRODUCTION)
            .input("manifests", "k8s/production")
            .input("environment-variables", "COMMIT=two\nSINCE={time}")
            .input("expect-commit", "two")
    };

    let rejected = kustomized(stack.step_without_azure(&image).await).input("password", "wrong");
    let rejected = run(rejected).await;
    assert_eq!(rejected.code, 2, "{}", rejected.log);
    assert_eq!(stack.deployments(), "");

    let ran = run(kustomized(stack.step_without_azure(&image).await)).await;
    assert_eq!(ran.code, 0, "{}", ran.log);
    let digest = ran.output("digest");
    assert_eq!(
        ran.output("image"),
        format!("{LOGIN_SERVER}/{REPOSITORY}@{digest}")
    );
    assert_eq!(stack.latest().await, digest);
    // The variable of the step, not the image's own.
    assert_eq!(get(ran.output("url")).await["commit"], "two");
    let deployed = stack.spec("deployment/app");
    assert_eq!(deployed["replicas"], 1);
    let password = stack.login().await.password;
    assert!(!ran.log.contains(&password) && !ran.summary.contains(&password));

    let again = run(kustomized(stack.step_without_azure(&image).await)).await;
    assert_eq!(again.code, 0, "{}", again.log);
    assert!(
        again.log.contains("pods are not restarted"),
        "{}",
        again.log
    );
    assert_eq!(stack.spec("deployment/app"), deployed);
    stack.forget(&[&image]).await;
}

#[tokio::test]
#[ignore = "real: needs the local stack"]
async fn the_health_is_checked_at_any_url() {
    let stack = Stack::new("url").await;
    let image = stack.build("one", "well").await;
    let manifests = stack
        .manifests(80, "", "")
        .replace("type: LoadBalancer", "type: ClusterIP");
    // Without the Namespace, which is created.
    let (_, manifests) = manifests.split_once("---\n").unwrap();
    let gateway = testkit::Recorder::start(|seen| match seen.line.as_str() {
        "GET /ready" => axum::response::Response::default(),
        _ => axum::response::IntoResponse::into_response(axum::http::StatusCode::NOT_FOUND),
    });
    let gateway = gateway.await.unwrap();
    let step = |path: &str| {
        let url = format!("http://{}{path}", gateway.host());
        let step = stack.step(&image, manifests).input("health-url", &url);
        step.input("health-timeout", "2s")
            .input("create-namespace", "true")
    };
    let ran = run(step("/ready")).await;
    assert_eq!(ran.code, 0, "{}", ran.log);
    assert_eq!(ran.output("url"), format!("http://{}", gateway.host()));
    let checked = " does not exist yet: the fields of its objects are checked in the namespace";
    assert_eq!(ran.log.matches(checked).count(), 1, "{}", ran.log);
    let notice =
        "the response names no commit; that it is the new version is taken from the rollout";
    assert_eq!(ran.log.matches(notice).count(), 1, "{}", ran.log);
    let ran = run(step("/absent")).await;
    assert_eq!(ran.code, 1, "{}", ran.log);
    assert!(
        ran.error()
            .contains("/absent is unhealthy: timed out after 2s (`health-timeout`): status 404"),
        "{}",
        ran.error()
    );
    stack.forget(&[&image]).await;
}
