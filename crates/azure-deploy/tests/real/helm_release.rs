//! A release that Helm installed, taken over.

use std::process::{Command, Stdio};

use serde_json::Value;

use crate::stack::{Stack, get, run};

/// What Helm adds to each object (helm.sh/docs, "Labels and annotations"), and its record of the release.
const RECORD: &str = "apiVersion: v1
kind: Secret
metadata:
  name: sh.helm.release.v1.web.v1
  labels: {owner: helm, name: web, status: deployed, version: '1'}
type: helm.sh/release.v1
data: {release: SDRzSUFBQUFBQUFBLw==}
";

// The manifests as Helm would have installed an older version of the chart: with its labels, and with a variable, a sidecar and a
// key that the new one no longer has.
fn installed(stack: &Stack, image: &str) -> String {
    let helm = "labels: {app.kubernetes.io/managed-by: Helm}, annotations: {meta.helm.sh/release-name: web, meta.helm.sh/release-namespace: NAMESPACE}";
    let helm = helm.replace("NAMESPACE", &stack.namespace);
    let more = format!(
        "        env: [{{name: OLD, value: '1'}}]
      - name: sidecar
        image: {image}
---
apiVersion: v1
kind: ConfigMap
metadata: {{name: settings, {helm}}}
data: {{kept: a, old: b}}
"
    );
    let manifests = stack.manifests(80, "", &more);
    manifests
        .replace(
            "metadata: {name: app,",
            &format!("metadata: {{{helm}, name: app,"),
        )
        .replace(&format!("{}:latest", stack.repository), image)
}

fn helm(stack: &Stack, manifests: &str, how: &[&str]) {
    let mut kubectl = Command::new("kubectl")
        .arg("--kubeconfig")
        .arg(stack.kubeconfig())
        .args(["--namespace", &stack.namespace])
        .args(how)
        .args(["--filename=-", "--field-manager=helm"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = kubectl.stdin.take().unwrap();
    std::io::Write::write_all(&mut stdin, manifests.as_bytes()).unwrap();
    drop(stdin);
    assert!(kubectl.wait().unwrap().success());
}

// The managers of the fields of an object, without the controllers of its status.
fn managers(stack: &Stack, object: &str) -> Vec<String> {
    let entries = stack.owners(object).into_iter();
    let managers = entries.map(|entry| entry["manager"].as_str().unwrap().to_owned());
    managers
        .filter(|name| name != "kube-controller-manager")
        .collect()
}

#[tokio::test]
#[ignore = "real: needs the local stack"]
async fn a_release_of_helm_is_taken_over_as_a_whole_and_its_record_stays() {
    // Helm 3 creates and patches, Helm 4 applies server-side.
    for (version, how) in [
        ("helm3", &["create"][..]),
        ("helm4", &["apply", "--server-side"][..]),
    ] {
        let stack = Stack::new(version).await;
        let images = [
            stack.build("one", "well").await,
            stack.build("two", "crash").await,
        ];
        let [one, crash] = &images;
        stack.kubectl(&["create", "namespace", &stack.namespace]);
        let old = installed(&stack, "registry.invalid/old:1");
        let old = old.split_once("---\n").unwrap().1;
        helm(&stack, old, how);
        helm(&stack, RECORD, how);
        let settings = "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings, namespace: NAMESPACE}\ndata: {kept: a}\n";
        let settings = settings.replace("NAMESPACE", &stack.namespace);
        let manifests = stack.manifests(80, "", &settings);
        let step = async |image: &str| {
            let step = stack.step_without_azure(image).await;
            let commit = image.split(':').nth(1).unwrap();
            step.file("k8s/app.yaml", &manifests)
                .input("expect-commit", commit)
        };

        let ran = run(step(one).await).await;
        assert_eq!(ran.code, 0, "{version}: {}", ran.log);
        let taken = "took over Deployment/app from the field manager `helm`: what the manifests do not have is removed";
        assert!(ran.log.contains(taken), "{version}: {}", ran.log);
        assert_eq!(get(ran.output("url")).await["commit"], "one");
        let pod = &stack.spec("deployment/app")["template"]["spec"];
        assert_eq!(pod["containers"].as_array().unwrap().len(), 1, "{version}");
        assert_eq!(pod["containers"][0]["env"], Value::Null, "{version}");
        let data = "--output=jsonpath={.data}";
        let data = stack.kubectl(&["get", "configmap", "settings", data]);
        assert_eq!(data, r#"{"kept":"a"}"#, "{version}");
        for object in ["deployment/app", "service/app", "configmap/settings"] {
            assert_eq!(
                managers(&stack, object),
                ["seaworthy"],
                "{version} {object}"
            );
        }
        stack.kubectl(&["get", "secret", "sh.helm.release.v1.web.v1"]);

        let before = stack.spec("deployment/app");
        let ran = run(step(crash).await).await;
        assert_eq!(
            (ran.code, ran.output("rolled-back")),
            (1, "true"),
            "{version}: {}",
            ran.log
        );
        assert_eq!(stack.spec("deployment/app"), before, "{version}");
        stack.forget(&images.each_ref().map(String::as_str)).await;
    }
}
