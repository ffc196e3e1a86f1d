//! Helm charts: rendered with what the cluster is, deployed as any other manifests.

use testkit::FakeRunner;

use crate::stack::{Stack, get, run};

const CHART: &str = "apiVersion: v2\nname: shop\nversion: 1.2.0\nkubeVersion: '>=1.30.0-0'\n";
const VALUES: &str = "image: {repository: REPOSITORY, tag: latest}\nreplicas: 1\nextra: true\n";
const SCHEMA: &str = r#"{"type": "object", "properties": {"replicas": {"type": "integer"}}}"#;
const APP: &str = "apiVersion: v1
kind: Service
metadata: {name: {{ .Release.Name }}, labels: {app.kubernetes.io/managed-by: {{ .Release.Service }}}}
spec:
  type: LoadBalancer
  selector: {app: {{ .Release.Name }}}
  ports: [{name: http, port: 80, targetPort: 8000}]
---
apiVersion: {{ if .Capabilities.APIVersions.Has \"apps/v1/Deployment\" }}apps/v1{{ else }}extensions/v1beta1{{ end }}
kind: Deployment
metadata:
  name: {{ .Release.Name }}
  annotations: {upgrade: {{ .Release.IsUpgrade | quote }}, kubernetes: {{ .Capabilities.KubeVersion.Major | quote }}}
spec:
  replicas: {{ .Values.replicas }}
  selector: {matchLabels: {app: {{ .Release.Name }}}}
  template:
    metadata: {labels: {app: {{ .Release.Name }}}}
    spec:
      terminationGracePeriodSeconds: 2
      containers:
      - name: app
        image: \"{{ .Values.image.repository }}:{{ .Values.image.tag }}\"
        env: [{name: PASSWORD, valueFrom: {secretKeyRef: {name: password, key: password}}}, {name: GREETING, value: {{ .Values.greeting | quote }}}]
        readinessProbe: {httpGet: {path: /health, port: 8000}, periodSeconds: 1}
";
const SECRET: &str = "{{- $old := lookup \"v1\" \"Secret\" .Release.Namespace \"password\" }}
apiVersion: v1
kind: Secret
metadata: {name: password}
data:
  password: {{ if $old }}{{ $old.data.password }}{{ else }}{{ randAlphaNum 12 | b64enc }}{{ end }}
";
const EXTRA: &str = "{{- if .Values.extra }}
apiVersion: v1
kind: ConfigMap
metadata: {name: extra}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: kept, annotations: {helm.sh/resource-policy: keep}}
{{- end }}
";
const NOTES: &str = "Thank you for installing {{ .Chart.Name }}.\n";
const DEFINITION: &str = "apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: KIND.chart.test.example}
spec:
  group: chart.test.example
  scope: Namespaced
  names: {plural: KIND, singular: offer, kind: Offer}
  versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}]
";
const OFFER: &str = "apiVersion: chart.test.example/v1\nkind: Offer\nmetadata: {name: first}\n";

// A Job that is a hook.
fn hook(stack: &Stack, name: &str, events: &str, weight: i32) -> String {
    let repository = &stack.repository;
    format!(
        "apiVersion: batch/v1
kind: Job
metadata: {{name: {name}, annotations: {{helm.sh/hook: '{events}', helm.sh/hook-weight: '{weight}'}}}}
spec:
  backoffLimit: 0
  template:
    spec:
      restartPolicy: Never
      containers: [{{name: job, image: '{repository}:latest', command: [sh, -c, 'echo ran {name}']}}]
"
    )
}

fn with_chart(stack: &Stack, step: FakeRunner) -> FakeRunner {
    let hooks = [
        hook(stack, "second", "pre-install,pre-upgrade", 5),
        hook(stack, "first", "pre-install,pre-upgrade", -5),
        hook(stack, "last", "post-install,post-upgrade", 0),
        hook(stack, "once", "pre-install", 9),
        hook(stack, "check", "test", 0),
    ];
    let values = VALUES.replace("REPOSITORY", &stack.repository);
    step.file("deploy/shop/Chart.yaml", CHART)
        .file("deploy/shop/values.yaml", &values)
        .file("deploy/shop/values.schema.json", SCHEMA)
        .file("deploy/shop/templates/app.yaml", APP)
        .file("deploy/shop/templates/secret.yaml", SECRET)
        .file("deploy/shop/templates/extra.yaml", EXTRA)
        .file("deploy/shop/templates/NOTES.txt", NOTES)
        .file("deploy/shop/templates/hooks.yaml", &hooks.join("---\n"))
        .file("deploy/production.yaml", "replicas: 2\n")
        .input("manifests", "deploy/shop")
        .input("prune", "true")
}

#[tokio::test]
#[ignore = "real: needs the local stack"]
async fn a_chart_is_deployed_upgraded_and_rolled_back() {
    let stack = Stack::new("chart").await;
    let one = stack.build("one", "well").await;
    let two = stack.build("two", "well").await;
    let crash = stack.build("three", "crash").await;
    let step = async |image: &str, values: &str| {
        let commit = image.split(':').nth(1).unwrap();
        with_chart(&stack, stack.step_without_azure(image).await)
            .input("chart-values", values)
            .input("namespace", &stack.namespace)
            .input("create-namespace", "true")
            .input("release", "web")
            .input("expect-commit", commit)
    };
    let password = || {
        let args = ["get", "secret", "password", "--output", "jsonpath={.data}"];
        stack.kubectl(&args)
    };
    let values = "greeting=hello world\ndeploy/production.yaml";
    let ran = run(step(&one, values).await).await;
    assert_eq!(ran.code, 0, "{}", ran.log);
    let at = |text: &str| {
        ran.log
            .find(text)
            .unwrap_or_else(|| panic!("{text}: {}", ran.log))
    };
    let namespace = &stack.namespace;
    at(&format!(
        "rendered the chart shop 1.2.0 as the release `web` in the namespace `{namespace}` (install)"
    ));
    assert!(at("\nran first\n") < at("\nran second\n"));
    assert!(at("\nran second\n") < at("\nran once\n"));
    assert!(at("\nran once\n") < at("applied Deployment/web"));
    assert!(at("applied Deployment/web") < at("\nran last\n"));
    at("Job/check is a hook (test), and is not a part of this deployment");
    assert!(!ran.log.contains("Thank you"), "{}", ran.log);
    let deployment = stack.spec("deployment/web");
    assert_eq!(deployment["replicas"], 2);
    let greeting = &deployment["template"]["spec"]["containers"][0]["env"][1]["value"];
    assert_eq!(greeting, "hello world");
    let url = ran.output("url").to_owned();
    assert_eq!(get(&url).await["commit"], "one");
    let first = password();

    // Hooks run each time.
    let again = run(step(&one, values).await).await;
    assert_eq!(again.code, 0, "{}", again.log);
    for line in ["\nran first\n", "\nran second\n", "\nran last\n"] {
        assert_eq!(again.log.matches(line).count(), 1, "{}", again.log);
    }

    // What a template made before is kept; what the values no longer have is removed.
    let values = "deploy/production.yaml\nextra=false,greeting=hi";
    let ran = run(step(&two, values).await).await;
    assert_eq!(ran.code, 0, "{}", ran.log);
    assert!(ran.log.contains("(upgrade)"), "{}", ran.log);
    assert!(!ran.log.contains("another result"), "{}", ran.log);
    assert_eq!(password(), first);
    assert_eq!(get(&url).await["commit"], "two");
    assert!(ran.log.contains("removed ConfigMap/extra"), "{}", ran.log);
    stack.kubectl(&["get", "configmap", "kept"]);
    let hook_of_install = "Job/once is a hook (pre-install), and is not a part of this deployment";
    assert!(ran.log.contains(hook_of_install), "{}", ran.log);
    let good = stack.spec("deployment/web");

    let ran = run(step(&crash, "replicas=1\ngreeting=no").await).await;
    assert_eq!(
        (ran.code, ran.output("rolled-back")),
        (1, "true"),
        "{}",
        ran.log
    );
    assert_eq!(stack.spec("deployment/web"), good);
    assert_eq!(password(), first);
    assert_eq!(get(&url).await["commit"], "two");
    stack.forget(&[&one, &two, &crash]).await;
}

#[tokio::test]
#[ignore = "real: needs the local stack"]
async fn what_helm_does_not_accept_is_bad_input() {
    let stack = Stack::new("chart-bad").await;
    let image = stack.build("one", "well").await;
    let step = async || {
        with_chart(&stack, stack.step_without_azure(&image).await)
            .input("namespace", &stack.namespace)
    };
    let pod = "kind: Pod\napiVersion: v1\nmetadata: {name: p, annotations: {helm.sh/hook: pre-install}}\n";
    let table = [
        (
            step().await.file("deploy/shop/templates/bad.yaml", "a: 1\nb: {{ .Values.a.b.c }}\n"),
            "shop/templates/bad.yaml:2:13 executing \"shop/templates/bad.yaml\" at <.Values.a.b.c>: nil pointer evaluating interface {}.b",
        ),
        (
            step().await.file("deploy/shop/templates/bad.yaml", "a: [1\n"),
            "YAML parse error on shop/templates/bad.yaml",
        ),
        (
            step().await.input("chart-values", "replicas=many"),
            "the values do not match the schema of the chart shop: at '/replicas': got string, want integer",
        ),
        (
            step().await.input("chart-values", "a[b]=secret"),
            "failed to parse the value of a[b]: ",
        ),
        (
            step().await.input("release", "Shop!"),
            "the release name \"Shop!\" is invalid",
        ),
        (
            step().await.file("deploy/shop/Chart.yaml", &CHART.replace(">=1.30.0-0", "<1.20.0")),
            "it requires Kubernetes <1.20.0, and the cluster has v1.",
        ),
        (
            step().await.file("deploy/shop/Chart.yaml", &format!("{CHART}dependencies: [{{name: redis, version: 1.0.0, repository: 'https://example.com'}}]\n")),
            "its dependencies are not in charts/: redis; run `helm dependency build` in an earlier step, or commit them",
        ),
        (
            step().await.file("deploy/shop/values.schema.json", r#"{"$ref": "http://127.0.0.1:1/x.json"}"#),
            "the schema refers to http://127.0.0.1:1/x.json, which is not fetched",
        ),
        (
            step().await.file("deploy/shop/templates/pod.yaml", pod),
            "Pod/p in `deploy/shop/templates/pod.yaml` is a hook (pre-install), and only a Job, and what it needs, can be one; make it a Job",
        ),
    ];
    for (step, expected) in table {
        let ran = run(step).await;
        assert_eq!(
            (ran.code, ran.output("result")),
            (3, "error"),
            "{}",
            ran.log
        );
        let start =
            "azure-deploy: input `manifests`: failed to render the Helm chart `deploy/shop`: ";
        assert!(ran.error().starts_with(start), "{}", ran.error());
        assert!(ran.error().contains(expected), "{}", ran.error());
        assert!(!ran.error().contains("secret"), "{}", ran.error());
    }
    assert_eq!(stack.deployments(), "");

    // A chart makes another password each time, as no template looks up the last one.
    let random = "apiVersion: v1\nkind: Secret\nmetadata: {name: password}\nstringData: {password: {{ randAlphaNum 12 }}}\n";
    let step = step()
        .await
        .file("deploy/shop/templates/secret.yaml", random);
    let ran = run(step
        .input("rollout-timeout", "1s")
        .input("image", "absent:1"))
    .await;
    assert!(ran.log.contains("1 template of the chart has another result each time, such as a random password, which changes at each deployment; set the value it has by `chart-values`: shop/templates/secret.yaml"), "{}", ran.log);
    stack.forget(&[&image]).await;
}

#[tokio::test]
#[ignore = "real: needs the local stack"]
async fn definitions_of_a_chart_are_created_and_not_changed() {
    let stack = Stack::new("chart-crd").await;
    let image = stack.build("one", "well").await;
    let plural = format!("offers{}", std::process::id());
    let definition = DEFINITION.replace("KIND", &plural);
    let step = async |definition: &str| {
        with_chart(&stack, stack.step_without_azure(&image).await)
            .file("deploy/shop/crds/offers.yaml", definition)
            .file("deploy/shop/templates/offer.yaml", OFFER)
            .input("namespace", &stack.namespace)
            .input("create-namespace", "true")
            .input("expect-commit", "one")
    };
    let ran = run(step(&definition).await).await;
    let other = definition.replace("singular: offer", "singular: changed");
    let again = run(step(&other).await).await;
    let name = format!("{plural}.chart.test.example");
    stack.kubectl(&["delete", "customresourcedefinition", &name]);
    assert_eq!(ran.code, 0, "{}", ran.log);
    let applied = format!("applied CustomResourceDefinition/{name} (new)");
    assert!(ran.log.contains(&applied), "{}", ran.log);
    assert!(ran.log.contains("applied Offer/first (new)"), "{}", ran.log);
    assert_eq!(again.code, 0, "{}", again.log);
    let kept = format!(
        "CustomResourceDefinition/{name} exists: definitions in the `crds` of a chart are created, and not updated"
    );
    assert!(again.log.contains(&kept), "{}", again.log);
    stack.forget(&[&image]).await;
}
