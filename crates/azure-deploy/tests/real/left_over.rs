//! Objects that an earlier deployment has left, and configuration that pods do not see.

use crate::stack::{Stack, get, run};

fn renamed(manifests: &str, name: &str, label: &str) -> String {
    let deployment = manifests.replace(
        "kind: Deployment\nmetadata: {name: app,",
        &format!("kind: Deployment\nmetadata: {{name: {name},"),
    );
    let (service, deployment) =
        deployment.split_at(deployment.find("apiVersion: apps/v1").unwrap());
    format!(
        "{service}{}",
        deployment.replace("app: app", &format!("app: {label}"))
    )
}

#[tokio::test]
#[ignore = "real: needs the local stack"]
async fn what_the_manifests_no_longer_have_is_removed_once_the_new_version_is_healthy() {
    let stack = Stack::new("prune").await;
    let image = stack.build("one", "well").await;
    let step = async |manifests: &str, prune: &str| {
        let step = stack.step_without_azure(&image).await;
        step.file("k8s/app.yaml", manifests)
            .input("expect-commit", "one")
            .input("prune", prune)
    };
    let first = stack.manifests(80, "", "");
    let config = format!(
        "{first}---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: old, namespace: {0}}}\ndata: {{a: b}}\n---\napiVersion: v1\nkind: Service\nmetadata: {{name: extra, namespace: {0}}}\nspec: {{type: NodePort, selector: {{app: extra}}, ports: [{{port: 80}}]}}\n",
        stack.namespace
    );
    let ran = run(step(&config, "true").await).await;
    assert_eq!(ran.code, 0, "{}", ran.log);
    let url = ran.output("url").to_owned();

    // Another name behind the same Service: without `prune` both serve, which is said.
    let next = renamed(&first, "next", "app");
    let ran = run(step(&next, "false").await).await;
    assert_eq!(ran.code, 0, "{}", ran.log);
    let warning = format!(
        "Deployment/app runs `{}` too, serves behind Service/app together with the new version",
        stack.repository
    );
    assert!(ran.log.contains(&warning), "{}", ran.log);
    assert_eq!(
        stack.deployments(),
        "deployment.apps/app\ndeployment.apps/next\n"
    );

    // Pods that the Service does not select are healthy only as long as the old ones are there.
    let unselected = renamed(&first, "lost", "lost");
    let ran = run(step(&unselected, "true").await).await;
    stack.kubectl(&["delete", "deployment", "next"]);
    assert_eq!(
        (ran.code, ran.output("rolled-back")),
        (0, "false"),
        "{}",
        ran.log
    );
    // What was deployed without `prune` is in no set.
    assert!(ran.log.contains("Deployment/next runs"), "{}", ran.log);
    let ran = run(step(&config, "true").await).await;
    assert_eq!(ran.code, 0, "{}", ran.log);
    let before = stack.spec("deployment/app");
    let extra = stack.spec("service/extra");
    let ran = run(step(&unselected, "true")
        .await
        .input("health-timeout", "3s"))
    .await;
    assert_eq!(
        (ran.code, ran.output("rolled-back")),
        (1, "true"),
        "{}",
        ran.log
    );
    for line in [
        "ConfigMap/old is left from the last deployment",
        "removed ConfigMap/old",
        "removed Service/extra",
        "removed Deployment/app",
        "restored Deployment/app",
        "deleted Deployment/lost",
    ] {
        assert!(ran.log.contains(line), "{line}: {}", ran.log);
    }
    assert_eq!(stack.deployments(), "deployment.apps/app\n");
    assert_eq!(stack.spec("deployment/app"), before);
    // With the address and the port that it had.
    assert_eq!(stack.spec("service/extra"), extra);
    assert_eq!(get(&url).await["commit"], "one");

    let ran = run(step(&next, "true").await).await;
    assert_eq!(ran.code, 0, "{}", ran.log);
    assert_eq!(ran.output("previous-image"), ran.output("image"));
    assert_eq!(stack.deployments(), "deployment.apps/next\n");
    let args = ["get", "configmap", "old", "--ignore-not-found"];
    assert_eq!(stack.kubectl(&args), "");
    stack.forget(&[&image]).await;
}

#[tokio::test]
#[ignore = "real: needs the local stack"]
async fn pods_that_keep_an_old_configuration_are_named_or_replaced() {
    let stack = Stack::new("config").await;
    let image = stack.build("one", "well").await;
    let step = async |value: &str, restart: &str| {
        let manifests = stack.manifests(
            80,
            "",
            "        envFrom: [{configMapRef: {name: config}}]\n",
        );
        let manifests = format!(
            "{manifests}---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: config, namespace: {}}}\ndata: {{GREETING: {value}}}\n",
            stack.namespace
        );
        let step = stack.step_without_azure(&image).await;
        let step = step.file("k8s/app.yaml", &manifests);
        step.input("expect-commit", "one")
            .input("restart-on-config-change", restart)
    };
    let ran = run(step("hello", "false").await).await;
    assert_eq!((ran.code, ran.output("revision")), (0, "1"), "{}", ran.log);
    // An earlier run has left this.
    let stale = tempfile::NamedTempFile::new().unwrap();
    let text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: stale}\ndata: {a: b}\n";
    std::fs::write(stale.path(), text).unwrap();
    let apply = [
        "apply",
        "--server-side",
        "--field-manager=seaworthy",
        "--filename",
    ];
    stack.kubectl(&[&apply[..], &[&stale.path().to_string_lossy()]].concat());
    let ran = run(step("goodbye", "false").await).await;
    assert_eq!((ran.code, ran.output("revision")), (0, "1"), "{}", ran.log);
    let line = "deployed by earlier runs, and not in the manifests: ConfigMap/stale; ";
    assert!(ran.log.contains(line), "{}", ran.log);
    let warning = "::warning::ConfigMap/config changes, and the pods of Deployment/app keep the old one until they are replaced";
    assert!(ran.log.contains(warning), "{}", ran.log);

    for (value, revision) in [("goodbye", "2"), ("goodbye", "2"), ("hello", "3")] {
        let ran = run(step(value, "true").await).await;
        assert_eq!(
            (ran.code, ran.output("revision")),
            (0, revision),
            "{}",
            ran.log
        );
        assert!(!ran.log.contains("keep the old one"), "{}", ran.log);
    }
    let of = ["exec", "deployment/app", "--", "printenv", "GREETING"];
    assert_eq!(stack.kubectl(&of), "hello\n");
    stack.forget(&[&image]).await;
}
