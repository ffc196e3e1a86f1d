//! A real controller for Ingress and the Gateway API: Traefik, in the network of the node.

use std::path::Path;
use std::process::{Child, Command};

use serde_json::{Value, json};
use testkit::FakeRunner;
use testkit::pki::{CertificateAuthority, Leaf};
use tokio::sync::MutexGuard;

use crate::load::{Callers, deploy_under_load};
use crate::stack::{DEFINITIONS, Stack, run};

const HOST: &str = "shop.example";
/// The network namespace of the node, and its address there.
const NODE: &str = "/run/netns/seaworthy";
const ADDRESS: &str = "10.77.0.2";
const GATEWAY_API: &str = "gateway.networking.k8s.io";

/// A running controller; it ends when this is dropped, with what it needs in the cluster.
struct Controller<'a> {
    stack: &'a Stack,
    process: Child,
    /// Of the test: class of Ingresses and of Gateways.
    class: String,
    definitions: Vec<String>,
    directory: tempfile::TempDir,
    _alone: MutexGuard<'static, ()>,
}

impl<'a> Controller<'a> {
    async fn start(stack: &'a Stack) -> Self {
        let alone = DEFINITIONS.lock().await;
        let class = stack.namespace.clone();
        stack.kubectl(&["create", "namespace", &stack.namespace]);
        let definitions = define(stack);
        let ingresses = json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "IngressClass", "metadata": {"name": class},
            "spec": {"controller": "traefik.io/ingress-controller"},
        });
        let gateways = json!({
            "apiVersion": format!("{GATEWAY_API}/v1"), "kind": "GatewayClass", "metadata": {"name": class},
            "spec": {"controllerName": "traefik.io/gateway-controller"},
        });
        create(stack, &[ingresses, gateways]);
        let directory = tempfile::tempdir().unwrap();
        let log = std::fs::File::create(directory.path().join("log")).unwrap();
        let mut traefik = Command::new("nsenter");
        traefik.arg(format!("--net={NODE}")).arg("traefik").args([
            &format!("--entrypoints.web.address={ADDRESS}:80"),
            &format!("--entrypoints.websecure.address={ADDRESS}:443"),
            // As its Helm chart sets it: without it, no Ingress has TLS.
            "--entrypoints.websecure.http.tls=true",
            "--providers.kubernetesingress=true",
            &format!("--providers.kubernetesingress.ingressendpoint.ip={ADDRESS}"),
            "--providers.kubernetesgateway=true",
            &format!("--providers.kubernetesgateway.statusaddress.ip={ADDRESS}"),
            "--global.checknewversion=false",
            "--global.sendanonymoususage=false",
            "--log.level=INFO",
        ]);
        traefik
            .env("KUBECONFIG", stack.kubeconfig())
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        Self {
            process: traefik.spawn().expect("nsenter is in PATH"),
            stack,
            class,
            definitions,
            directory,
            _alone: alone,
        }
    }

    /// What the controller logged.
    fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }

    fn ingress(&self, path: &str, tls: bool) -> Value {
        let backend = json!({"service": {"name": "app", "port": {"name": "http"}}});
        let paths = json!([{"path": path, "pathType": "Prefix", "backend": backend}]);
        let tls = if tls {
            json!([{"hosts": [HOST], "secretName": "tls"}])
        } else {
            json!(null)
        };
        json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
            "metadata": {"name": "app", "namespace": self.stack.namespace},
            "spec": {"ingressClassName": self.class, "tls": tls, "rules": [{"host": HOST, "http": {"paths": paths}}]},
        })
    }

    // Of the cluster's operator: the Gateway is there before the application.
    fn create_gateway(&self) {
        let listeners = json!([
            {"name": "http", "port": 80, "protocol": "HTTP"},
            {
                "name": "https", "port": 443, "protocol": "HTTPS", "hostname": "*.example",
                "tls": {"certificateRefs": [{"name": "tls"}]},
            },
        ]);
        let gateway = json!({
            "apiVersion": format!("{GATEWAY_API}/v1"), "kind": "Gateway",
            "metadata": {"name": "edge", "namespace": self.stack.namespace},
            "spec": {"gatewayClassName": self.class, "listeners": listeners},
        });
        create(self.stack, &[gateway]);
    }

    fn route(&self, path: &str, listener: Option<&str>) -> Value {
        let matches = json!([{"path": {"type": "PathPrefix", "value": path}}]);
        let mut parent = json!({"name": "edge"});
        if let Some(listener) = listener {
            parent["sectionName"] = listener.into();
        }
        json!({
            "apiVersion": format!("{GATEWAY_API}/v1"), "kind": "HTTPRoute",
            "metadata": {"name": "app", "namespace": self.stack.namespace},
            "spec": {
                "parentRefs": [parent], "hostnames": [HOST],
                "rules": [{"matches": matches, "backendRefs": [{"name": "app", "port": 80}]}],
            },
        })
    }
}

impl Drop for Controller<'_> {
    fn drop(&mut self) {
        // The test has its verdict.
        let _ = self.process.kill();
        let _ = self.process.wait();
        let class = self.class.as_str();
        self.stack
            .accepts(&["delete", "ingressclass", class, "--ignore-not-found"]);
        self.stack
            .accepts(&["delete", "gatewayclass", class, "--ignore-not-found"]);
        for definition in &self.definitions {
            let delete = ["delete", "customresourcedefinition", definition];
            self.stack
                .accepts(&[&delete[..], &["--ignore-not-found", "--wait=false"]].concat());
        }
    }
}

// The definitions of the Gateway API, of the module that Traefik is built with; the names of those that were not there.
fn define(stack: &Stack) -> Vec<String> {
    let module = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tools/traefik");
    let found = Command::new("go")
        .args(["list", "-m", "-f", "{{.Dir}}", "sigs.k8s.io/gateway-api"])
        .current_dir(module)
        .output()
        .expect("go is in PATH");
    let directory = String::from_utf8(found.stdout).unwrap();
    let directory = format!("{}/config/crd/standard", directory.trim());
    let list = || {
        let get = ["get", "customresourcedefinition", "--output", "name"];
        stack.kubectl(&get)
    };
    let before = list();
    let files = std::fs::read_dir(directory).unwrap();
    for file in files.map(|file| file.unwrap().path().display().to_string()) {
        // There is a policy too, which is about upgrades.
        if file.contains("gateway.networking.k8s.io_") && !file.contains("_vap_") {
            stack.kubectl(&["apply", "--server-side", "--filename", &file]);
        }
    }
    let wait = ["wait", "--for=condition=Established", "--timeout=60s"];
    let new: Vec<_> = list()
        .lines()
        .filter(|name| name.contains(GATEWAY_API) && !before.contains(*name))
        .map(|name| name.rsplit('/').next().unwrap().to_owned())
        .collect();
    for name in &new {
        stack.kubectl(&[&wait[..], &["customresourcedefinition", name]].concat());
    }
    new
}

fn create(stack: &Stack, objects: &[Value]) {
    for object in objects {
        stack.kubectl_with("create", &object.to_string());
    }
}

/// A certificate for `name` in the Secret `tls`, and the file of certificates that trusts it.
struct Certificate(tempfile::TempDir);

impl Certificate {
    fn create(stack: &Stack, name: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let ca = CertificateAuthority::new("edge").unwrap();
        let issued = ca.issue(&Leaf::server("edge", &[name])).unwrap();
        issued.write(directory.path(), "edge").unwrap();
        let own = std::fs::read_to_string(stack.tls().join("ca.crt")).unwrap();
        let bundle = format!("{own}\n{}", ca.certificate());
        std::fs::write(directory.path().join("bundle.crt"), bundle).unwrap();
        let file = |kind: &str| directory.path().join(kind).display().to_string();
        let (cert, key) = (file("edge.crt"), file("edge.key"));
        stack.kubectl(&["delete", "secret", "tls", "--ignore-not-found"]);
        let (cert, key) = (format!("--cert={cert}"), format!("--key={key}"));
        stack.kubectl(&["create", "secret", "tls", "tls", &cert, &key]);
        Self(directory)
    }

    fn trusted_by(&self, step: FakeRunner) -> FakeRunner {
        let bundle = self.0.path().join("bundle.crt");
        step.env("SSL_CERT_FILE", &bundle.to_string_lossy())
    }
}

// The application behind `edge`, with its Service inside the cluster.
fn behind(stack: &Stack, edge: &Value, more: &str) -> String {
    let manifests = stack.manifests(80, "", more);
    let manifests = manifests.replace("type: LoadBalancer", "type: ClusterIP");
    format!("{edge}\n---\n{manifests}")
}

// Deploy behind `edge`, which is at `/shop` with TLS: with the right certificate, with an unknown one, with another name.
async fn is_checked_by_name_path_and_certificate(stack: &Stack, edge: &Value, exposed_by: &str) {
    let image = stack.build("one", "well").await;
    let manifests = behind(stack, edge, "");
    let step = || stack.step(&image, &manifests);
    let certificate = Certificate::create(stack, HOST);
    let url = format!("https://{HOST}/shop");

    let ran = run(certificate.trusted_by(step())).await;
    assert_eq!(ran.code, 0, "{}", ran.log);
    assert_eq!((ran.output("url"), ran.output("ip")), (&*url, ADDRESS));
    let line = format!("the health is checked by {exposed_by}: {url}/health at {ADDRESS}");
    assert!(ran.log.contains(&line), "{}", ran.log);

    let ran = run(step().input("health-timeout", "2s")).await;
    assert_eq!(
        (ran.code, ran.output("result")),
        (1, "failed"),
        "{}",
        ran.log
    );
    let problem = "TLS failed: the certificate is signed by an unknown CA";
    assert!(ran.error().contains(problem), "{}", ran.error());
    let ran = run(step().input("health-insecure", "true")).await;
    assert_eq!(ran.code, 0, "{}", ran.log);

    // The certificate of another site is not this one's, and the controller has no other.
    let other = Certificate::create(stack, "other.example");
    let ran = run(other.trusted_by(step().input("health-timeout", "5s"))).await;
    assert_eq!(
        (ran.code, ran.output("result")),
        (1, "failed"),
        "{}",
        ran.log
    );
    assert!(ran.error().contains("TLS failed: "), "{}", ran.error());
    stack.forget(&[&image]).await;
}

#[tokio::test]
#[ignore = "real: needs the local stack, and Traefik"]
async fn an_ingress_is_checked_by_its_name_path_and_certificate_judged_by_traefik() {
    let stack = Stack::new("traefik-ingress").await;
    let controller = Controller::start(&stack).await;
    let ingress = controller.ingress("/shop", true);
    is_checked_by_name_path_and_certificate(&stack, &ingress, "Ingress/app").await;
}

#[tokio::test]
#[ignore = "real: needs the local stack, and Traefik"]
async fn a_route_is_checked_by_its_name_path_and_certificate_judged_by_traefik() {
    let stack = Stack::new("traefik-route").await;
    let controller = Controller::start(&stack).await;
    controller.create_gateway();
    let route = controller.route("/shop", None);
    is_checked_by_name_path_and_certificate(&stack, &route, "HTTPRoute/app").await;
}

#[tokio::test]
#[ignore = "real: needs the local stack, and Traefik"]
async fn a_route_that_leads_nowhere_is_rejected_with_the_reason_judged_by_traefik() {
    let stack = Stack::new("traefik-nowhere").await;
    let controller = Controller::start(&stack).await;
    controller.create_gateway();
    let image = stack.build("one", "well").await;
    let mut route = controller.route("/", Some("http"));
    let more = json!({"name": "absent", "port": 80});
    route["spec"]["rules"][0]["backendRefs"]
        .as_array_mut()
        .unwrap()
        .push(more);
    let ran = run(stack.step(&image, &behind(&stack, &route, ""))).await;
    assert_eq!(
        (ran.code, ran.output("result")),
        (1, "failed"),
        "{}",
        ran.log
    );
    let problem = "HTTPRoute/app at Gateway/edge: `ResolvedRefs` is False (BackendNotFound)";
    assert!(
        ran.error().contains(problem),
        "{}\n{}",
        ran.error(),
        controller.log()
    );
    stack.forget(&[&image]).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "real: needs the local stack, and Traefik"]
async fn callers_notice_no_deployment_behind_an_ingress_judged_by_traefik() {
    let stack = Stack::new("traefik-load-ingress").await;
    let controller = Controller::start(&stack).await;
    let ingress = controller.ingress("/", false);
    deploy_under_load(&stack, Callers::at(ADDRESS), |more| {
        behind(&stack, &ingress, more)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "real: needs the local stack, and Traefik"]
async fn callers_notice_no_deployment_behind_a_gateway_judged_by_traefik() {
    let stack = Stack::new("traefik-load-route").await;
    let controller = Controller::start(&stack).await;
    controller.create_gateway();
    let route = controller.route("/", Some("http"));
    deploy_under_load(&stack, Callers::at(ADDRESS), |more| {
        behind(&stack, &route, more)
    })
    .await;
}
