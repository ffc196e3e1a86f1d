//! Good versions that take their time: nothing of that is a failure.

use crate::stack::{Stack, run};

#[tokio::test]
#[ignore = "real: needs the local stack"]
async fn an_application_may_exit_until_its_database_is_up() {
    let stack = Stack::new("database").await;
    let image = stack.build("one", "well").await;
    let manifests = stack.manifests(80, "", "");
    let (_, deployment) = manifests.rsplit_once("---\n").unwrap();
    let database = deployment
        .replace("name: app,", "name: db,")
        .replace("{app: app}", "{app: db}")
        .replace(
            "periodSeconds: 1",
            "periodSeconds: 1, initialDelaySeconds: 15",
        );
    let namespace = &stack.namespace;
    let service = format!(
        "---\napiVersion: v1\nkind: Service\nmetadata: {{name: db, namespace: {namespace}}}\nspec: {{selector: {{app: db}}, ports: [{{port: 8000}}]}}\n---\n"
    );
    let connects = "        command: [sh, -c, 'perl -MIO::Socket::INET -e \"IO::Socket::INET->new(PeerAddr => qq(\\$ENV{DB_SERVICE_HOST}:8000), Timeout => 1) or exit 5\" && exec perl /server.pl']\n";
    let step = stack.step(&image, &format!("{manifests}{connects}{service}{database}"));
    let ran = run(step).await;
    assert_eq!(ran.code, 0, "{}", ran.log);
    let tolerated = "container `app` is crash-looping (exit code 5), which may need Deployment/db";
    assert!(ran.log.contains(tolerated), "{}", ran.log);
    stack.forget(&[&image]).await;
}

#[tokio::test]
#[ignore = "real: needs the local stack"]
async fn a_quota_may_be_full_until_old_pods_are_gone() {
    let stack = Stack::new("full").await;
    let images = [
        stack.build("one", "well").await,
        stack.build("two", "well").await,
    ];
    let manifests = stack.manifests(
        80,
        "",
        "        lifecycle: {preStop: {sleep: {seconds: 12}}}\n",
    );
    let surge = "{maxUnavailable: 0, maxSurge: 1}";
    assert!(manifests.contains(surge));
    let manifests = manifests
        .replace(surge, "{maxUnavailable: 1, maxSurge: 0}")
        .replace("replicas: 2", "replicas: 1")
        .replace(
            "terminationGracePeriodSeconds: 2",
            "terminationGracePeriodSeconds: 20",
        );
    let ran = run(stack.step(&images[0], &manifests)).await;
    assert_eq!(ran.code, 0, "{}", ran.log);
    stack.kubectl(&["create", "quota", "full", "--hard=pods=1"]);
    let ran = run(stack.step(&images[1], &manifests)).await;
    assert_eq!(ran.code, 0, "{}", ran.log);
    stack.forget(&images.each_ref().map(String::as_str)).await;
}
