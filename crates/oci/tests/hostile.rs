//! A registry that plays every trick: what each host gets, and how much is read.

#![expect(clippy::unwrap_used, reason = "in a test, a panic is the report")]

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Body;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use futures_util::FutureExt as _;
use http_client::Client;
use oci::{Auth, Credentials, Digest, MANIFEST, RawManifest, Registry, Renewed};
use testkit::{Recorder, Seen, endless, zeros};

const MIB: u64 = 1024 * 1024;
/// `user:password`.
const BASIC: &str = "Basic dXNlcjpwYXNzd29yZA==";
const NO_TAGS: &str = r#"{"tags": []}"#;

fn registry(host: &Recorder) -> Registry {
    masked(host).0
}

/// The client, and what it masks.
fn masked(host: &Recorder) -> (Registry, Arc<Mutex<Vec<String>>>) {
    let auth = Auth::Password(Credentials {
        username: "user".into(),
        password: "password".into(),
    });
    let masks = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&masks);
    let mask = move |secret: &str| seen.lock().unwrap().push(secret.to_owned());
    let http = Client::direct().unwrap();
    (Registry::new(http, &host.host(), auth, mask), masks)
}

fn response(status: u16, headers: &[(&str, &str)], body: impl Into<Body>) -> Response {
    let mut builder = Response::builder().status(status);
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    builder.body(body.into()).unwrap()
}

fn redirect(location: &str) -> Response {
    response(307, &[("location", location)], "")
}

fn challenge(realm: &str) -> Response {
    let value = format!("Bearer realm=\"{realm}\",service=\"r\"");
    response(401, &[("www-authenticate", &value)], "")
}

fn own_realm(seen: &Seen) -> String {
    format!("http://{}/token", seen.host)
}

/// Without a token, a challenge of the registry, whose token service is on its own address.
fn unless_authorized(seen: &Seen) -> Option<Response> {
    if seen.line.contains(" /token") {
        return Some(r#"{"token": "T1"}"#.into_response());
    }
    let authorized = seen.authorization.is_some();
    (!authorized).then(|| challenge(&own_realm(seen)))
}

async fn start(respond: impl Fn(&Seen) -> Response + Send + Sync + 'static) -> Recorder {
    Recorder::start(respond).await.unwrap()
}

async fn silent() -> Recorder {
    start(|_| StatusCode::OK.into_response()).await
}

fn digest() -> String {
    Digest::sha256(b"expected").to_string()
}

fn manifest() -> RawManifest {
    RawManifest {
        digest: Digest::sha256(b"{}"),
        media_type: MANIFEST.to_owned(),
        bytes: b"{}".to_vec(),
    }
}

fn file(text: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    file
}

/// What a reader of the stream gets.
async fn stream(registry: &Registry, digest: &str) -> anyhow::Result<Vec<u8>> {
    let mut blob = registry.blob("app", digest, MIB, None).await?;
    let mut bytes = Vec::new();
    while let Some(chunk) = blob.next_chunk().await? {
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

#[tokio::test]
async fn a_challenge_of_a_host_that_the_registry_redirects_to_gets_nothing() {
    let tokens = silent().await;
    let bearer = format!("Bearer realm=\"http://{}/token\"", tokens.host());
    for header in [bearer, "Basic realm=\"x\"".to_owned()] {
        let other = start(move |_| response(401, &[("www-authenticate", &header)], "")).await;
        let location = format!("http://{}/x", other.host());
        let host = start(move |_| redirect(&location)).await;
        let registry = registry(&host);
        let error = registry.manifest("app", "1").await.unwrap_err();
        assert_eq!(
            error.root_cause().to_string(),
            format!(
                "`{}`, where `{}` redirects to, responded with 401 Unauthorized",
                other.host(),
                host.host()
            )
        );
        assert!(registry.blob_bytes("app", &digest()).await.is_err());
        assert_eq!(host.authorizations(), ["", ""]);
        assert_eq!(other.authorizations(), ["", ""]);
    }
    assert_eq!(tokens.seen(), []);
}

#[tokio::test]
async fn a_challenge_after_a_redirect_back_home_gets_nothing() {
    let tokens = silent().await;
    let realm = format!("http://{}/token", tokens.host());
    let host = start(move |seen| {
        if seen.line.contains("/moved") {
            challenge(&realm)
        } else {
            redirect("/moved")
        }
    });
    assert!(registry(&host.await).manifest("app", "1").await.is_err());
    assert_eq!(tokens.seen(), []);
}

#[tokio::test]
async fn a_token_stays_with_the_registry_when_a_blob_is_elsewhere() {
    let other = start(|_| "expected".into_response()).await;
    let location = format!("http://{}/blob", other.host());
    let host = start(move |seen| unless_authorized(seen).unwrap_or_else(|| redirect(&location)));
    let host = host.await;
    let bytes = registry(&host).blob_bytes("app", &digest()).await;
    assert_eq!(bytes.unwrap(), b"expected");
    assert_eq!(host.authorizations(), ["", BASIC, "Bearer T1"]);
    assert_eq!(other.authorizations(), [""]);
}

#[tokio::test]
async fn a_password_goes_to_no_realm_that_is_unencrypted_or_names_a_user() {
    let unencrypted = "it would send credentials unencrypted";
    let table = [
        ("http://registry.invalid/token", unencrypted),
        ("ftp://registry.invalid/token", unencrypted),
        (
            "https://user:x@registry.invalid/token",
            "it has user information",
        ),
        ("/token", "it is not a URL"),
    ];
    for (realm, reason) in table {
        let host = start(move |_| challenge(realm)).await;
        let error = registry(&host).tags("app").await.unwrap_err();
        assert!(format!("{error:#}").contains(reason), "{error:#}");
        assert_eq!(host.authorizations(), [""]);
    }
}

#[tokio::test]
async fn a_token_service_is_not_followed_elsewhere() {
    let other = silent().await;
    let location = format!("http://{}/token", other.host());
    let host = start(move |seen| {
        if seen.line.contains(" /token") {
            redirect(&location)
        } else {
            challenge(&own_realm(seen))
        }
    });
    let error = registry(&host.await).tags("app").await.unwrap_err();
    assert!(
        format!("{error:#}").contains("is not followed"),
        "{error:#}"
    );
    assert_eq!(other.seen(), []);
}

#[tokio::test]
async fn a_token_is_masked_before_the_registry_can_show_it() {
    let message = r#"{"errors": [{"message": "Bearer T1 is denied"}]}"#;
    let host =
        start(move |seen| unless_authorized(seen).unwrap_or_else(|| response(403, &[], message)));
    let host = host.await;
    let (registry, masks) = masked(&host);
    let error = registry.tags("app").await.unwrap_err();
    assert!(format!("{error:#}").contains("Bearer T1 is denied"));
    assert_eq!(*masks.lock().unwrap(), ["T1"]);
}

#[tokio::test]
async fn an_upload_elsewhere_has_no_credentials() {
    let other = start(|_| StatusCode::CREATED.into_response()).await;
    let location = format!("http://{}/upload", other.host());
    let host = start(move |seen| {
        unless_authorized(seen).unwrap_or_else(|| {
            if seen.line.starts_with("POST") {
                response(202, &[("location", &location)], "")
            } else {
                StatusCode::NOT_FOUND.into_response()
            }
        })
    });
    let (host, blob) = (host.await, file("expected"));
    let registry = registry(&host);
    let pushed = registry.push_blob("app", &digest(), blob.path()).await;
    pushed.unwrap();
    assert_eq!(other.authorizations(), [""]);
    assert_eq!(other.seen()[0].body, b"expected");
}

#[tokio::test]
async fn what_is_pushed_follows_no_redirect() {
    let other = silent().await;
    let location = format!("http://{}/x", other.host());
    // Of `app`, the upload itself is redirected; of `other`, the request for one.
    let host = start(move |seen| {
        unless_authorized(seen).unwrap_or_else(|| {
            if seen.line.starts_with("HEAD") {
                StatusCode::NOT_FOUND.into_response()
            } else if seen.line.starts_with("POST /v2/app/") {
                response(202, &[("location", "/session")], "")
            } else {
                redirect(&location)
            }
        })
    });
    let (host, blob) = (host.await, file("expected"));
    let registry = registry(&host);
    for repository in ["app", "other"] {
        let pushed = registry.push_blob(repository, &digest(), blob.path()).await;
        let error = format!("{:#}", pushed.unwrap_err());
        assert!(error.contains("is not followed"), "{error}");
    }
    assert!(registry.tag("app", "1", &manifest()).await.is_err());
    assert_eq!(other.seen(), []);
}

#[tokio::test]
async fn an_upload_to_a_user_of_another_host_is_refused() {
    let host = start(|seen| {
        if seen.line.starts_with("POST") {
            response(202, &[("location", "http://u:p@registry.invalid/")], "")
        } else {
            StatusCode::NOT_FOUND.into_response()
        }
    });
    let (host, blob) = (host.await, file("expected"));
    let registry = registry(&host);
    let pushed = registry.push_blob("app", &digest(), blob.path()).await;
    let error = format!("{:#}", pushed.unwrap_err());
    assert!(error.contains("has user information"), "{error}");
}

#[tokio::test]
async fn content_with_another_digest_is_refused() {
    let header = digest();
    let host = start(move |_| response(200, &[("docker-content-digest", &header)], "other"));
    let host = host.await;
    let registry = registry(&host);
    let digest = digest();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("blob");
    let errors = [
        registry.manifest("app", &digest).await.map(drop),
        // Only the header has a digest.
        registry.manifest("app", "1").await.map(drop),
        registry.blob_bytes("app", &digest).await.map(drop),
        registry.fetch_blob("app", &digest, MIB, &path).await,
        stream(&registry, &digest).await.map(drop),
    ];
    let actual = Digest::sha256(b"other");
    for error in errors {
        assert_eq!(
            error.unwrap_err().root_cause().to_string(),
            format!(
                "the content that `{}` sent does not match the digest `{digest}`: it has `{actual}`",
                host.host()
            )
        );
    }
    assert!(!path.exists());
    let unknown = registry.manifest("app", "sha512:00").await;
    assert!(unknown.is_err(), "a digest that can't be checked");
}

#[tokio::test]
async fn content_with_the_right_digest_arrives() {
    let host = start(|_| "expected".into_response()).await;
    let registry = registry(&host);
    assert_eq!(stream(&registry, &digest()).await.unwrap(), b"expected");
    let ranged = registry.blob("app", &digest(), 8, Some((0, 3))).await;
    let error = ranged.err().unwrap().to_string();
    assert!(error.contains("ignores the range"), "{error}");
}

/// A registry whose responses do not end, with `status`, and how much of each was sent.
async fn endless_registry(status: u16) -> (Recorder, Arc<Mutex<Vec<Arc<AtomicU64>>>>) {
    let all = Arc::new(Mutex::new(Vec::new()));
    let counts = Arc::clone(&all);
    let host = start(move |_| {
        let (body, sent) = endless();
        counts.lock().unwrap().push(sent);
        response(status, &[("retry-after", "0")], body)
    });
    (host.await, all)
}

#[tokio::test]
async fn a_response_without_end_is_cut_off() {
    let (host, all) = endless_registry(200).await;
    let registry = registry(&host);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("blob");
    let digest = digest();
    let errors = [
        (registry.manifest("app", "1").await.map(drop), "4 MiB"),
        (registry.tags("app").await.map(drop), "8 MiB"),
        (registry.repositories().await.map(drop), "8 MiB"),
        (registry.blob_bytes("app", &digest).await.map(drop), "8 MiB"),
        (
            registry.fetch_blob("app", &digest, MIB, &path).await,
            "1 MiB",
        ),
        (stream(&registry, &digest).await.map(drop), "1 MiB"),
    ];
    for (error, limit) in errors {
        assert_eq!(
            error.unwrap_err().root_cause().to_string(),
            format!(
                "the response of `{}` is over the limit of {limit}",
                host.host()
            )
        );
    }
    for sent in all.lock().unwrap().iter() {
        assert!(sent.load(Ordering::Relaxed) < 64 * MIB);
    }
}

#[tokio::test]
async fn an_error_without_end_is_cut_off() {
    for status in [400, 401, 503] {
        let (host, all) = endless_registry(status).await;
        let registry = registry(&host);
        assert!(registry.blob_bytes("app", &digest()).await.is_err());
        assert!(registry.tag("app", "1", &manifest()).await.is_err());
        for sent in all.lock().unwrap().iter() {
            assert!(sent.load(Ordering::Relaxed) < 64 * MIB);
        }
    }
}

#[tokio::test]
async fn a_token_without_end_is_cut_off() {
    let host = start(|seen| {
        if seen.line.contains(" /token") {
            Response::new(endless().0)
        } else {
            challenge(&own_realm(seen))
        }
    });
    let error = registry(&host.await).tags("app").await.unwrap_err();
    let error = error.root_cause().to_string();
    assert!(error.ends_with("is over the limit of 1 MiB"), "{error}");
}

#[tokio::test]
async fn a_compressed_bomb_is_cut_off() {
    let host = start(|_| {
        let body = zeros(64 * 1024 * 1024).unwrap();
        response(200, &[("content-encoding", "gzip")], body)
    });
    let error = registry(&host.await).manifest("app", "1").await;
    let error = error.unwrap_err().root_cause().to_string();
    assert!(error.ends_with("is over the limit of 4 MiB"), "{error}");
}

#[tokio::test]
async fn the_next_page_is_on_the_registry() {
    let other = silent().await;
    for target in [
        format!("http://{}/v2/app/tags/list", other.host()),
        format!("//{}/v2/app/tags/list", other.host()),
        "/elsewhere".to_owned(),
        "/v2/../elsewhere".to_owned(),
    ] {
        let link = format!("<{target}>; rel=\"next\"");
        let host = start(move |seen| {
            unless_authorized(seen).unwrap_or_else(|| response(200, &[("link", &link)], NO_TAGS))
        });
        let error = registry(&host.await).tags("app").await.unwrap_err();
        let error = error.root_cause().to_string();
        assert!(error.contains("which is not contacted"), "{error}");
    }
    assert_eq!(other.seen(), []);

    let link = "</v2/app/tags/list?last=1>; rel=\"next\"";
    let host = start(move |seen| {
        if seen.line.contains("last=1") {
            r#"{"tags": ["2"]}"#.into_response()
        } else {
            response(200, &[("link", link)], r#"{"tags": ["1"]}"#)
        }
    });
    let tags = registry(&host.await).tags("app").await;
    assert_eq!(tags.unwrap(), ["1", "2"]);
}

#[tokio::test]
async fn a_list_without_end_is_an_error() {
    let host = start(|_| response(200, &[("link", "</v2/x>; rel=next")], NO_TAGS));
    let error = registry(&host.await).tags("app").await.unwrap_err();
    let error = error.root_cause().to_string();
    assert!(
        error.ends_with("is over the limit of 1000 pages"),
        "{error}"
    );
}

#[tokio::test]
async fn a_password_is_sent_once_for_a_request() {
    // Challenges and failures take turns.
    let count = AtomicUsize::new(0);
    let host = start(move |seen| {
        if seen.line.contains(" /token") {
            r#"{"token": "T1"}"#.into_response()
        } else if count.fetch_add(1, Ordering::Relaxed).is_multiple_of(2) {
            challenge(&own_realm(seen))
        } else {
            response(503, &[("retry-after", "0")], "")
        }
    });
    let host = host.await;
    assert!(registry(&host).tags("app").await.is_err());
    let sent = host.authorizations();
    let sent = sent.iter().filter(|sent| *sent == BASIC);
    assert_eq!(sent.count(), 1);

    // The registry requires it itself, and rejects it.
    let host = start(|_| response(401, &[("www-authenticate", "Basic")], "")).await;
    assert!(registry(&host).tags("app").await.is_err());
    assert_eq!(host.authorizations(), ["", BASIC]);
}

/// A registry that numbers its tokens and accepts those that `accepts` does, and how many it issued.
async fn numbering(
    life: u64,
    accepts: impl Fn(&Seen, &str) -> bool + Send + Sync + 'static,
) -> (Recorder, Arc<AtomicUsize>) {
    let issued = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&issued);
    let host = start(move |seen| {
        if seen.line.contains(" /token") {
            let number = count.fetch_add(1, Ordering::Relaxed);
            let body = format!(r#"{{"token": "T{number}", "expires_in": "{life}"}}"#);
            return body.into_response();
        }
        let token = seen.authorization.as_deref();
        let token = token.and_then(|value| value.strip_prefix("Bearer "));
        if !token.is_some_and(|token| accepts(seen, token)) {
            return challenge(&own_realm(seen));
        }
        match seen.line.split(' ').next() {
            Some("HEAD") => StatusCode::NOT_FOUND.into_response(),
            Some("POST") => response(202, &[("location", "/session")], ""),
            Some("PUT") => StatusCode::CREATED.into_response(),
            _ => NO_TAGS.into_response(),
        }
    });
    (host.await, issued)
}

#[tokio::test]
async fn a_token_is_for_one_scope_and_is_replaced_when_it_expires() {
    let (host, issued) = numbering(300, |_, _| true).await;
    let registry_of = registry(&host);
    for repository in ["a", "b", "a", "b"] {
        registry_of.tags(repository).await.unwrap();
    }
    assert_eq!(issued.load(Ordering::Relaxed), 2);

    let (host, issued) = numbering(1, |_, _| true).await;
    let registry = registry(&host);
    registry.tags("a").await.unwrap();
    registry.tags("a").await.unwrap();
    assert_eq!(issued.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn a_password_that_expires_is_fetched_again_when_it_is_old() {
    for (life, expected) in [(Duration::ZERO, 2), (Duration::from_secs(3600), 1)] {
        // Each token expires at once.
        let (host, _) = numbering(1, |_, _| true).await;
        let fetched = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&fetched);
        let login = Renewed::new(life, move || {
            count.fetch_add(1, Ordering::Relaxed);
            let (username, password) = ("user".to_owned(), "password".to_owned());
            async { Ok(Credentials { username, password }) }.boxed()
        });
        let http = Client::direct().unwrap();
        let registry = Registry::new(http, &host.host(), Auth::Renewed(login), |_| ());
        registry.tags("a").await.unwrap();
        registry.tags("a").await.unwrap();
        assert_eq!(fetched.load(Ordering::Relaxed), expected);
        let sent = host.authorizations();
        assert_eq!(sent.iter().filter(|value| *value == BASIC).count(), 2);
    }
}

#[tokio::test]
async fn a_token_that_is_no_longer_accepted_is_replaced_once() {
    let uses = AtomicUsize::new(0);
    let (host, issued) = numbering(300, move |_, token| {
        token == "T1" || uses.fetch_add(1, Ordering::Relaxed) == 0
    })
    .await;
    let registry = registry(&host);
    for _ in 0..3 {
        registry.tags("a").await.unwrap();
    }
    assert_eq!(issued.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn a_token_that_expires_during_an_upload_is_replaced_once() {
    let fresh = |seen: &Seen, token: &str| token != "T0" || !seen.line.starts_with("PUT");
    let (host, issued) = numbering(300, fresh).await;
    let blob = file("expected");
    let registry = registry(&host);
    let pushed = registry.push_blob("app", &digest(), blob.path()).await;
    pushed.unwrap();
    assert_eq!(issued.load(Ordering::Relaxed), 2);

    let (host, issued) = numbering(300, |seen, _| !seen.line.starts_with("PUT")).await;
    let registry = self::registry(&host);
    let pushed = registry.push_blob("app", &digest(), blob.path()).await;
    assert!(pushed.is_err());
    assert_eq!(issued.load(Ordering::Relaxed), 2);
}
