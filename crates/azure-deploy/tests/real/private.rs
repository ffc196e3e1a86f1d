//! A private cluster: commands in the cluster send the requests to the API server.

use crate::stack::{Stack, get, run};

#[tokio::test]
#[ignore = "real: needs the local stack"]
async fn a_private_cluster_is_deployed_to_by_commands_and_rolled_back_too() {
    let stack = Stack::with("private", |azure| azure.private = true).await;
    stack.namespace_that_warns();
    let good = stack.build("one", "well").await;
    let manifests = stack.manifests(80, "", "");
    let step = |image: &str| {
        let step = stack.step(image, &manifests);
        step.input("cluster-access", "run-command")
    };
    let ran = run(step(&good)).await;
    assert_eq!(
        (ran.code, ran.output("result")),
        (0, "deployed"),
        "{}",
        ran.log
    );
    assert!(ran.log.matches(Stack::WARNING).count() == 1, "{}", ran.log);
    let (image, url) = (ran.output("image").to_owned(), ran.output("url").to_owned());
    assert_eq!(
        image,
        format!(
            "seaworthy.azurecr.io/{}@{}",
            stack.repository,
            ran.output("digest")
        )
    );
    assert_eq!(get(&url).await["commit"], "one");

    let crash = stack.build("two", "crash").await;
    let ran = run(step(&crash)).await;
    assert_eq!(
        (ran.code, ran.output("rolled-back")),
        (1, "true"),
        "{}",
        ran.log
    );
    assert_eq!(
        ran.error(),
        format!(
            "azure-deploy: the new version failed; rolled back to `{image}`, which is healthy: Deployment/app: container `app` is crash-looping (exit code 3): `No module named 'app'`"
        )
    );
    assert_eq!(get(&url).await["commit"], "one");

    let journal = stack.azure.journal();
    let count = |part: &str| journal.iter().filter(|line| line.contains(part)).count();
    assert_eq!(count("listClusterUserCredential"), 0, "{journal:#?}");
    assert!(count("/runCommand") > 10, "{journal:#?}");
    stack.forget(&[&good, &crash]).await;
}
