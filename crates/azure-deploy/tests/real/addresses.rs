//! Health by an Ingress, by a route of the Gateway API, and inside the cluster. What a controller would publish is written
//! into the status: its data plane is a server of this test.

use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};
use testkit::pki::{CertificateAuthority, Leaf};
use testkit::server::tls_config;
use testkit::{FakeRunner, Recorder};
use tokio::sync::MutexGuard;

use crate::stack::{DEFINITIONS, Stack, run};

const HOST: &str = "shop.example";

/// A server for `shop.example` with TLS, and the file of certificates that trusts it.
struct Edge {
    server: Recorder,
    directory: tempfile::TempDir,
}

impl Edge {
    async fn new(stack: &Stack) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let ca = CertificateAuthority::new("edge").unwrap();
        let issued = ca.issue(&Leaf::server("edge", &[HOST])).unwrap();
        issued.write(directory.path(), "edge").unwrap();
        let own = std::fs::read_to_string(stack.tls().join("ca.crt")).unwrap();
        let bundle = format!("{own}\n{}", ca.certificate());
        std::fs::write(directory.path().join("bundle.crt"), bundle).unwrap();
        let tls = tls_config(directory.path(), "edge").unwrap();
        let server = Recorder::start_tls(tls, |seen| match seen.line.as_str() {
            "GET /shop/health" => Response::default(),
            _ => axum::http::StatusCode::NOT_FOUND.into_response(),
        });
        Self {
            server: server.await.unwrap(),
            directory,
        }
    }

    fn trusted_by(&self, step: FakeRunner) -> FakeRunner {
        let bundle = self.directory.path().join("bundle.crt");
        step.env("SSL_CERT_FILE", &bundle.to_string_lossy())
    }

    fn url(&self) -> String {
        format!("https://{HOST}:{}/shop", self.server.port())
    }
}

fn manifests(stack: &Stack, more: &Value) -> String {
    let manifests = stack.manifests(80, "", "");
    let manifests = manifests.replace("type: LoadBalancer", "type: ClusterIP");
    format!("{manifests}---\n{more}\n")
}

/// Have the objects in the cluster before the step, as after a first deployment, with what their controller published.
fn published(stack: &Stack, objects: &[(&Value, Value)]) {
    stack.kubectl(&["create", "namespace", &stack.namespace]);
    for (object, status) in objects {
        stack.kubectl_with("create", &object.to_string());
        let kind = object["kind"].as_str().unwrap();
        let name = object["metadata"]["name"].as_str().unwrap();
        let patch = json!({"status": status}).to_string();
        let status = ["--subresource=status", "--type=merge", "--patch", &patch];
        stack.kubectl(&[&["patch", kind, name], &status[..]].concat());
    }
}

#[tokio::test]
#[ignore = "real: needs the local stack"]
async fn an_ingress_is_queried_at_its_address_with_the_name_of_its_host() {
    let stack = Stack::new("ingress").await;
    let edge = Edge::new(&stack).await;
    let image = stack.build("one", "well").await;
    let backend = json!({"service": {"name": "app", "port": {"number": 80}}});
    let ingress = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
        "metadata": {"name": "app", "namespace": stack.namespace},
        "spec": {
            "tls": [{"hosts": [HOST], "secretName": "tls"}],
            "rules": [{"host": HOST, "http": {"paths": [{"path": "/shop", "pathType": "Prefix", "backend": backend}]}}],
        },
    });
    let ports = json!([{"port": edge.server.port(), "protocol": "TCP"}]);
    let status = json!({"loadBalancer": {"ingress": [{"ip": "127.0.0.1", "ports": ports}]}});
    published(&stack, &[(&ingress, status)]);
    let manifests = manifests(&stack, &ingress);
    let step = || stack.step(&image, &manifests).input("health-timeout", "2s");

    let ran = run(edge.trusted_by(step())).await;
    assert_eq!(ran.code, 0, "{}", ran.log);
    assert_eq!(
        (ran.output("url"), ran.output("ip")),
        (&*edge.url(), "127.0.0.1")
    );
    let url = format!("{}/health at 127.0.0.1", edge.url());
    let line = format!("the health is checked by Ingress/app: {url}");
    assert!(ran.log.contains(&line), "{}", ran.log);
    assert!(
        ran.summary.contains("| Exposed by | `Ingress/app` |"),
        "{}",
        ran.summary
    );
    let host = format!("{HOST}:{}", edge.server.port());
    assert!(edge.server.seen().iter().all(|seen| seen.host == host));

    let ran = run(step()).await;
    assert_eq!(ran.code, 1, "{}", ran.log);
    let problem = format!(
        "{url} is unhealthy: timed out after 2s (`health-timeout`): TLS failed: the certificate is signed by an unknown CA"
    );
    assert!(ran.error().contains(&problem), "{}", ran.error());
    let ran = run(step().input("health-insecure", "true")).await;
    assert_eq!(ran.code, 0, "{}", ran.log);

    let nowhere = json!({"status": {"loadBalancer": {"ingress": []}}}).to_string();
    let patch = ["--subresource=status", "--type=merge", "--patch", &nowhere];
    stack.kubectl(&[&["patch", "ingress", "app"], &patch[..]].concat());
    let ran = run(step().input("address-timeout", "1s")).await;
    assert_eq!(ran.code, 1, "{}", ran.log);
    let problem = "timed out after 1s (`address-timeout`) waiting for the address of Ingress/app: no ingress controller has published one; check that one runs, or set `health-url`; there are no warnings";
    assert!(ran.error().contains(problem), "{}", ran.error());
    stack.forget(&[&image]).await;
}

#[tokio::test]
#[ignore = "real: needs the local stack"]
async fn of_two_addresses_the_one_that_this_machine_reaches_is_used() {
    let stack = Stack::new("dual-stack").await;
    let balancer = Recorder::start(|_| Response::default()).await.unwrap();
    let image = stack.build("one", "well").await;
    let annotation = "seaworthy/no-address: 'true'";
    let manifests = stack.manifests(balancer.port().into(), annotation, "");
    let port = json!({"name": "http", "port": balancer.port(), "targetPort": 8000});
    let service = json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {
            "name": "app", "namespace": stack.namespace, "annotations": {"seaworthy/no-address": "true"},
        },
        "spec": {"type": "LoadBalancer", "selector": {"app": "app"}, "ports": [port]},
    });
    let status = json!({"loadBalancer": {"ingress": [{"ip": "fd00::1"}, {"ip": "127.0.0.1"}]}});
    published(&stack, &[(&service, status)]);
    let ran = run(stack.step(&image, &manifests)).await;
    assert_eq!(ran.code, 0, "{}", ran.log);
    let url = format!("http://{}", balancer.host());
    assert_eq!(
        (ran.output("url"), ran.output("ip")),
        (&*url, "127.0.0.1"),
        "{}",
        ran.log
    );
    let line = format!(
        "the health is checked by Service/app: http://[fd00::1]:{}/health or {url}/health",
        balancer.port()
    );
    assert!(ran.log.contains(&line), "{}", ran.log);
    assert!(!balancer.seen().is_empty());
    stack.forget(&[&image]).await;
}

/// The annotation of a definition that is not the Gateway API's own.
const UNAPPROVED: &str = "unapproved, for a test";

/// A definition of the Gateway API, as far as this test uses it.
fn definition(plural: &str, singular: &str, kind: &str) -> Value {
    let schema = json!({"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}});
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {
            "name": format!("{plural}.gateway.networking.k8s.io"),
            "annotations": {"api-approved.kubernetes.io": UNAPPROVED},
        },
        "spec": {
            "group": "gateway.networking.k8s.io", "scope": "Namespaced",
            "names": {"kind": kind, "plural": plural, "singular": singular},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": schema, "subresources": {"status": {}}}],
        },
    })
}

/// The definitions of this test, which go when this is dropped; those of a real Gateway API are used, and stay.
struct Definitions<'a> {
    stack: &'a Stack,
    own: Vec<String>,
    _alone: MutexGuard<'static, ()>,
}

impl<'a> Definitions<'a> {
    async fn new(stack: &'a Stack) -> Self {
        let alone = DEFINITIONS.lock().await;
        let mut own = Vec::new();
        for (plural, singular, kind) in [
            ("gateways", "gateway", "Gateway"),
            ("httproutes", "httproute", "HTTPRoute"),
        ] {
            let definition = definition(plural, singular, kind);
            let name = definition["metadata"]["name"].as_str().unwrap().to_owned();
            let live = [
                "get",
                "customresourcedefinition",
                &name,
                "--ignore-not-found",
            ];
            let live = stack.kubectl(&[&live[..], &["--output", "json"]].concat());
            if live.is_empty() || live.contains(UNAPPROVED) {
                let file = tempfile::NamedTempFile::new().unwrap();
                std::fs::write(file.path(), definition.to_string()).unwrap();
                let file = file.path().to_string_lossy().into_owned();
                stack.kubectl(&["apply", "--filename", &file]);
                stack.kubectl(&["wait", "--for=condition=Established", "--filename", &file]);
                own.push(name);
            }
        }
        Self {
            stack,
            own,
            _alone: alone,
        }
    }
}

impl Drop for Definitions<'_> {
    fn drop(&mut self) {
        for name in &self.own {
            // The test has its verdict: what can't be removed does not change it.
            let delete = ["delete", "customresourcedefinition", name];
            self.stack
                .accepts(&[&delete[..], &["--ignore-not-found", "--timeout=60s"]].concat());
        }
    }
}

fn conditions(kinds: [(&str, &str, &str); 2]) -> Value {
    let conditions = kinds.map(|(kind, status, reason)| {
        json!({
            "type": kind, "status": status, "reason": reason, "message": "", "observedGeneration": 9,
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        })
    });
    conditions.into()
}

#[tokio::test]
#[ignore = "real: needs the local stack"]
async fn a_route_is_queried_at_the_address_of_its_gateway_and_its_conditions_are_named() {
    let stack = Stack::new("gateway").await;
    let edge = Edge::new(&stack).await;
    let image = stack.build("one", "well").await;
    let _definitions = Definitions::new(&stack).await;
    let api = "gateway.networking.k8s.io/v1";
    let listener = json!({"name": "https", "port": edge.server.port(), "protocol": "HTTPS", "hostname": "*.example"});
    let gateway = json!({
        "apiVersion": api, "kind": "Gateway", "metadata": {"name": "edge", "namespace": stack.namespace},
        "spec": {"gatewayClassName": "test", "listeners": [listener]},
    });
    let matches = json!([{"path": {"type": "PathPrefix", "value": "/shop"}}]);
    let route = json!({
        "apiVersion": api, "kind": "HTTPRoute", "metadata": {"name": "app", "namespace": stack.namespace},
        "spec": {
            "parentRefs": [{"name": "edge"}], "hostnames": [HOST],
            "rules": [{"matches": matches, "backendRefs": [{"name": "app", "port": 80}]}],
        },
    });
    let programmed = conditions([
        ("Accepted", "True", "Accepted"),
        ("Programmed", "True", "Programmed"),
    ]);
    let addresses = json!([{"type": "IPAddress", "value": "127.0.0.1"}]);
    let status = |accepted: (&'static str, &'static str)| {
        let (status, reason) = accepted;
        let kinds = [
            ("Accepted", status, reason),
            ("ResolvedRefs", "True", "ResolvedRefs"),
        ];
        json!({"parents": [{"parentRef": {"name": "edge"}, "controllerName": "test.example/x", "conditions": conditions(kinds)}]})
    };
    published(
        &stack,
        &[
            (
                &gateway,
                json!({"conditions": programmed, "addresses": addresses}),
            ),
            (&route, status(("True", "Accepted"))),
        ],
    );
    let manifests = manifests(&stack, &route);
    let step = || edge.trusted_by(stack.step(&image, &manifests));

    let ran = run(step()).await;
    assert_eq!(ran.code, 0, "{}", ran.log);
    assert_eq!(
        (ran.output("url"), ran.output("ip")),
        (&*edge.url(), "127.0.0.1")
    );
    assert!(
        ran.summary.contains("| Exposed by | `HTTPRoute/app` |"),
        "{}",
        ran.summary
    );

    let rejected = json!({"status": status(("False", "NotAllowedByListeners"))}).to_string();
    let patch = ["--subresource=status", "--type=merge", "--patch", &rejected];
    stack.kubectl(&[&["patch", "httproute", "app"], &patch[..]].concat());
    let ran = run(step()).await;
    assert_eq!(ran.code, 1, "{}", ran.log);
    let problem = "HTTPRoute/app at Gateway/edge: `Accepted` is False (NotAllowedByListeners)";
    assert!(ran.error().contains(problem), "{}", ran.error());
    stack.forget(&[&image]).await;
}

#[tokio::test]
#[ignore = "real: needs the local stack"]
async fn an_internal_load_balancer_is_queried_inside_the_cluster() {
    let stack = Stack::new("internal").await;
    let image = stack.build("one", "well").await;
    let sick = stack.build("two", "sick").await;
    let internal = "service.beta.kubernetes.io/azure-load-balancer-internal: 'true'";
    let manifests = stack.manifests(80, internal, "");
    let ran = run(stack.step(&image, &manifests)).await;
    assert_eq!(ran.code, 0, "{}", ran.log);
    let path = format!(
        "/api/v1/namespaces/{}/services/app:80/proxy/health",
        stack.namespace
    );
    let line = format!("{path} of the API server is healthy");
    assert!(ran.log.contains(&line), "{}", ran.log);
    let ran = run(stack.step(&sick, &manifests).input("health-timeout", "2s")).await;
    assert_eq!(
        (ran.code, ran.output("rolled-back")),
        (1, "true"),
        "{}",
        ran.log
    );
    let problem = format!("{path} of the API server: status 503");
    assert!(ran.error().contains(&problem), "{}", ran.error());
    stack.forget(&[&image, &sick]).await;
}
