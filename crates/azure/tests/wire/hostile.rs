//! Services that redirect, that name other hosts, and that do not end.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use actions_toolkit::{Context, Env, ExitStatus, Inputs, Log, Secret};
use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use azure::{AUDIENCE, Cloud, Credential, Entra, ResourceManager, Scope};
use testkit::{Recorder, Seen, endless};

use crate::{ACTION, CLIENT, SUBSCRIPTION, TENANT};

const MIB: u64 = 1024 * 1024;
const TOKEN: &str = r#"{"access_token": "entra-token", "expires_in": 3600}"#;

fn context(env: &[(&str, &str)]) -> Context {
    let env = Env::from_pairs(env.iter().copied());
    let inputs = Inputs::read(&ACTION, &[], &env).unwrap();
    let (_, stop) = tokio::sync::watch::channel(None);
    Context::new(env, inputs, Log::sink(), stop)
}

/// Entra and Resource Manager at `server`.
fn sign_in(server: &Recorder) -> (Entra, ResourceManager) {
    let ctx = context(&[]);
    let url = format!("http://{}", server.host());
    let cloud = Cloud::new(&url, &url, AUDIENCE);
    let secret = Credential::ClientSecret(Secret::new("hunter2", ctx.log()));
    let entra = Entra::new(&ctx, &cloud, TENANT, CLIENT, secret).unwrap();
    let manager = ResourceManager::new(&entra, &cloud, SUBSCRIPTION);
    (entra, manager)
}

fn redirect(location: &str) -> Response {
    let builder = Response::builder().status(307);
    builder
        .header("location", location)
        .body(Body::empty())
        .unwrap()
}

async fn start(respond: impl Fn(&Seen) -> Response + Send + Sync + 'static) -> Recorder {
    Recorder::start(respond).await.unwrap()
}

#[tokio::test]
async fn no_credential_follows_a_redirect() {
    let other = start(|_| TOKEN.into_response()).await;
    let location = format!("http://{}/x", other.host());
    let entra_moves = {
        let location = location.clone();
        start(move |_| redirect(&location)).await
    };
    let (entra, _) = sign_in(&entra_moves);
    let error = entra.token(Scope::Registry).await.unwrap_err();
    assert!(
        format!("{error:#}").contains("is not followed"),
        "{error:#}"
    );
    // It is not tried again.
    assert_eq!(entra_moves.seen().len(), 1);

    let manager_moves = {
        let location = location.clone();
        start(move |seen| {
            if seen.line.contains("/oauth2/") {
                TOKEN.into_response()
            } else {
                redirect(&location)
            }
        })
        .await
    };
    let (_, manager) = sign_in(&manager_moves);
    assert!(manager.cluster("group", "name").await.is_err());
    assert!(manager.cluster_access("group", "name").await.is_err());

    let oidc_moves = start(move |_| redirect(&location)).await;
    let url = format!("http://{}/token?x=1", oidc_moves.host());
    let ctx = context(&[
        ("ACTIONS_ID_TOKEN_REQUEST_URL", url.as_str()),
        ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "bearer"),
    ]);
    let error = ctx.oidc().unwrap().token("audience").await.unwrap_err();
    assert!(
        format!("{error:#}").contains("is not followed"),
        "{error:#}"
    );
    assert_eq!(other.seen(), []);
}

#[tokio::test]
async fn a_login_server_that_is_not_a_registry_of_azure_is_bad_input() {
    let other = start(|_| r#"{"refresh_token": "r"}"#.into_response()).await;
    let host = other.host();
    let server = start(move |seen| {
        if seen.line.contains("/oauth2/") {
            return TOKEN.into_response();
        }
        format!(r#"{{"properties": {{"loginServer": "{host}"}}}}"#).into_response()
    });
    let server = server.await;
    let (_, manager) = sign_in(&server);
    let error = manager.login_server("name", Some("group")).await;
    let error = error.unwrap_err();
    assert_eq!(ExitStatus::from_error(&error).code(), 3);
    let expected = format!(
        "input `registry`: `{}` is not a registry of Azure",
        other.host()
    );
    assert!(error.to_string().starts_with(&expected), "{error}");
    assert_eq!(other.seen(), []);
}

#[tokio::test]
async fn a_response_without_end_is_cut_off() {
    for (part, status) in [
        ("/oauth2/", 200),
        ("/oauth2/", 400),
        ("Registry", 200),
        ("Registry", 403),
    ] {
        let all = Arc::new(Mutex::new(Vec::new()));
        let counts = Arc::clone(&all);
        let server = start(move |seen| {
            if !seen.line.contains(part) {
                return TOKEN.into_response();
            }
            let (body, sent) = endless();
            counts.lock().unwrap().push(sent);
            Response::builder().status(status).body(body).unwrap()
        });
        let server = server.await;
        let (_, manager) = sign_in(&server);
        let error = manager.login_server("name", None).await.unwrap_err();
        let error = format!("{error:#}");
        assert!(
            status != 200 || error.contains("over the limit of"),
            "{error}"
        );
        for sent in all.lock().unwrap().iter() {
            assert!(sent.load(Ordering::Relaxed) < 64 * MIB);
        }
    }
}
