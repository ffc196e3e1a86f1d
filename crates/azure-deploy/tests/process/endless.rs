//! Servers whose responses do not end.

use axum::response::{IntoResponse as _, Response};
use testkit::{Endless, FakeDocker};

use crate::{step, step_without_azure};

#[tokio::test(flavor = "multi_thread")]
async fn an_azure_that_sends_for_ever_is_cut_off() {
    let docker = FakeDocker::with("flask-app:1");
    // The token of the run, that of Entra, and what Resource Manager says.
    for part in ["/oidc", "/oauth2/", "/subscriptions/"] {
        let azure = Endless::start(move |seen| (!seen.line.contains(part)).then(token));
        let azure = azure.await.unwrap();
        let address = format!("http://{}", azure.host());
        let step = step()
            .input("authority-host", &address)
            .input("resource-manager", &address)
            .env("DOCKER_HOST", &docker.host())
            .env(
                "ACTIONS_ID_TOKEN_REQUEST_URL",
                &format!("{address}/oidc?a=b"),
            )
            .env("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "oidc-request-token");
        azure.is_cut_off(step);
    }
}

fn token() -> Response {
    r#"{"value": "aa.bb.cc", "access_token": "token", "expires_in": 3600}"#.into_response()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_and_a_cluster_that_send_for_ever_are_cut_off() {
    for endless in ["/v2/", "/api"] {
        let server = Endless::start(move |seen| {
            (!seen.line.contains(endless)).then(|| "{}".into_response())
        });
        let server = server.await.unwrap();
        let image = format!("{}/flask-app:1", server.host());
        let docker = FakeDocker::with("other:1");
        let step = step_without_azure(&image, &server.host(), &server.host())
            .env("DOCKER_HOST", &docker.host());
        let ran = server.is_cut_off(step);
        let message = "the response of the API server is over the limit of 64 MiB";
        assert_eq!(
            ran.error().contains(message),
            endless == "/api",
            "{}",
            ran.error()
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_remote_base_that_is_sent_for_ever_is_cut_off() {
    let server = Endless::start(|_| None).await.unwrap();
    let address = format!("http://{}", server.host());
    let file = format!("{address}/app.yaml");
    for (reference, limit) in [
        (&*file, "16 MiB"),
        ("github.com/octo-org/bases//app?ref=v1", "128 MiB"),
    ] {
        let step = step()
            .input("manifests", "deploy")
            .input("remote-bases", "true")
            .env("GITHUB_API_URL", &address)
            .file(
                "deploy/kustomization.yaml",
                &format!("resources: ['{reference}']\n"),
            );
        let ran = server.is_cut_off(step);
        let message = format!("is over the limit of {limit}");
        assert!(ran.error().contains(&message), "{}", ran.error());
    }
}
