//! Deployments to the local stack: Docker, registry and cluster.

#![expect(clippy::unwrap_used, reason = "in a test, a panic is the report")]

#[cfg(test)]
mod addresses;
#[cfg(test)]
mod admission;
#[cfg(test)]
mod anywhere;
#[cfg(test)]
mod canary;
#[cfg(test)]
mod chart_sources;
#[cfg(test)]
mod charts;
#[cfg(test)]
mod controller;
#[cfg(test)]
mod definitions;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod from_kubectl;
#[cfg(test)]
mod helm_release;
#[cfg(test)]
mod images;
#[cfg(test)]
mod interrupted;
#[cfg(test)]
mod jobs;
#[cfg(test)]
mod left_over;
#[cfg(test)]
mod load;
#[cfg(test)]
mod overtaken;
#[cfg(test)]
mod patience;
#[cfg(test)]
mod previews;
#[cfg(test)]
mod private;
#[cfg(test)]
mod records;
#[cfg(test)]
mod room;
mod stack;
#[cfg(test)]
mod stopped;

use serde_json::Value;

use stack::{Stack, get, run};

/// A policy that rejects every Service in namespaces whose names begin so.
const POLICY: &str = "apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: NAME}
spec:
  failurePolicy: Fail
  matchConstraints: {resourceRules: [{apiGroups: [''], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [services]}]}
  matchConditions: [{name: here, expression: \"object.metadata.namespace.startsWith('NAME')\"}]
  validations: [{expression: 'false', message: no services today}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: NAME}
spec: {policyName: NAME, validationActions: [Deny]}
";

const CONFIG: &str = "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: new}\ndata: {a: b}\n";

#[tokio::test]
#[ignore = "real: needs the local stack"]
async fn an_unhealthy_version_is_rolled_back_and_the_old_one_is_healthy() {
    let stack = Stack::new("back").await;
    stack.namespace_that_warns();
    let good = stack.build("one", "well").await;
    let manifests = stack.manifests(80, "", "");
    let ran = run(stack.step(&good, &manifests)).await;
    assert!(ran.log.matches(Stack::WARNING).count() == 1, "{}", ran.log);
    assert_eq!(
        (ran.code, ran.output("result")),
        (0, "deployed"),
        "{}",
        ran.log
    );
    let image = ran.output("image").to_owned();
    let digest = ran.output("digest").to_owned();
    assert_eq!(
        image,
        format!("seaworthy.azurecr.io/{}@{digest}", stack.repository)
    );
    assert_eq!(
        (
            ran.output("previous-image"),
            ran.output("revision"),
            ran.output("rolled-back")
        ),
        ("", "1", "false")
    );
    let url = ran.output("url").to_owned();
    assert_eq!(url, format!("http://{}", ran.output("ip")));
    assert_eq!(get(&url).await["commit"], "one");
    assert_eq!(stack.latest().await, digest);
    assert!(ran.summary.contains("Deployed"), "{}", ran.summary);

    let again = run(stack.step(&good, &manifests)).await;
    assert_eq!(again.code, 0, "{}", again.log);
    assert!(
        again.log.contains("applied Deployment/app (unchanged)"),
        "{}",
        again.log
    );

    // Someone scales it, which no rollback undoes.
    stack.kubectl(&["scale", "deployment", "app", "--replicas=1"]);
    let state = || {
        ["deployment/app", "service/app"].map(|object| (stack.spec(object), stack.owners(object)))
    };
    let before = state();
    assert_eq!(before[0].0["replicas"], 1);
    let scaled = |entry: &Value| entry["subresource"] == "scale";
    assert!(before[0].1.iter().any(scaled), "{before:?}");
    let crash = stack.build("two", "crash").await;
    let sick = stack.build("three", "sick").await;
    // The broken versions also move the Service and bring something new.
    let broken = stack.manifests(81, "", CONFIG);
    let table = [
        (
            &crash,
            "Deployment/app: container `app` is crash-looping (exit code 3): `No module named 'app'`".to_owned(),
        ),
        (
            &sick,
            format!("{url}:81/health is unhealthy: timed out after 10s (`health-timeout`): status 503"),
        ),
    ];
    for (bad, cause) in table {
        let step = stack
            .step(bad, &broken)
            .input("namespace", &stack.namespace);
        let ran = run(step).await;
        assert_eq!(
            (ran.code, ran.output("result"), ran.output("rolled-back")),
            (1, "failed", "true"),
            "{}",
            ran.log
        );
        assert_eq!(
            ran.error(),
            format!(
                "azure-deploy: the new version failed; rolled back to `{image}`, which is healthy: {cause}"
            )
        );
        assert_eq!(
            (ran.output("previous-image"), ran.output("url")),
            (image.as_str(), url.as_str())
        );
        // The manifest would undo what was scaled.
        let scaled = "::warning::Deployment/app was scaled to 1 replicas by `kubectl";
        let undone =
            "`, and the manifest sets 2; leave `replicas` out of it to keep what was scaled";
        assert!(ran.log.contains(scaled), "{}", ran.log);
        assert_eq!(ran.log.matches(undone).count(), 1, "{}", ran.log);
        // The fields, and whose they are.
        assert_eq!(state(), before);
        assert_eq!(
            stack.kubectl(&["get", "configmap", "new", "--ignore-not-found"]),
            ""
        );
        assert_eq!(get(&url).await["commit"], "one");
        assert_eq!(stack.latest().await, digest);
        assert!(ran.summary.contains("Rolled back"), "{}", ran.summary);
    }
    stack.forget(&[&good, &crash, &sick]).await;
}

#[tokio::test]
#[ignore = "real: needs the local stack"]
async fn an_image_that_cannot_be_pulled_is_reported_in_seconds() {
    let stack = Stack::new("pull").await;
    let image = stack.build("one", "well").await;
    let side = "      - {name: side, image: 'seaworthy.azurecr.io/absent:1'}\n";
    // Somebody else has made a Service of this name, and a Secret with a login of last year.
    stack.kubectl(&["create", "namespace", &stack.namespace]);
    stack.kubectl(&["create", "service", "clusterip", "app", "--tcp=80:8000"]);
    let login = [
        "--docker-server=seaworthy.azurecr.io",
        "--docker-username=x",
        "--docker-password=old",
    ];
    stack.kubectl(&[&["create", "secret", "docker-registry", "pull"], &login[..]].concat());
    let before = stack.spec("service/app");
    let secret = || stack.kubectl(&["get", "secret", "pull", "--output=jsonpath={.data}"]);
    let old = secret();
    let step = stack.step_without_azure(&image).await;
    let step = step
        .file("k8s/app.yaml", &stack.manifests(80, "", side))
        .input("expect-commit", "one")
        .input("image-pull-secret", "pull");
    let started = std::time::Instant::now();
    let ran = run(step).await;
    assert_eq!(
        (ran.code, ran.output("rolled-back")),
        (1, "false"),
        "{}",
        ran.log
    );
    assert!(
        ran.error().starts_with("azure-deploy: this was the first deployment, so there is no version to roll back to; what existed before is as it was, and the new objects are left for inspection: Deployment/app: container `side` does not start: "),
        "{}",
        ran.error()
    );
    assert_eq!(stack.deployments(), "deployment.apps/app\n");
    assert_eq!(stack.spec("service/app"), before);
    let fields = [
        "get",
        "service",
        "app",
        "--show-managed-fields",
        "--output=jsonpath={.metadata.managedFields[*].manager}",
    ];
    let managers = stack.kubectl(&fields);
    assert!(
        managers.starts_with("kubectl-create") && !managers.contains("seaworthy"),
        "{managers}"
    );
    // An older login may no longer be valid.
    assert_ne!(secret(), old);
    assert!(started.elapsed().as_secs() < 60, "{:?}", started.elapsed());
    stack.forget(&[&image]).await;
}

#[tokio::test]
#[ignore = "real: needs the local stack"]
async fn what_the_api_server_rejects_is_bad_input_and_changes_nothing() {
    let stack = Stack::new("rejected").await;
    let image = stack.build("one", "well").await;
    stack.kubectl(&["create", "namespace", &stack.namespace]);
    let wrong = stack.manifests(99999, "", "");
    let ran = run(stack.step(&image, &wrong)).await;
    assert_eq!(
        (ran.code, ran.output("result")),
        (3, "error"),
        "{}",
        ran.log
    );
    let error = ran.error();
    assert!(
        error.starts_with("azure-deploy: input `manifests`: the API server would reject the objects, so nothing was changed: failed to apply `Service/app` of document 2 of `k8s/app.yaml`: "),
        "{error}"
    );
    assert!(error.contains("must be between 1 and 65535"), "{error}");
    assert!(!ran.log.contains("pushed"), "{}", ran.log);

    let misspelled = stack
        .manifests(80, "", "")
        .replace("replicas: 2", "replica: 2");
    let ran = run(stack.step(&image, &misspelled)).await;
    assert_eq!(ran.code, 3, "{}", ran.log);
    assert_eq!(
        ran.error(),
        "azure-deploy: input `manifests`: the API server would reject the objects, so nothing was changed: failed to apply `Deployment/app` of document 3 of `k8s/app.yaml`: the field `spec.replica` is unknown; check its name and place"
    );

    let number = "        env: [{name: PORT, value: 8000}]\n";
    let ran = run(stack.step(&image, &stack.manifests(80, "", number))).await;
    assert_eq!(ran.code, 3, "{}", ran.log);
    assert_eq!(
        ran.error(),
        "azure-deploy: input `manifests`: the API server would reject the objects, so nothing was changed: failed to apply `Deployment/app` of document 3 of `k8s/app.yaml`: `spec.template.spec.containers[name=app].env[name=PORT].value` is `8000`, and must be of the type string; put it in quotes"
    );
    assert_eq!(stack.deployments(), "");
    stack.forget(&[&image]).await;
}

#[tokio::test]
#[ignore = "real: needs the local stack"]
async fn a_namespace_that_was_created_for_objects_that_are_rejected_is_removed() {
    let stack = Stack::new("refused").await;
    let image = stack.build("one", "well").await;
    // Its user may remove namespaces, which the deployer may not.
    let step = stack.step_without_azure(&image).await;
    let invalid = run(step.file("k8s/app.yaml", &stack.manifests(99999, "", ""))).await;
    // The fields are checked before the namespace is there.
    assert_eq!(invalid.code, 3, "{}", invalid.log);
    let problem = "the API server would reject the objects, so nothing was changed: failed to apply `Service/app` of document 2 of `k8s/app.yaml`";
    assert!(invalid.error().contains(problem), "{}", invalid.error());
    assert!(!invalid.log.contains("pushed"), "{}", invalid.log);

    // What a policy of the namespace rejects is known only then.
    let namespace = &stack.namespace;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), POLICY.replace("NAME", namespace)).unwrap();
    let file = file.path().to_string_lossy().into_owned();
    stack.kubectl(&["apply", "--filename", &file]);
    let manifests = stack.manifests(80, "", "");
    // The API server takes a moment to know of it.
    let probe = format!("{namespace}-probe");
    stack.kubectl(&["create", "namespace", &probe]);
    let create = ["create", "service", "clusterip", "app", "--tcp=80"];
    let probing = ["--dry-run=server", "--namespace", &probe];
    let started = std::time::Instant::now();
    while stack.accepts(&[&create[..], &probing].concat()) {
        assert!(
            started.elapsed().as_secs() < 120,
            "the policy has no effect"
        );
    }
    stack.kubectl(&["delete", "namespace", "--wait=false", &probe]);
    let step = stack.step_without_azure(&image).await;
    let ran = run(step.file("k8s/app.yaml", &manifests)).await;
    stack.kubectl(&["delete", "--filename", &file]);
    assert_ne!(ran.code, 0, "{}", ran.log);
    let error = format!(
        "Namespace/{namespace} was created to check the objects in it, and is removed: input `manifests`: the API server would reject the objects"
    );
    assert!(ran.error().contains(&error), "{}", ran.error());
    assert!(ran.error().contains("no services today"), "{}", ran.error());
    stack.kubectl(&[
        "wait",
        "--for=delete",
        &format!("namespace/{namespace}"),
        "--timeout=60s",
    ]);
    stack.forget(&[&image]).await;
}

#[tokio::test]
#[ignore = "real: needs the local stack"]
async fn without_an_address_the_step_is_red() {
    let stack = Stack::new("address").await;
    let image = stack.build("one", "well").await;
    let nowhere = stack.manifests(80, "seaworthy/no-address: 'true'", "");
    let step = stack.step(&image, &nowhere).input("address-timeout", "2s");
    let ran = run(step).await;
    assert_eq!(
        (ran.code, ran.output("result")),
        (1, "failed"),
        "{}",
        ran.log
    );
    assert_eq!(
        ran.error(),
        "azure-deploy: this was the first deployment, so there is no version to roll back to; the applied objects are left for inspection: timed out after 2s (`address-timeout`) waiting for the address of Service/app: there are no warnings"
    );
    stack.kubectl(&["get", "deployment/app"]);
    stack.forget(&[&image]).await;
}

#[tokio::test]
#[ignore = "real: needs the local stack"]
async fn a_stateful_set_is_rolled_back_too() {
    let stack = Stack::new("set").await;
    let good = stack.build("one", "well").await;
    let crash = stack.build("two", "crash").await;
    let manifests = stack.manifests(80, "", "");
    let strategy =
        "strategy: {type: RollingUpdate, rollingUpdate: {maxUnavailable: 0, maxSurge: 1}}";
    assert!(manifests.contains(strategy));
    let manifests = manifests
        .replace("kind: Deployment", "kind: StatefulSet")
        .replace(strategy, "serviceName: app");
    let step = async |image: &str, commit: &str| {
        let step = stack.step_without_azure(image).await;
        step.file("k8s/app.yaml", &manifests)
            .input("expect-commit", commit)
    };
    let ran = run(step(&good, "one").await).await;
    assert_eq!(ran.code, 0, "{}", ran.log);
    let image = ran.output("image");
    let before = stack.spec("statefulset/app");

    let ran = run(step(&crash, "two").await).await;
    assert_eq!(
        (ran.code, ran.output("rolled-back")),
        (1, "true"),
        "{}",
        ran.log
    );
    assert!(
        ran.log
            .contains("removed the pod app-1 of the previous version"),
        "{}",
        ran.log
    );
    let error = ran.error();
    assert!(
        error.contains(&format!("rolled back to `{image}`, which is healthy")),
        "{error}"
    );
    assert_eq!(stack.spec("statefulset/app"), before);
    assert_eq!(get(ran.output("url")).await["commit"], "one");
    stack.forget(&[&good, &crash]).await;
}

#[tokio::test]
#[ignore = "real: needs the local stack"]
async fn a_registry_that_does_not_know_the_identity_fails_before_anything_else_happens() {
    let other = "44444444-4444-4444-8444-444444444444";
    let stack = Stack::with("stranger", |azure| azure.client = other.into()).await;
    let image = stack.build("one", "well").await;
    let step = stack.step(&image, &stack.manifests(80, "", ""));
    let ran = run(step.input("client-id", other)).await;
    assert_eq!(
        (ran.code, ran.output("result")),
        (2, "error"),
        "{}",
        ran.log
    );
    assert_eq!(
        ran.error(),
        "azure-deploy: failed to sign in to `seaworthy.azurecr.io`: status 401 Unauthorized: authentication required, visit https://aka.ms/acr/authorization for more information; give the identity the role AcrPush on the registry (Container Registry Repository Writer, if its role assignments are per repository)"
    );
    assert!(!ran.log.contains("pushed"), "{}", ran.log);
    stack.forget(&[&image]).await;
}
