//! An API that moves, and one that does not end.

#![expect(clippy::unwrap_used, reason = "in a test, a panic is the report")]

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use github::{Client, Commented};
use testkit::{Recorder, Seen, endless};

const MIB: u64 = 1024 * 1024;

fn client(server: &Recorder) -> Client {
    let http = http_client::Client::direct().unwrap();
    let url = format!("http://{}", server.host());
    Client::new(http, &url, "octo-org/old", "t").unwrap()
}

fn redirect(status: u16, location: &str) -> Response {
    let builder = Response::builder().status(status);
    builder
        .header("location", location)
        .body(Body::empty())
        .unwrap()
}

// As GitHub does it (docs.github.com/rest/using-the-rest-api/best-practices-for-using-the-rest-api).
fn renamed(seen: &Seen, base: &str) -> Response {
    let moved = seen.line.split_once("/repos/octo-org/old/");
    match moved {
        Some(("GET ", rest)) => redirect(301, &format!("{base}/repositories/1/{rest}")),
        Some((_, rest)) => redirect(307, &format!("{base}/repositories/1/{rest}")),
        None if seen.line.starts_with("GET") => "[]".into_response(),
        None => r#"{"id": 1}"#.into_response(),
    }
}

#[tokio::test]
async fn a_renamed_repository_gets_the_comment() {
    let server = Recorder::start(|seen| renamed(seen, "")).await.unwrap();
    let pull_request = client(&server).pull_request(7);
    let comment = pull_request.comment("ci", "text", false).await.unwrap();
    assert_eq!(comment, Commented::Created);
    let last = server.seen().pop().unwrap();
    assert_eq!(last.line, "POST /repositories/1/issues/7/comments");
    assert_eq!(last.authorization.as_deref(), Some("Bearer t"));
    assert_eq!(last.body, br#"{"body":"<!-- ci -->\ntext"}"#);
}

#[tokio::test]
async fn the_token_stays_on_github() {
    let other = Recorder::start(|_| "[]".into_response()).await.unwrap();
    let base = format!("http://{}", other.host());
    let server = Recorder::start(move |seen| renamed(seen, &base));
    let server = server.await.unwrap();
    let client = client(&server);
    let comment = client.pull_request(7).comment("ci", "text", false).await;
    let error = format!("{:#}", comment.unwrap_err());
    assert!(error.contains("it is another origin"), "{error}");
    let created = client.deployments().create("a", "production").await;
    assert!(created.is_err());
    assert_eq!(other.seen(), []);
    // It is not tried again.
    assert_eq!(server.seen().len(), 2);
}

#[tokio::test]
async fn a_response_without_end_is_cut_off() {
    for (status, limit) in [(200, 32), (404, 1)] {
        let all = Arc::new(Mutex::new(Vec::new()));
        let counts = Arc::clone(&all);
        let server = Recorder::start(move |_| {
            let (body, sent) = endless();
            counts.lock().unwrap().push(sent);
            let builder = Response::builder().status(status);
            builder.body(body).unwrap()
        });
        let server = server.await.unwrap();
        let comment = client(&server)
            .pull_request(7)
            .comment("ci", "", false)
            .await;
        let error = format!("{:#}", comment.unwrap_err());
        let expected = if status == 200 {
            "over the limit of 32 MiB"
        } else {
            "404"
        };
        assert!(error.contains(expected) && error.len() < 2000, "{error}");
        for sent in all.lock().unwrap().iter() {
            assert!(sent.load(Ordering::Relaxed) < (limit + 32) * MIB);
        }
    }
}
