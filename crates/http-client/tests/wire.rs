//! The policy on the wire: what each host gets, and how much is read.

#![expect(clippy::unwrap_used, reason = "in a test, a panic is the report")]

use std::sync::atomic::Ordering;

use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use http_client::header::{ACCEPT, HeaderName, RANGE};
use http_client::{Certificates, Client, ERROR_LIMIT, Method, Redirects};
use testkit::pki::{CertificateAuthority, Leaf};
use testkit::server::tls_config;
use testkit::{Recorder, Seen, endless, zeros};

const MIB: u64 = 1024 * 1024;

fn redirect(status: u16, location: &str) -> Response {
    let builder = Response::builder().status(status);
    builder
        .header("location", location)
        .body(Body::empty())
        .unwrap()
}

/// A host that responds `fine`.
async fn other() -> Recorder {
    Recorder::start(|_| "fine".into_response()).await.unwrap()
}

/// A host that redirects everything below `/from`.
async fn redirecting(status: u16, location: String) -> Recorder {
    let respond = move |seen: &Seen| {
        if seen.line.contains(" /from") {
            redirect(status, &location)
        } else {
            "moved".into_response()
        }
    };
    Recorder::start(respond).await.unwrap()
}

#[tokio::test]
async fn a_credential_follows_no_redirect_unless_the_request_says_so() {
    let other = other().await;
    let http = Client::direct().unwrap();
    for status in [301, 302, 303, 307, 308] {
        let first = redirecting(status, format!("http://{}/x", other.host())).await;
        for method in [Method::GET, Method::POST, Method::PUT, Method::PATCH] {
            let url = format!("http://{}/from", first.host());
            let request = http.request(method, url).bearer_auth("secret").body("text");
            let error = request.send().await.unwrap_err().to_string();
            assert_eq!(
                error,
                format!(
                    "`{}` redirects to `{}`, which is not followed: the request carries a credential or a body",
                    first.host(),
                    other.host()
                )
            );
        }
    }
    assert_eq!(other.seen(), []);
}

#[tokio::test]
async fn a_read_leaves_its_credentials_behind_for_good() {
    let back = other().await;
    let home = format!("http://{}/home", back.host());
    let other = redirecting(307, home).await;
    let first = redirecting(302, format!("http://{}/from", other.host())).await;
    let request = Client::direct()
        .unwrap()
        .get(format!("http://{}/from", first.host()))
        .redirects(Redirects::Reads)
        .bearer_auth("secret")
        .header(HeaderName::from_static("x-api-key"), "secret")
        .header(ACCEPT, "text/plain")
        .header(RANGE, "bytes=0-1");
    let response = request.send().await.unwrap();
    assert!(response.is_redirected());
    assert_eq!(response.host(), back.host());
    assert_eq!(first.authorizations(), ["Bearer secret"]);
    for host in [&other, &back] {
        assert_eq!(host.authorizations(), [""]);
    }
}

#[tokio::test]
async fn on_one_origin_the_credentials_and_the_body_are_kept() {
    let first = redirecting(307, "/to".to_owned()).await;
    let http = Client::direct().unwrap();
    for method in [Method::POST, Method::PATCH] {
        let url = format!("http://{}/from", first.host());
        let request = http.request(method, url).redirects(Redirects::SameOrigin);
        let response = request.bearer_auth("secret").body("text").send().await;
        assert_eq!(response.unwrap().text(MIB).await.unwrap(), "moved");
    }
    let seen = first.seen();
    let lines: Vec<_> = seen.iter().map(|seen| seen.line.as_str()).collect();
    assert_eq!(
        lines,
        ["POST /from", "POST /to", "PATCH /from", "PATCH /to"]
    );
    for seen in seen {
        assert_eq!(seen.authorization.as_deref(), Some("Bearer secret"));
        assert_eq!(seen.body, b"text");
    }
}

#[tokio::test]
async fn a_loop_and_a_redirect_without_tls_end() {
    let looping = redirecting(302, "/from".to_owned()).await;
    let get = |http: &Client, url: String| http.get(url).redirects(Redirects::Reads).send();
    let http = Client::direct().unwrap();
    let error = get(&http, format!("http://{}/from", looping.host())).await;
    let error = error.unwrap_err().to_string();
    assert!(
        error.ends_with("there were five redirects before"),
        "{error}"
    );
    assert_eq!(looping.seen().len(), 6);

    let directory = tempfile::tempdir().unwrap();
    let authority = CertificateAuthority::new("test").unwrap();
    let leaf = authority.issue(&Leaf::server("server", &["127.0.0.1"]));
    leaf.unwrap().write(directory.path(), "server").unwrap();
    let other = other().await;
    let plain = format!("http://{}/", other.host());
    let config = tls_config(directory.path(), "server").unwrap();
    let secure = Recorder::start_tls(config, move |_| redirect(302, &plain));
    let secure = secure.await.unwrap();
    let http = Client::trusting(authority.certificate().as_bytes()).unwrap();
    let error = get(&http, format!("https://{}/", secure.host())).await;
    let error = error.unwrap_err().to_string();
    assert!(error.ends_with("it leaves https"), "{error}");
    assert_eq!(other.seen(), []);
}

#[tokio::test]
async fn a_body_is_read_up_to_its_limit() {
    let (body, sent) = endless();
    let body = std::sync::Mutex::new(Some(body));
    let respond = move |_: &Seen| Response::new(body.lock().unwrap().take().unwrap_or_default());
    let host = Recorder::start(respond).await.unwrap();
    let url = format!("http://{}/", host.host());
    let response = Client::direct().unwrap().get(url).send().await.unwrap();
    let error = response.bytes(4 * MIB).await.unwrap_err().to_string();
    assert_eq!(
        error,
        format!(
            "the response of `{}` is over the limit of 4 MiB",
            host.host()
        )
    );
    assert!(sent.load(Ordering::Relaxed) < 32 * MIB);
}

#[tokio::test]
async fn an_error_is_read_up_to_64_kib() {
    let (body, sent) = endless();
    let body = std::sync::Mutex::new(Some(body));
    let respond = move |_: &Seen| Response::new(body.lock().unwrap().take().unwrap_or_default());
    let host = Recorder::start(respond).await.unwrap();
    let url = format!("http://{}/", host.host());
    let response = Client::direct().unwrap().get(url).send().await.unwrap();
    assert_eq!(response.error_text().await.len() as u64, ERROR_LIMIT);
    assert!(sent.load(Ordering::Relaxed) < 32 * MIB);
}

#[tokio::test]
async fn json_of_many_short_values_is_not_parsed() {
    let respond = |_: &Seen| Response::new(Body::from(format!("[{}0]", "0,".repeat(300_000))));
    let host = Recorder::start(respond).await.unwrap();
    let url = format!("http://{}/", host.host());
    let response = Client::direct().unwrap().get(url).send().await.unwrap();
    let error = response.json::<Vec<u8>>(MIB).await.unwrap_err().to_string();
    assert!(
        error.ends_with("is over the limit of 32768 JSON values"),
        "{error}"
    );
}

#[tokio::test]
async fn what_comes_out_of_a_compressed_body_counts() {
    let respond = |_: &Seen| {
        let body = zeros(64 * 1024 * 1024).unwrap();
        assert!(body.len() < 1024 * 1024);
        let builder = Response::builder().header("content-encoding", "gzip");
        builder.body(Body::from(body)).unwrap()
    };
    let host = Recorder::start(respond).await.unwrap();
    let url = format!("http://{}/", host.host());
    let get = async || Client::direct().unwrap().get(&url).send().await.unwrap();
    let error = get()
        .await
        .json::<String>(MIB)
        .await
        .unwrap_err()
        .to_string();
    assert!(error.ends_with("is over the limit of 1 MiB"), "{error}");
    assert_eq!(get().await.error_text().await.len() as u64, ERROR_LIMIT);

    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("body");
    let mut file = tokio::fs::File::create(&path).await.unwrap();
    let saved = get().await.save(&mut file, MIB, |_| {}).await;
    assert!(saved.is_err());
    assert!(path.metadata().unwrap().len() <= MIB);
}

#[tokio::test]
async fn a_name_is_looked_for_at_an_address_and_its_certificate_is_verified() {
    let directory = tempfile::tempdir().unwrap();
    let ca = CertificateAuthority::new("test").unwrap();
    let leaf = Leaf::server("shop", &["shop.example"]);
    let issued = ca.issue(&leaf).unwrap();
    issued.write(directory.path(), "shop").unwrap();
    let tls = tls_config(directory.path(), "shop").unwrap();
    let server = Recorder::start_tls(tls, |_| "fine".into_response());
    let server = server.await.unwrap();
    let url = format!("https://shop.example:{}/health", server.port());
    // Of `localhost`, the address is found by DNS.
    for address in ["127.0.0.1", "localhost"] {
        let http = Client::reaching(Some(address), Certificates::Any).unwrap();
        let response = http.get(&url).send().await.unwrap();
        assert_eq!(response.error_text().await, "fine");
    }
    let host = format!("shop.example:{}", server.port());
    assert!(server.seen().iter().all(|seen| seen.host == host));
    let http = Client::reaching(Some("127.0.0.1"), Certificates::Verified).unwrap();
    assert!(http.get(&url).send().await.unwrap_err().is_connect());
    assert_eq!(server.seen().len(), 2);
}
