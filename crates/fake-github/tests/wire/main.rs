//! The fake over the network, as a client uses it.
#![expect(
    clippy::disallowed_methods,
    reason = "the client of a test shows the bare protocol"
)]
#![expect(clippy::unwrap_used, reason = "in a test, a panic is the report")]

mod code_scanning;
mod faults;
mod github;
mod pages;
mod records;

use fake_github::GitHub;
use reqwest::{Method, Response};
use serde_json::Value;

const TOKEN: &str = "t";
const REPOSITORY: &str = "/repos/octo-org/app";

/// A client that follows nothing and trusts no proxy of the machine.
fn client() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap()
}

async fn call(server: &GitHub, method: Method, path: &str, body: Option<Value>) -> Response {
    let request = client()
        .request(method, format!("{}{REPOSITORY}{path}", server.url()))
        .bearer_auth(TOKEN);
    let request = match body {
        Some(body) => request.json(&body),
        None => request,
    };
    request.send().await.unwrap()
}

async fn get(server: &GitHub, path: &str) -> Value {
    let response = call(server, Method::GET, path, None).await;
    assert_eq!(response.status(), 200, "GET {path}");
    response.json().await.unwrap()
}

async fn post(server: &GitHub, path: &str, body: Value) -> Value {
    let response = call(server, Method::POST, path, Some(body)).await;
    let status = response.status();
    let text = response.text().await.unwrap();
    assert!(status.is_success(), "POST {path}: {status} {text}");
    serde_json::from_str(&text).unwrap()
}

/// The status and the message of a refusal.
async fn refused(response: Response) -> (u16, String) {
    let status = response.status().as_u16();
    let body: Value = response.json().await.unwrap();
    (status, body["message"].as_str().unwrap().to_owned())
}
