//! What GitHub records of a deployment.

use fake_github::{Access, GitHub, Options};
use serde_json::json;

use crate::stack::{Stack, run};

#[tokio::test]
#[ignore = "real: needs the local stack"]
async fn what_runs_is_recorded_and_what_was_removed_is_decommissioned() {
    let stack = Stack::new("records").await;
    let github = GitHub::start("t").await.unwrap();
    let good = stack.build("one", "well").await;
    let sick = stack.build("two", "sick").await;
    let step = |image: &str, manifests: &str, github: &GitHub| {
        stack
            .step(image, manifests)
            .input("prune", "true")
            .input("deployment-record", "production/westeurope")
            .input("token", "t")
            .env("GITHUB_API_URL", &github.url())
    };
    let manifests = stack.manifests(80, "", "");
    let ran = run(step(&good, &manifests, &github)).await;
    assert_eq!(ran.code, 0, "{}", ran.log);
    let line = "recorded 1 deployment in the cluster seaworthy on GitHub";
    assert!(ran.log.contains(line), "{}", ran.log);
    let digest = ran.output("digest").to_owned();
    let record = |workload: &str| {
        json!({
            "logical_environment": "production", "physical_environment": "westeurope", "cluster": "seaworthy",
            "name": format!("seaworthy.azurecr.io/{}", stack.repository), "digest": digest, "status": "deployed",
            "deployment_name": format!("{}/{workload}/app", stack.namespace), "github_repository": "app",
            // The address of the local load balancer is private.
            "runtime_risks": [],
        })
    };
    assert_eq!(github.deployment_records(), [record("app")]);

    let ran = run(step(&sick, &manifests, &github)).await;
    assert_eq!(
        (ran.code, ran.output("rolled-back")),
        (1, "true"),
        "{}",
        ran.log
    );
    assert_eq!(github.deployment_records(), [record("app")]);

    let app = "kind: Deployment\nmetadata: {name: app,";
    let renamed = manifests.replace(app, "kind: Deployment\nmetadata: {name: next,");
    let ran = run(step(&good, &renamed, &github)).await;
    assert_eq!(ran.code, 0, "{}", ran.log);
    let mut removed = record("app");
    removed["status"] = "decommissioned".into();
    removed.as_object_mut().unwrap().remove("runtime_risks");
    assert_eq!(github.deployment_records(), [removed, record("next")]);

    let options = Options::new("t").permissions(&[("contents", Access::Read)]);
    let strict = GitHub::with(([127, 0, 0, 1], 0).into(), options).await;
    let ran = run(step(&good, &renamed, &strict.unwrap())).await;
    assert_eq!(ran.code, 0, "{}", ran.log);
    let notice = "::notice::the deployment is not recorded on GitHub: GitHub responded with 403 (Resource not accessible by integration); give the job `permissions: artifact-metadata: write`";
    assert!(ran.log.contains(notice), "{}", ran.log);
    stack.forget(&[&good, &sick]).await;
}
