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
