//! Jobs with the application's image: a migration comes before the workloads, and one that fails stops the deployment.

use testkit::Ran;

use crate::stack::{Stack, get, run};

// The manifests with a migration that is `sh -c command`.
fn with_migration(stack: &Stack, command: &str) -> String {
    let (namespace, repository) = (&stack.namespace, &stack.repository);
    let manifests = stack.manifests(80, "", "");
    format!(
        "{manifests}---
apiVersion: batch/v1
kind: Job
metadata: {{name: migration, namespace: {namespace}, annotations: {{seaworthy/before-workloads: 'true'}}}}
spec:
  backoffLimit: 0
  template:
    spec:
      restartPolicy: Never
      containers: [{{name: migration, image: '{repository}:latest', command: [sh, -c, '{command}']}}]
"
    )
}

// The Job `name`, whose last words are `last`, failed, and the deployment was rolled back.
fn has_failed(ran: &Ran, name: &str, last: &str) {
    assert_eq!(
        (ran.code, ran.output("result"), ran.output("rolled-back")),
        (1, "failed", "true"),
        "{}",
        ran.log
    );
    let cause = format!(
        "Job/{name}: the Job failed: BackoffLimitExceeded: Job has reached the specified backoff limit: `{last}`"
    );
    assert!(ran.error().ends_with(&cause), "{}", ran.error());
}

#[tokio::test]
#[ignore = "real: needs the local stack"]
async fn a_migration_runs_before_the_workloads_and_stops_the_deployment_if_it_fails() {
    let stack = Stack::new("jobs").await;
    let images = [
        stack.build("one", "well").await,
        stack.build("two", "well").await,
    ];
    let [one, two] = &images;
    // Jobs are not among the rights of the deployer of the other tests.
    let step = async |image: &str, command: &str| {
        let commit = image.split(':').nth(1).unwrap();
        let step = stack.step_without_azure(image).await;
        step.file("k8s/app.yaml", &with_migration(&stack, command))
            .input("expect-commit", commit)
    };
    let ran = run(step(one, "echo migrated to one").await).await;
    assert_eq!(ran.code, 0, "{}", ran.log);
    let line = |text: &str| ran.log.find(text).unwrap_or_else(|| panic!("{}", ran.log));
    assert!(line("\nmigrated to one\n") < line("applied Deployment/app"));
    assert!(line("applied Job/migration") < line("Job/migration is done"));
    let before = stack.spec("deployment/app");
    let url = ran.output("url").to_owned();

    let again = run(step(one, "echo migrated to one").await).await;
    assert_eq!(again.code, 0, "{}", again.log);
    let unchanged = "applied Job/migration (unchanged)";
    assert!(again.log.contains(unchanged), "{}", again.log);

    // Another image is another template: the finished Job is replaced. The first time it fails.
    let failed = run(step(two, "echo no such column; exit 1").await).await;
    has_failed(&failed, "migration", "no such column");
    assert_eq!(failed.output("previous-image"), ran.output("image"));
    assert!(
        !failed.log.contains("applied Deployment/app"),
        "{}",
        failed.log
    );
    assert_eq!(stack.spec("deployment/app"), before);
    assert!(
        !failed.log.contains("applied Service/app"),
        "{}",
        failed.log
    );
    assert_eq!(get(&url).await["commit"], "one");

    let last = run(step(two, "echo migrated to two").await).await;
    assert_eq!(last.code, 0, "{}", last.log);
    assert!(last.log.contains("Job/migration: replaced"), "{}", last.log);
    assert_eq!(last.output("previous-image"), ran.output("image"));
    assert_eq!(get(&url).await["commit"], "two");

    // One without the annotation runs with the workloads, and is waited for as they are.
    let plain = async |command: &str| {
        let annotation = ", annotations: {seaworthy/before-workloads: 'true'}";
        let manifests = with_migration(&stack, command);
        assert!(manifests.contains(annotation));
        let manifests = manifests.replace(annotation, "");
        let step = stack.step_without_azure(two).await;
        step.file(
            "k8s/app.yaml",
            &manifests.replace("name: migration", "name: tidy"),
        )
        .input("expect-commit", "two")
    };
    let failed = run(plain("echo nothing to tidy; exit 1").await).await;
    has_failed(&failed, "tidy", "nothing to tidy");
    let done = run(plain("echo all is tidy").await).await;
    assert_eq!(done.code, 0, "{}", done.log);
    assert!(done.log.contains("Job/tidy is done"), "{}", done.log);
    assert!(done.log.contains("\nall is tidy\n"), "{}", done.log);
    stack.forget(&images.each_ref().map(String::as_str)).await;
}

#[tokio::test]
#[ignore = "real: needs the local stack"]
async fn a_job_that_still_runs_when_the_deployment_is_rolled_back_does_not_stop_the_next_one() {
    let stack = Stack::new("hanging-jobs").await;
    let images = [
        stack.build("one", "well").await,
        stack.build("two", "well").await,
    ];
    let [one, two] = &images;
    let step = async |image: &str, command: &str| {
        let commit = image.split(':').nth(1).unwrap();
        let step = stack.step_without_azure(image).await;
        step.file("k8s/app.yaml", &with_migration(&stack, command))
            .input("expect-commit", commit)
    };
    let jobs = || stack.kubectl(&["get", "jobs", "--output=name"]);

    // The first deployment leaves its objects for inspection, but not a Job that the next one would have to wait for.
    let hanging = step(one, "sleep 600").await.input("rollout-timeout", "5s");
    let ran = run(hanging).await;
    assert_eq!(
        (ran.code, ran.output("rolled-back")),
        (1, "false"),
        "{}",
        ran.log
    );
    let stopped = "stopped and removed Job/migration, which still ran";
    assert!(ran.log.contains(stopped), "{}", ran.log);
    assert_eq!(jobs(), "");
    let ran = run(step(one, "echo migrated to one").await).await;
    assert_eq!(ran.code, 0, "{}", ran.log);

    // One that replaced a finished Job is stopped; the finished one is not run again.
    let hanging = step(two, "sleep 600").await.input("rollout-timeout", "5s");
    let ran = run(hanging).await;
    assert_eq!(
        (ran.code, ran.output("rolled-back")),
        (1, "true"),
        "{}",
        ran.log
    );
    let stopped = "stopped and removed the new version's Job/migration; the one before had succeeded, and is not run again";
    assert!(ran.log.contains(stopped), "{}", ran.log);
    assert_eq!(jobs(), "");
    let ran = run(step(two, "echo migrated to two").await).await;
    assert_eq!(ran.code, 0, "{}", ran.log);
    assert_eq!(get(ran.output("url")).await["commit"], "two");
    stack.forget(&images.each_ref().map(String::as_str)).await;
}
