//! Servers whose responses do not end.

use axum::response::{IntoResponse as _, Response};
use testkit::{Endless, FakeDocker, FakeRunner};

use crate::{MANIFEST, step};

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
        let kubeconfig = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: a\ncontexts: [{{name: a, context: {{cluster: a, user: a}}}}]\nclusters: [{{name: a, cluster: {{server: 'http://{}'}}}}]\nusers: [{{name: a, user: {{token: t}}}}]\n",
            server.host()
        );
        let image = format!("{}/flask-app:1", server.host());
        let docker = FakeDocker::with("other:1");
        let manifest = MANIFEST.replace("seaworthy.azurecr.io/flask-app:latest", &image);
        let step = FakeRunner::new(env!("CARGO_BIN_EXE_azure-deploy"))
            .file("k8s/deployment.yaml", &manifest)
            .input("image", &image)
            .input("registry", &server.host())
            .input("kubeconfig", &kubeconfig)
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
