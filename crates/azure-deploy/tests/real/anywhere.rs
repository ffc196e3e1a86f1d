//! Any registry and any cluster: a password, a kubeconfig, a kustomization.

use std::net::{SocketAddr, TcpListener};

use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use testkit::{FakeRunner, Recorder};

use crate::stack::{LOGIN_SERVER, Stack, get, run};

const BASE: &str = "resources: [app.yaml]\n";
/// A list, as `kubectl get --output=yaml` prints it.
const LIST: &str = "apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: ConfigMap, metadata: {name: listed, namespace: NAMESPACE}, data: {a: b}}
";
const PRODUCTION: &str = "resources: [../base]\nreplicas: [{name: app, count: 1}]\n";

#[tokio::test]
#[ignore = "real: needs the local stack"]
async fn a_password_a_kubeconfig_and_a_kustomization_are_enough() {
    let stack = Stack::new("anywhere").await;
    let image = stack.build("one", "well").await;
    let kustomized = |step: FakeRunner| {
        step.file("k8s/base/app.yaml", &stack.manifests(80, "", ""))
            .file("k8s/base/kustomization.yaml", BASE)
            .file("k8s/production/kustomization.yaml", PRODUCTION)
            .input("manifests", "k8s/production")
            .input("environment-variables", "COMMIT=two\nSINCE={time}")
            .input("expect-commit", "two")
    };

    let rejected = kustomized(stack.step_without_azure(&image).await).input("password", "wrong");
    let rejected = run(rejected).await;
    assert_eq!(rejected.code, 2, "{}", rejected.log);
    assert_eq!(stack.deployments(), "");

    let ran = run(kustomized(stack.step_without_azure(&image).await)).await;
    assert_eq!(ran.code, 0, "{}", ran.log);
    let digest = ran.output("digest");
    assert_eq!(
        ran.output("image"),
        format!("{LOGIN_SERVER}/{}@{digest}", stack.repository)
    );
    assert_eq!(stack.latest().await, digest);
    // The variable of the step, not the image's own.
    assert_eq!(get(ran.output("url")).await["commit"], "two");
    let deployed = stack.spec("deployment/app");
    assert_eq!(deployed["replicas"], 1);
    let password = stack.login().await.password;
    assert!(!ran.log.contains(&password) && !ran.summary.contains(&password));

    let again = run(kustomized(stack.step_without_azure(&image).await)).await;
    assert_eq!(again.code, 0, "{}", again.log);
    assert!(
        again.log.contains("pods are not restarted"),
        "{}",
        again.log
    );
    assert_eq!(stack.spec("deployment/app"), deployed);
    stack.forget(&[&image]).await;
}

#[tokio::test]
#[ignore = "real: needs the local stack"]
async fn the_health_is_checked_at_any_url() {
    let stack = Stack::new("url").await;
    let image = stack.build("one", "well").await;
    let manifests = stack
        .manifests(80, "", "")
        .replace("type: LoadBalancer", "type: ClusterIP");
    // Without the Namespace, which is created.
    let (_, manifests) = manifests.split_once("---\n").unwrap();
    let gateway = Recorder::start(|seen| match seen.line.as_str() {
        "GET /ready" => Response::default(),
        "GET /elsewhere" => {
            (StatusCode::FOUND, [("location", "http://localhost/ready")]).into_response()
        }
        _ => StatusCode::NOT_FOUND.into_response(),
    });
    let gateway = gateway.await.unwrap();
    let list = LIST.replace("NAMESPACE", &stack.namespace);
    let step = |url: &str, manifests: &str| {
        let step = stack.step(&image, manifests).input("health-url", url);
        step.file("k8s/more/list.yaml", &list)
            .file("k8s/more/README.md", "not a manifest: [")
            .input("manifests", "k8s/**/*.yaml")
            .input("health-timeout", "2s")
            .input("create-namespace", "true")
    };
    let at = |path: &str| format!("http://{}{path}", gateway.host());
    let ran = run(step(&at("/ready"), manifests)).await;
    assert_eq!(ran.code, 0, "{}", ran.log);
    assert_eq!(ran.output("url"), at(""));
    let checked = " does not exist yet: the fields of its objects are checked in the namespace";
    assert_eq!(ran.log.matches(checked).count(), 1, "{}", ran.log);
    let notice =
        "the response names no commit; that it is the new version is taken from the rollout";
    assert_eq!(ran.log.matches(notice).count(), 1, "{}", ran.log);
    let listed = ["get", "configmap", "listed", "--output=name"];
    assert_eq!(stack.kubectl(&listed), "configmap/listed\n");

    let (closed, address) = server();
    drop(closed);
    for (url, problem) in [
        (at("/absent"), "status 404"),
        (
            at("/elsewhere"),
            "redirects to `localhost`, which is not followed: it is another host; use a `health-path` that responds itself, or set `health-url`",
        ),
        (
            format!("http://{address}/ready"),
            "no response: Connection refused (os error 111); nothing listens there",
        ),
    ] {
        let ran = run(step(&url, manifests)).await;
        assert_eq!(ran.code, 1, "{}", ran.log);
        let start = format!("{url} is unhealthy: timed out after 2s (`health-timeout`): ");
        assert!(ran.error().contains(&start), "{}", ran.error());
        assert!(ran.error().contains(problem), "{}", ran.error());
    }

    // Without replicas nothing serves: neither now nor after a rollback to it.
    let idle = manifests.replace("replicas: 2", "replicas: 0");
    let ran = run(step(&at("/absent"), &idle)).await;
    assert_eq!(
        (ran.code, ran.output("result")),
        (0, "deployed"),
        "{}",
        ran.log
    );
    let skipped = "::warning::Deployment/app has no replicas (`replicas: 0`): nothing serves, so the health check is skipped";
    assert_eq!(ran.log.matches(skipped).count(), 1, "{}", ran.log);
    let (_silent, address) = server();
    let url = format!("http://{address}/ready");
    let ran = run(step(&url, manifests)).await;
    assert_eq!(
        (ran.code, ran.output("rolled-back")),
        (1, "true"),
        "{}",
        ran.log
    );
    let previous = ran.output("previous-image");
    assert_eq!(
        ran.error(),
        format!(
            "azure-deploy: the new version failed; rolled back to `{previous}`, which has no replicas, so that nothing serves: {url} is unhealthy: timed out after 2s (`health-timeout`): no response within 5s"
        )
    );
    assert_eq!(stack.spec("deployment/app")["replicas"], 0);
    stack.forget(&[&image]).await;
}

// A server that accepts connections and never responds, and its address.
fn server() -> (TcpListener, SocketAddr) {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    (server, address)
}
