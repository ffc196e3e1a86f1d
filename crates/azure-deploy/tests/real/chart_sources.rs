//! Where a chart is: in an archive, in a registry; and what it may use.

use std::path::Path;
use std::process::Command;

use oci::{Descriptor, Digest, Manifest};
use testkit::FakeRunner;

use crate::stack::{LOGIN_SERVER, Stack, get, run};

/// The media types of a chart in a registry, as `helm push` writes them.
const CONFIG: &str = "application/vnd.cncf.helm.config.v1+json";
const ARCHIVE: &str = "application/vnd.cncf.helm.chart.content.v1.tar+gzip";
const APP: &str = "apiVersion: v1
kind: Service
metadata: {name: {{ .Release.Name }}}
spec:
  type: LoadBalancer
  selector: {app: {{ .Release.Name }}}
  ports: [{name: http, port: 80, targetPort: 8000}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: {{ .Release.Name }}}
spec:
  replicas: {{ .Values.replicas }}
  selector: {matchLabels: {app: {{ .Release.Name }}}}
  template:
    metadata: {labels: {app: {{ .Release.Name }}}}
    spec:
      terminationGracePeriodSeconds: 2
      containers:
      - name: app
        image: REPOSITORY:latest
        readinessProbe: {httpGet: {path: /health, port: 8000}, periodSeconds: 1}
";
const EXTRA: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: extra}\n";

// `APP` with the image of the test.
fn app(stack: &Stack) -> String {
    APP.replace("REPOSITORY", &stack.repository)
}

// The directory of a chart, and its archive, as `helm package` makes it.
fn package(directory: &Path, version: &str, templates: &[(&str, &str)]) {
    let chart = directory.join("shop");
    let templates = templates
        .iter()
        .map(|(name, text)| (format!("templates/{name}"), *text));
    let metadata = format!("apiVersion: v2\nname: shop\nversion: {version}\n");
    let files = [
        ("Chart.yaml".to_owned(), metadata.as_str()),
        ("values.yaml".to_owned(), "replicas: 1\n"),
    ];
    if chart.is_dir() {
        std::fs::remove_dir_all(&chart).unwrap();
    }
    std::fs::create_dir_all(chart.join("templates")).unwrap();
    for (path, text) in files.into_iter().chain(templates) {
        std::fs::write(chart.join(path), text).unwrap();
    }
    let packed = Command::new("tar")
        .args(["-czf", "shop.tgz", "shop"])
        .current_dir(directory)
        .status();
    assert!(packed.unwrap().success());
}

// Push the archive in `directory` as `helm push` does.
async fn push(stack: &Stack, directory: &Path, repository: &str, version: &str) -> Digest {
    let registry = stack.registry().await;
    let config = directory.join("config.json");
    std::fs::write(&config, "{}").unwrap();
    let mut blobs = Vec::new();
    for (path, kind) in [(config, CONFIG), (directory.join("shop.tgz"), ARCHIVE)] {
        let bytes = std::fs::read(&path).unwrap();
        let digest = Digest::sha256(&bytes);
        registry
            .push_blob(repository, digest.as_str(), &path)
            .await
            .unwrap();
        blobs.push(Descriptor::new(kind, &digest, bytes.len() as u64));
    }
    let config = blobs.remove(0);
    let manifest = Manifest::new(config, blobs);
    let pushed = registry.push_manifest(repository, &manifest, Some(version));
    pushed.await.unwrap()
}

fn with_release(stack: &Stack, step: FakeRunner, manifests: &str) -> FakeRunner {
    step.input("manifests", manifests)
        .input("namespace", &stack.namespace)
        .input("create-namespace", "true")
        .input("release", "web")
        .input("prune", "true")
}

#[tokio::test]
#[ignore = "real: needs the local stack"]
async fn a_chart_in_an_archive_is_deployed() {
    let stack = Stack::new("chart-tgz").await;
    let image = stack.build("one", "well").await;
    let step = stack.step_without_azure(&image).await;
    let step = step.input("expect-commit", "one");
    std::fs::create_dir_all(step.workspace()).unwrap();
    package(&step.workspace(), "1.2.0", &[("app.yaml", &app(&stack))]);
    let step = with_release(&stack, step, "shop.tgz").input("chart-values", "replicas=2");
    let ran = run(step).await;
    assert_eq!(ran.code, 0, "{}", ran.log);
    let line = "rendered the chart shop 1.2.0 as the release `web`";
    assert!(ran.log.contains(line), "{}", ran.log);
    assert_eq!(stack.spec("deployment/web")["replicas"], 2);
    stack.forget(&[&image]).await;
}

#[tokio::test]
#[ignore = "real: needs the local stack"]
async fn a_chart_in_a_registry_is_pulled_with_the_login_of_its_registry() {
    let stack = Stack::new("chart-oci").await;
    let image = stack.build("one", "well").await;
    let directory = tempfile::tempdir().unwrap();
    let repository = format!("{}-charts/shop", stack.repository);
    let app = app(&stack);
    let both = [("app.yaml", app.as_str()), ("extra.yaml", EXTRA)];
    package(directory.path(), "1.2.0+build.7", &both);
    let first = push(&stack, directory.path(), &repository, "1.2.0_build.7").await;
    package(directory.path(), "1.3.0", &both[..1]);
    let second = push(&stack, directory.path(), &repository, "1.3.0").await;
    let reference = |version: &str| format!("oci://{LOGIN_SERVER}/{repository}{version}");

    // With a user and a password; then with the identity of the run, and by digest.
    let step = stack.step_without_azure(&image).await;
    let step = step.input("expect-commit", "one");
    let ran = run(with_release(&stack, step, &reference(":1.2.0+build.7"))).await;
    assert_eq!(ran.code, 0, "{}", ran.log);
    let pulled = format!("pulled the chart {} ({first})", reference(":1.2.0_build.7"));
    assert!(ran.log.contains(&pulled), "{}", ran.log);
    stack.kubectl(&["get", "configmap", "extra"]);
    assert_eq!(get(ran.output("url")).await["commit"], "one");

    let step = stack.step_without_azure(&image).await;
    let step = step.input("expect-commit", "one");
    let by_digest = reference(&format!("@{second}"));
    let ran = run(with_release(&stack, step, &by_digest)).await;
    assert_eq!(ran.code, 0, "{}", ran.log);
    // Another version of the chart is the same set of objects.
    assert!(ran.log.contains("removed ConfigMap/extra"), "{}", ran.log);
    let path = std::env::var("PATH").unwrap();
    let step = stack.step(&image, "").env("PATH", &path);
    let step = with_release(&stack, step, &reference(":1.3.0"));
    let ran = run(step.input("prune", "false")).await;
    assert_eq!(ran.code, 0, "{}", ran.log);
    let pulled = format!("pulled the chart {} ({second})", reference(":1.3.0"));
    assert!(ran.log.contains(&pulled), "{}", ran.log);

    let ours = format!("oci://{LOGIN_SERVER}/{}:one", stack.repository);
    let table = [
        (
            reference(":9.0.0"),
            format!("`{}` is not in the registry", reference(":9.0.0")),
        ),
        (
            ours.clone(),
            format!("`{ours}` is not a chart: its configuration is `"),
        ),
    ];
    for (manifests, expected) in table {
        let step = stack.step_without_azure(&image).await;
        let ran = run(with_release(&stack, step, &manifests)).await;
        assert_eq!(ran.code, 3, "{}", ran.log);
        let expected = format!("azure-deploy: input `manifests`: {expected}");
        assert!(ran.error().starts_with(&expected), "{}", ran.error());
    }
    stack.forget(&[&image]).await;
}

#[tokio::test]
#[ignore = "real: needs the local stack"]
async fn a_template_that_allocates_for_ever_is_bad_input() {
    let stack = Stack::new("chart-memory").await;
    let image = stack.build("one", "well").await;
    // A list of 8 GB; and a text that doubles.
    for template in [
        "{{ range until 1000000000 }}{{ end }}",
        "{{ $text := \"0123456789abcdef\" }}{{ range until 40 }}{{ $text = print $text $text }}{{ end }}",
    ] {
        let step = stack.step_without_azure(&image).await;
        std::fs::create_dir_all(step.workspace()).unwrap();
        package(
            &step.workspace(),
            "1.2.0",
            &[("app.yaml", &app(&stack)), ("x.yaml", template)],
        );
        let ran = run(with_release(&stack, step, "shop.tgz")).await;
        assert_eq!(ran.code, 3, "{}", ran.log);
        assert_eq!(
            ran.error(),
            "azure-deploy: input `manifests`: failed to render the Helm chart `shop.tgz`: it needs more than 1 GiB of memory; a template may never end"
        );
    }
    stack.forget(&[&image]).await;
}
