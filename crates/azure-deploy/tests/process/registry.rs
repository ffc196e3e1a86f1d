//! What a registry responds, in the message.

use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use testkit::Recorder;

use crate::{silent_server, step_without_azure};

#[tokio::test(flavor = "multi_thread")]
async fn the_firewall_of_a_registry_is_named_with_the_address_that_it_rejects() {
    // As Azure Container Registry words it (learn.microsoft.com/azure/container-registry/container-registry-troubleshoot-access).
    const MESSAGE: &str = "client with IP '1.2.3.4' is not allowed access. Refer https://aka.ms/acr/firewall to grant access.";
    let registry = Recorder::start(|_| {
        let body = format!(r#"{{"errors": [{{"code": "DENIED", "message": "{MESSAGE}"}}]}}"#);
        (StatusCode::FORBIDDEN, body).into_response()
    });
    let registry = registry.await.unwrap();
    let host = registry.host();
    let image = format!("{host}/flask-app@sha256:{}", "ab".repeat(32));
    // The error is the registry's: the cluster has none yet.
    let (_cluster, cluster) = silent_server();
    let ran = step_without_azure(&image, &host, &cluster).run();
    assert_eq!(
        (ran.code, ran.output("result")),
        (2, "error"),
        "{}",
        ran.log
    );
    let error = format!(
        "`{host}` responded with 403 Forbidden: {MESSAGE}; the registry's firewall does not let this machine in: "
    );
    assert!(ran.error().contains(&error), "{}", ran.error());
    // No role changes that.
    assert!(!ran.error().contains("AcrPush"), "{}", ran.error());
    assert_eq!(registry.seen().len(), 1, "{:?}", registry.seen());
}
