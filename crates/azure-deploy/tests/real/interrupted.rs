//! Interruptions of a deployment: the API server's responses, the tokens, the push.

use std::time::Duration;

use testkit::Fault;

use crate::stack::{Stack, get, run};

/// Pods that are ready a while after they respond: a rollout of some seconds.
fn unhurried(manifests: &str) -> String {
    let probe = "periodSeconds: 1";
    assert!(manifests.contains(probe));
    manifests.replace(probe, "periodSeconds: 1, initialDelaySeconds: 3")
}

#[tokio::test]
#[ignore = "real: needs the local stack"]
async fn tokens_that_expire_during_the_rollout_are_renewed() {
    const LIFE: i64 = 2;
    let (stack, front) = Stack::fronted("tokens", |azure| azure.token_life = LIFE).await;
    let good = stack.build("one", "well").await;
    let manifests = unhurried(&stack.manifests(80, "", ""));
    let started = std::time::Instant::now();
    let ran = run(stack.step(&good, &manifests)).await;
    let (took, image) = (started.elapsed(), ran.output("image"));
    assert_eq!(ran.code, 0, "{}", ran.log);
    let requests = stack.azure.journal();
    let requests = requests.iter().filter(|line| line.contains("/oauth2/"));
    let requests = u32::try_from(requests.count()).unwrap();
    // Resource Manager and the registry once, and the cluster once in a life of which three quarters are used.
    let lives = took.as_secs_f64() / 1.5;
    assert!(
        requests > 4 && f64::from(requests) <= lives + 4.0,
        "{requests} in {took:?}"
    );

    // The rollback comes after many lifetimes of the first token.
    let crash = stack.build("two", "crash").await;
    let ran = run(stack.step(&crash, &manifests)).await;
    assert_eq!(
        (
            ran.code,
            ran.output("rolled-back"),
            ran.output("previous-image")
        ),
        (1, "true", image),
        "{}",
        ran.log
    );
    assert!(front.journal().len() > 20);
    for token in ["entra-cluster-token~", "arm-2222", "acr-2222"] {
        let shown = ran
            .log
            .lines()
            .filter(|line| !line.starts_with("::add-mask::"));
        assert_eq!(shown.filter(|line| line.contains(token)).count(), 0);
    }
    stack.forget(&[&good, &crash]).await;
}

#[tokio::test]
#[ignore = "real: needs the local stack"]
async fn requests_to_an_unavailable_api_server_are_retried() {
    let (stack, front) = Stack::fronted("stumble", |_| {}).await;
    let good = stack.build("one", "well").await;
    let manifests = unhurried(&stack.manifests(80, "", ""));
    let unavailable = r#"{"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": "etcd is away", "reason": "ServiceUnavailable", "code": 503}"#;
    let namespace = &stack.namespace;
    let pods = format!("GET /api/v1/namespaces/{namespace}/pods?");
    let apps = format!("GET /apis/apps/v1/namespaces/{namespace}");
    for path in [
        format!("{pods}&labelSelector"),
        format!("{pods}&watch=true"),
        format!("{apps}/replicasets?"),
        format!("{apps}/deployments/app"),
        format!("{apps}/deployments?&watch=true"),
    ] {
        front.expect(Fault::hang_up(&path));
        front.expect(Fault::new(&path, 503, unavailable));
    }
    let late = Duration::from_secs(2);
    front.expect(Fault::slow(&format!("{pods}&labelSelector"), late));
    front.expect(Fault::slow("/services/app", late));
    let ran = run(stack.step(&good, &manifests)).await;
    assert_eq!(
        (ran.code, ran.output("result")),
        (0, "deployed"),
        "{}",
        ran.log
    );
    assert!(front.is_met(), "{}", ran.log);
    assert_eq!(get(ran.output("url")).await["commit"], "one");
    stack.forget(&[&good]).await;
}

#[tokio::test]
#[ignore = "real: needs the local stack"]
async fn a_push_that_breaks_is_retried_and_one_that_is_denied_changes_nothing() {
    let stack = Stack::new("push").await;
    let image = stack.build("one", "well").await;
    let registry = stack.registry_front([127, 0, 0, 1]).await;
    let host = registry.address().to_string();
    let manifests = stack.manifests(80, "", "");
    let step = async || {
        let step = stack.step_without_azure(&image).await;
        step.input("registry", &host)
            .file("k8s/app.yaml", &manifests)
    };

    let manifest = format!("PUT /v2/{}/manifests", stack.repository);
    let put = format!("{manifest}/one");
    let rejection = r#"{"errors": [{"code": "DENIED", "message": "requested access to the resource is denied"}]}"#;
    registry.expect(Fault::new(&put, 403, rejection));
    let ran = run(step().await).await;
    assert_eq!(
        (ran.code, ran.output("result")),
        (2, "error"),
        "{}",
        ran.log
    );
    assert!(ran.error().contains("denied"), "{}", ran.error());
    let puts = || {
        let journal = registry.journal();
        journal
            .iter()
            .filter(|line| line.starts_with(&manifest))
            .count()
    };
    assert_eq!(puts(), 1);
    assert_eq!(stack.deployments(), "");

    for _ in 0..3 {
        registry.expect(Fault::hang_up(&put));
    }
    let ran = run(step().await).await;
    assert_eq!(
        (ran.code, ran.output("result")),
        (2, "error"),
        "{}",
        ran.log
    );
    assert_eq!(
        ran.log.matches("retrying the push").count(),
        2,
        "{}",
        ran.log
    );
    assert_eq!(puts(), 4);
    assert_eq!(stack.deployments(), "");
    stack.forget(&[&image]).await;
}
