//! A canary: the new version next to the old one, before the old one is replaced.

use serde_json::Value;
use testkit::{FakeRunner, Fault};

use crate::stack::{Stack, get, run};

fn step(stack: &Stack, image: &str, shares: &str) -> FakeRunner {
    stack
        .step(image, &stack.manifests(80, "", ""))
        .input("canary", shares)
        .input("canary-pause", "5s")
}

/// The Deployment as a rollback has to leave it, and its pods.
fn state(stack: &Stack) -> (Value, String) {
    let text = stack.kubectl(&["get", "deployment", "app", "--output", "json"]);
    let mut deployment: Value = serde_json::from_str(&text).unwrap();
    let generation = deployment["metadata"]["generation"].take();
    let spec = serde_json::json!([generation, deployment["spec"]]);
    let pods = ["get", "pods", "--selector", "app=app,!seaworthy/canary"];
    let uids = "--output=jsonpath={.items[*].metadata.uid}";
    let pods = stack.kubectl(&[&pods[..], &[uids]].concat());
    (spec, pods)
}

#[tokio::test]
#[ignore = "real: needs the local stack"]
async fn a_canary_grows_and_is_removed_once_the_new_version_is_deployed() {
    let stack = Stack::new("canary").await;
    let one = stack.build("one", "well").await;
    let two = stack.build("two", "well").await;
    let ran = run(step(&stack, &one, "10%,50%")).await;
    assert_eq!(ran.code, 0, "{}", ran.log);
    let first = "there is no canary: no Deployment that runs an earlier version changes its pods";
    assert!(ran.log.contains(first), "{}", ran.log);

    let ran = run(step(&stack, &two, "10%,50%")).await;
    assert_eq!(
        (ran.code, ran.output("result")),
        (0, "deployed"),
        "{}",
        ran.log
    );
    let mut rest = ran.log.as_str();
    for line in [
        "applied Deployment/app-canary: 1 pod of the new version next to 2 of the old one (33% of the pods)",
        "the canary is healthy (5s; 0 of ",
        "applied Deployment/app-canary: 2 pods of the new version next to 2 of the old one (50% of the pods)",
        "the canary is healthy (5s; 0 of ",
        "applied Deployment/app (",
        "removed Deployment/app-canary",
    ] {
        let (_, after) = rest
            .split_once(line)
            .unwrap_or_else(|| panic!("{line}: {}", ran.log));
        rest = after;
    }
    let row = "| Canary | 33% of the pods for 5s, 50% of the pods for 5s |";
    assert!(ran.summary.contains(row), "{}", ran.summary);
    assert_eq!(stack.deployments(), "deployment.apps/app\n");
    assert_eq!(get(ran.output("url")).await["commit"], "two");
    stack.forget(&[&one, &two]).await;
}

#[tokio::test]
#[ignore = "real: needs the local stack"]
async fn a_canary_that_fails_is_removed_and_the_old_version_is_as_it_was() {
    let stack = Stack::new("canary-bad").await;
    let one = stack.build("one", "well").await;
    let ran = run(stack.step(&one, &stack.manifests(80, "", ""))).await;
    assert_eq!(ran.code, 0, "{}", ran.log);
    let before = state(&stack);
    for (mode, problem) in [
        (
            "crash",
            "the canary with 33% of the pods: Deployment/app-canary: container `app` is crash-looping (exit code 3)",
        ),
        ("sick", "/health: status 503"),
        // What is noticed first: that it is crash-looping, was restarted too often, or does not respond.
        ("brief", "the canary with 33% of the pods: "),
    ] {
        let bad = stack.build("two", mode).await;
        let bad_step = step(&stack, &bad, "10%").input("canary-pause", "40s");
        let ran = run(bad_step).await;
        assert_eq!(
            (ran.code, ran.output("result"), ran.output("rolled-back")),
            (1, "failed", "true"),
            "{mode}: {}",
            ran.log
        );
        assert!(ran.error().contains(problem), "{mode}: {}", ran.error());
        assert!(
            ran.log.contains("deleted Deployment/app-canary"),
            "{mode}: {}",
            ran.log
        );
        assert!(
            !ran.log.contains("applied Deployment/app ("),
            "{mode}: {}",
            ran.log
        );
        assert_eq!(state(&stack), before, "{mode}");
        assert_eq!(stack.deployments(), "deployment.apps/app\n", "{mode}");
        assert_eq!(get(ran.output("url")).await["commit"], "one", "{mode}");
        stack.forget(&[&bad]).await;
    }
    stack.forget(&[&one]).await;
}

#[tokio::test]
#[ignore = "real: needs the local stack"]
async fn a_canary_whose_run_was_stopped_is_removed_then_or_by_the_next_run() {
    let (stack, front) = Stack::fronted("canary-stop", |_| {}).await;
    let images = [
        stack.build("one", "well").await,
        stack.build("two", "well").await,
    ];
    let [one, two] = &images;
    let ran = run(stack.step(one, &stack.manifests(80, "", ""))).await;
    assert_eq!(ran.code, 0, "{}", ran.log);
    let before = state(&stack);
    // The pods of the canary are listed after it was created.
    let listed = "/pods?&labelSelector=app%3Dapp%2Cseaworthy%2Fcanary%3Dtrue";

    let stopped = step(&stack, two, "50%");
    front.expect(Fault::terminate(listed, stopped.process()));
    let ran = run(stopped).await;
    assert_eq!(
        (ran.code, ran.output("rolled-back")),
        (2, "true"),
        "{}",
        ran.log
    );
    assert!(
        ran.error().contains("stopped by SIGTERM"),
        "{}",
        ran.error()
    );
    assert_eq!(stack.deployments(), "deployment.apps/app\n", "{}", ran.log);
    assert_eq!(state(&stack), before);

    let killed = step(&stack, two, "50%");
    front.expect(Fault::kill(listed, killed.process()));
    let ran = run(killed).await;
    assert_eq!(ran.outputs.get("result"), None, "{}", ran.log);
    assert!(stack.deployments().contains("app-canary"), "{}", ran.log);
    assert_eq!(state(&stack), before);

    // The next run needs no canary of its own.
    let ran = run(stack.step(one, &stack.manifests(80, "", ""))).await;
    assert_eq!(ran.code, 0, "{}", ran.log);
    let removed = "removed Deployment/app-canary, which a deployment that was interrupted has left";
    assert!(ran.log.contains(removed), "{}", ran.log);
    assert_eq!(stack.deployments(), "deployment.apps/app\n");
    assert!(front.is_met());

    // A Deployment of that name that is not a canary.
    let image = "--image=registry.invalid/other:1";
    stack.kubectl(&["create", "deployment", "app-canary", image, "--replicas=0"]);
    let ran = run(step(&stack, two, "50%")).await;
    assert_eq!(ran.code, 3, "{}", ran.log);
    let problem = "input `canary`: the canary of Deployment/app would be Deployment/app-canary, which is in the cluster and is not a canary; rename one of them";
    assert!(ran.error().contains(problem), "{}", ran.error());
    stack.forget(&images.each_ref().map(String::as_str)).await;
}
