//! What a team finds that has deployed by `kubectl apply` so far, with the same manifests.

use serde_json::Value;

use crate::stack::{Stack, get, run};

/// The ports of the Service, of which the health is queried at the last one.
const PORTS: &str = "{name: https, port: 443, targetPort: 8000}, {name: metrics, port: 9090, targetPort: 8000}, {name: http, port: 80, targetPort: 8000}";

// Manifests without a namespace, for that of the context; with a mode in YAML's octal form, and several ports.
fn manifests(stack: &Stack) -> String {
    let more = "        volumeMounts: [{name: settings, mountPath: /settings}]
      volumes: [{name: settings, configMap: {name: settings, defaultMode: 0400}}]
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {kept: a}
";
    let manifests = stack.manifests(80, "", more);
    let (_, manifests) = manifests.split_once("---\n").unwrap();
    let (namespace, port) = (&stack.namespace, "{name: http, port: 80, targetPort: 8000}");
    let manifests = manifests
        .replace(&format!("  namespace: {namespace}\n"), "")
        .replace(&format!(", namespace: {namespace}"), "")
        .replace(port, PORTS);
    assert!(!manifests.contains("namespace") && manifests.contains(PORTS));
    manifests
}

// The manifests as they were: with a variable, a sidecar and a key that they no longer have.
fn earlier(stack: &Stack, manifests: &str) -> String {
    manifests
        .replace(
            &format!("{}:latest", stack.repository),
            "registry.invalid/old:1",
        )
        .replace(
            "        volumeMounts:",
            "        env: [{name: OLD, value: '1'}]\n        volumeMounts:",
        )
        .replace(
            "      volumes:",
            "      - {name: sidecar, image: 'registry.invalid/old:1'}\n      volumes:",
        )
        .replace("{kept: a}", "{kept: a, old: b}")
}

// The administrator's kubeconfig, whose context has the namespace of the test.
fn kubeconfig(stack: &Stack) -> String {
    let view = [
        "config",
        "view",
        "--raw",
        "--flatten",
        "--minify",
        "--output=json",
    ];
    let mut kubeconfig: Value = serde_json::from_str(&stack.kubectl(&view)).unwrap();
    kubeconfig["contexts"][0]["context"]["namespace"] = stack.namespace.as_str().into();
    kubeconfig.to_string()
}

#[tokio::test]
#[ignore = "real: needs the local stack"]
async fn what_kubectl_applied_is_taken_over_and_the_manifests_mean_the_same() {
    let stack = Stack::new("from-kubectl").await;
    let image = stack.build("one", "well").await;
    let manifests = manifests(&stack);
    stack.kubectl(&["create", "namespace", &stack.namespace]);
    stack.kubectl_with("apply", &earlier(&stack, &manifests));
    let step = async || {
        let step = stack.step_without_azure(&image).await;
        step.file("k8s/app.yaml", &manifests)
            .input("kubeconfig", &kubeconfig(&stack))
            .input("expect-commit", "one")
    };

    // A dry run shows what taking over removes, and takes over nothing.
    let owners = stack.owners("deployment/app");
    let planned = run(step().await.input("dry-run", "true")).await;
    assert_eq!(
        (planned.code, planned.output("result")),
        (0, "planned"),
        "{}",
        planned.log
    );
    assert_eq!(stack.owners("deployment/app"), owners);

    let ran = run(step().await).await;
    assert_eq!(ran.code, 0, "{}", ran.log);
    let taken = "took over Deployment/app from the field manager `kubectl-client-side-apply`: what the manifests do not have is removed";
    assert!(ran.log.contains(taken), "{}", ran.log);
    // What disappears is in the diff, in the log before it is applied, and in the summary.
    let pod = "Deployment/app: spec.template.spec";
    for line in [
        format!(r#"{pod}.containers[app].env: [{{"name":"OLD","value":"1"}}] → none"#),
        format!("{pod}.containers[sidecar]: {{"),
        "ConfigMap/settings: data.old: b → none".to_owned(),
    ] {
        for ran in [&planned, &ran] {
            assert!(ran.log.contains(&line), "{line}: {}", ran.log);
            assert!(ran.summary.contains(&line), "{line}: {}", ran.summary);
        }
    }
    let live = stack.spec("deployment/app");
    let pod = &live["template"]["spec"];
    assert_eq!(pod["containers"].as_array().unwrap().len(), 1, "{pod}");
    assert_eq!(pod["containers"][0]["env"], Value::Null, "{pod}");
    // `0400` is octal, for kubectl and here.
    assert_eq!(pod["volumes"][0]["configMap"]["defaultMode"], 0o400);

    // The health is queried at the port that is named `http`, or at the one of the input.
    let url = format!("http://{}", ran.output("ip"));
    assert_eq!(ran.output("url"), url, "{}", ran.log);
    assert_eq!(get(&url).await["commit"], "one");
    for port in ["metrics", "9090"] {
        let ran = run(step().await.input("health-port", port)).await;
        assert_eq!(ran.code, 0, "{}", ran.log);
        assert_eq!(ran.output("url"), format!("{url}:9090"), "{}", ran.log);
        let checked = format!("the health is checked by Service/app: {url}:9090/health");
        assert!(ran.log.contains(&checked), "{}", ran.log);
    }

    // A Service of which no port speaks HTTP.
    let mqtt = manifests.replace(PORTS, "{name: mqtt, port: 1883, targetPort: 8000}");
    let ran = run(step().await.file("k8s/app.yaml", &mqtt)).await;
    assert_eq!(ran.code, 0, "{}", ran.log);
    let skipped = "::warning::no port of Service/app speaks HTTP, so the health check is skipped; set `health-port` if one does, or `health-url` to where the application responds";
    assert_eq!(ran.log.matches(skipped).count(), 1, "{}", ran.log);
    stack.forget(&[&image]).await;
}
