//! Admission webhooks that change and reject objects, as Deployment Safeguards of AKS Automatic and Azure Policy do.

use std::net::UdpSocket;

use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Value, json};
use testkit::pki::{CertificateAuthority, Leaf};
use testkit::server::{Server, listen, start_tls, tls_config};

use crate::stack::{Stack, get, run};

/// The most replicas that the validating webhook accepts.
const REPLICAS: u64 = 5;
const WARNING: &str = "container \"app\" has no resource requests: defaults are set";

/// The webhooks, for one namespace. They go when this is dropped.
struct Safeguards<'a> {
    stack: &'a Stack,
    _server: Server,
}

fn response(review: &Value, response: Value) -> Json<Value> {
    let mut response = response;
    response["uid"] = review["request"]["uid"].clone();
    Json(
        json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response}),
    )
}

// Sets what the manifest does not have, with a warning.
async fn mutate(Json(review): Json<Value>) -> Json<Value> {
    let object = &review["request"]["object"];
    let mut patch = Vec::new();
    let pod = "/spec/template/spec";
    if object
        .pointer(&format!("{pod}/automountServiceAccountToken"))
        .is_none()
    {
        patch.push(json!({"op": "add", "path": format!("{pod}/automountServiceAccountToken"), "value": false}));
    }
    let requests = object.pointer(&format!("{pod}/containers/0/resources/requests"));
    let is_missing = requests.is_none();
    if is_missing {
        let value = json!({"requests": {"memory": "16Mi"}});
        patch.push(
            json!({"op": "add", "path": format!("{pod}/containers/0/resources"), "value": value}),
        );
    }
    let warnings: &[&str] = if is_missing { &[WARNING] } else { &[] };
    let patch = testkit::base64(&serde_json::to_vec(&patch).unwrap());
    let patched =
        json!({"allowed": true, "patchType": "JSONPatch", "patch": patch, "warnings": warnings});
    response(&review, patched)
}

// Rejects with the policy and the field.
async fn validate(Json(review): Json<Value>) -> Json<Value> {
    let replicas = review["request"]["object"]["spec"]["replicas"].as_u64();
    let verdict = if replicas.is_some_and(|replicas| replicas > REPLICAS) {
        let message = format!(
            "[policy max-replicas] spec.replicas: {} is more than {REPLICAS}",
            replicas.unwrap_or_default()
        );
        json!({"allowed": false, "status": {"code": 403, "message": message}})
    } else {
        json!({"allowed": true})
    };
    response(&review, verdict)
}

impl<'a> Safeguards<'a> {
    async fn new(stack: &'a Stack) -> Self {
        stack.kubectl(&["create", "namespace", &stack.namespace]);
        // The address of this machine on the way to the API server.
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        let api_server = stack.kubectl(&[
            "config",
            "view",
            "--output",
            "jsonpath={.clusters[0].cluster.server}",
        ]);
        socket
            .connect(api_server.trim_start_matches("https://"))
            .unwrap();
        let address = socket.local_addr().unwrap().ip();
        let directory = tempfile::tempdir().unwrap();
        let ca = CertificateAuthority::new("safeguards").unwrap();
        let issued = ca
            .issue(&Leaf::server("safeguards", &[&address.to_string()]))
            .unwrap();
        issued.write(directory.path(), "safeguards").unwrap();
        let tls = tls_config(directory.path(), "safeguards").unwrap();
        let router = Router::new()
            .route("/mutate", post(mutate))
            .route("/validate", post(validate));
        let server = start_tls(listen((address, 0).into()).await.unwrap(), router, tls).unwrap();
        let bundle = testkit::base64(ca.certificate().as_bytes());
        for (kind, path) in [
            ("MutatingWebhookConfiguration", "mutate"),
            ("ValidatingWebhookConfiguration", "validate"),
        ] {
            let rules = json!([{"apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": ["deployments"]}]);
            let url = format!("https://{}/{path}", server.address);
            let configuration = json!({
                "apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": {"name": stack.namespace},
                "webhooks": [{
                    "name": "safeguards.test.example", "sideEffects": "None", "admissionReviewVersions": ["v1"],
                    "failurePolicy": "Fail", "timeoutSeconds": 30, "rules": rules, "clientConfig": {"url": url, "caBundle": bundle},
                    "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": stack.namespace}},
                }],
            });
            stack.kubectl_with("create", &configuration.to_string());
        }
        let this = Self {
            stack,
            _server: server,
        };
        // The API server takes a moment to know of them.
        let image = "seaworthy.azurecr.io/absent:1";
        let create = [
            "create",
            "deployment",
            "probe",
            "--image",
            image,
            "--replicas=6",
        ];
        let probing = ["--dry-run=server", "--namespace", &stack.namespace];
        let started = std::time::Instant::now();
        while stack.accepts(&[&create[..], &probing].concat()) {
            assert!(
                started.elapsed().as_secs() < 120,
                "the webhooks have no effect"
            );
        }
        this
    }
}

impl Drop for Safeguards<'_> {
    fn drop(&mut self) {
        for kind in [
            "mutatingwebhookconfiguration",
            "validatingwebhookconfiguration",
        ] {
            // The test has its verdict: what can't be removed does not change it.
            self.stack.accepts(&["delete", kind, &self.stack.namespace]);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "real: needs the local stack"]
async fn what_a_webhook_sets_is_no_drift_and_what_it_rejects_is_named() {
    let stack = Stack::new("admission").await;
    let safeguards = Safeguards::new(&stack).await;
    let one = stack.build("one", "well").await;
    let crash = stack.build("two", "crash").await;
    let manifests = stack.manifests(80, "", "");
    let ran = run(stack.step(&one, &manifests)).await;
    assert_eq!(ran.code, 0, "{}", ran.log);
    let warning = format!("::warning::the API server warns of `deployments/app`: {WARNING}");
    assert_eq!(ran.log.matches(&warning).count(), 1, "{}", ran.log);
    let before = stack.spec("deployment/app");
    let pod = &before["template"]["spec"];
    assert_eq!(pod["automountServiceAccountToken"], false);
    assert_eq!(
        pod["containers"][0]["resources"]["requests"]["memory"],
        "16Mi"
    );

    let again = run(stack.step(&one, &manifests)).await;
    assert_eq!(again.code, 0, "{}", again.log);
    assert!(
        again.log.contains("applied Deployment/app (unchanged)"),
        "{}",
        again.log
    );
    assert_eq!(stack.spec("deployment/app"), before);

    let many = manifests.replace("replicas: 2", "replicas: 6");
    let rejected = run(stack.step(&one, &many)).await;
    assert_ne!(rejected.code, 0, "{}", rejected.log);
    let message = "admission webhook \"safeguards.test.example\" denied the request: [policy max-replicas] spec.replicas: 6 is more than 5";
    assert!(
        rejected.error().contains(
            "nothing was changed: failed to apply `Deployment/app` of document 3 of `k8s/app.yaml`"
        ),
        "{}",
        rejected.error()
    );
    assert!(rejected.error().contains(message), "{}", rejected.error());
    assert!(!rejected.log.contains("pushed"), "{}", rejected.log);

    let ran = run(stack.step(&crash, &manifests)).await;
    assert_eq!(
        (ran.code, ran.output("rolled-back")),
        (1, "true"),
        "{}",
        ran.log
    );
    assert_eq!(stack.spec("deployment/app"), before);
    assert_eq!(get(ran.output("url")).await["commit"], "one");
    drop(safeguards);
    stack.forget(&[&one, &crash]).await;
}
