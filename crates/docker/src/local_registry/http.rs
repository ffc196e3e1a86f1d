//! The HTTP server: github.com/opencontainers/distribution-spec (v1.1).

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use http_body_util::{BodyExt, Full, StreamBody, combinators::BoxBody};
use hyper::body::{Frame, Incoming};
use hyper::header::{AUTHORIZATION, HeaderValue, WWW_AUTHENTICATE};
use hyper::{Method, Request, Response, StatusCode};
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};

use super::content::Blob;
use super::{Shared, upload};

pub(super) type Body = BoxBody<Bytes, std::io::Error>;

pub(super) async fn accept(listener: tokio::net::TcpListener, prefix: String, shared: Arc<Shared>) {
    let prefix: Arc<str> = prefix.into();
    // The client retries a connection that cannot be accepted.
    while let Ok((stream, _)) = listener.accept().await {
        let (prefix, shared) = (Arc::clone(&prefix), Arc::clone(&shared));
        tokio::spawn(async move {
            let service = hyper::service::service_fn(move |request| {
                let (prefix, shared) = (Arc::clone(&prefix), Arc::clone(&shared));
                async move { Ok::<_, Infallible>(respond(&prefix, &shared, request).await) }
            });
            let io = hyper_util::rt::TokioIo::new(stream);
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(io, service)
                .await;
        });
    }
}

pub(super) fn full(bytes: Bytes) -> Body {
    Full::new(bytes)
        .map_err(|never: Infallible| match never {})
        .boxed()
}

pub(super) fn plain(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(full(Bytes::new()));
    *response.status_mut() = status;
    response
}

// A program that reads the address in an argument of another can't use it.
fn is_authorized(shared: &Shared, request: &Request<Incoming>) -> bool {
    let sent = request.headers().get(AUTHORIZATION);
    let sent = sent.and_then(|value| value.to_str().ok());
    let wanted = shared.authorization.as_deref();
    // The password is random and lives for one run: how long the comparison takes tells too little of it.
    wanted.is_none_or(|wanted| sent == Some(wanted))
}

async fn respond(prefix: &str, shared: &Arc<Shared>, request: Request<Incoming>) -> Response<Body> {
    if !is_authorized(shared, &request) {
        let mut response = plain(StatusCode::UNAUTHORIZED);
        let challenge = HeaderValue::from_static("Basic realm=\"images of this run\"");
        response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
        return response;
    }
    let path = request.uri().path().to_owned();
    let Some(path) = path.strip_prefix("/v2/") else {
        return plain(StatusCode::NOT_FOUND);
    };
    if path.is_empty() {
        return plain(StatusCode::OK);
    }
    if !path
        .strip_prefix(prefix)
        .is_some_and(|rest| rest.starts_with('/'))
    {
        return plain(StatusCode::NOT_FOUND);
    }
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    let response = if let Some((repository, rest)) = path.split_once("/blobs/uploads/") {
        upload::blob(shared, repository, rest, request).await
    } else if let Some((repository, reference)) = path.split_once("/manifests/") {
        if reads {
            let head = request.method() == Method::HEAD;
            manifest(shared, &format!("{repository}/{reference}"), head)
        } else {
            upload::manifest(shared, repository, reference, request).await
        }
    } else if let Some((repository, digest)) = path.split_once("/blobs/").filter(|_| reads) {
        blob(shared, repository, digest, &request).await
    } else {
        None
    };
    response.unwrap_or_else(|| plain(StatusCode::NOT_FOUND))
}

fn manifest(shared: &Shared, key: &str, head: bool) -> Option<Response<Body>> {
    let stored = shared.content().manifest(key)?.clone();
    Response::builder()
        .header("content-type", &stored.media_type)
        .header("content-length", stored.bytes.len())
        .header("docker-content-digest", stored.digest.as_str())
        .body(full(if head { Bytes::new() } else { stored.bytes }))
        .ok()
}

// A range of the form `bytes=START-` or `bytes=START-END` (RFC 9110, section 14).
fn parse_range(text: &str, size: u64) -> Option<(u64, u64)> {
    let (start, end) = text.strip_prefix("bytes=")?.split_once('-')?;
    let start: u64 = start.parse().ok()?;
    let end = if end.is_empty() {
        size.checked_sub(1)?
    } else {
        end.parse().ok()?
    };
    (start <= end && end < size).then_some((start, end))
}

async fn blob(
    shared: &Arc<Shared>,
    local: &str,
    digest: &str,
    request: &Request<Incoming>,
) -> Option<Response<Body>> {
    let at = shared.content().hold(local, digest)?;
    let size = match &at {
        Blob::File(path) => tokio::fs::metadata(path).await.ok()?.len(),
        Blob::Remote { size, .. } => *size,
    };
    let header = request.headers().get("range");
    let range = header
        .and_then(|text| text.to_str().ok())
        .and_then(|text| parse_range(text, size));
    let (start, length) = range.map_or((0, size), |(start, end)| (start, end - start + 1));
    let mut response = Response::builder()
        .header("content-type", "application/octet-stream")
        .header("content-length", length)
        .header("accept-ranges", "bytes")
        .header("docker-content-digest", digest);
    if let Some((start, end)) = range {
        response = response
            .status(StatusCode::PARTIAL_CONTENT)
            .header("content-range", format!("bytes {start}-{end}/{size}"));
    }
    if request.method() == Method::HEAD {
        return response.body(full(Bytes::new())).ok();
    }
    let body = match at {
        Blob::File(path) => {
            let mut file = tokio::fs::File::open(path).await.ok()?;
            file.seek(std::io::SeekFrom::Start(start)).await.ok()?;
            let chunks =
                futures_util::stream::try_unfold(file.take(length), |mut file| async move {
                    let mut chunk = vec![0; 64 * 1024];
                    let read = file.read(&mut chunk).await?;
                    chunk.truncate(read);
                    Ok((read > 0).then(|| (Bytes::from(chunk), file)))
                });
            BodyExt::boxed(StreamBody::new(chunks.map_ok(Frame::data)))
        }
        Blob::Remote {
            registry,
            repository,
            ..
        } => {
            let mut blob = match registry.blob(&repository, digest, size, range).await {
                Ok(blob) => blob,
                Err(error) => {
                    shared.content().failed(local, &error);
                    return Some(plain(StatusCode::BAD_GATEWAY));
                }
            };
            // It is not `Sync`, which a boxed body must be.
            let (send, receive) = tokio::sync::mpsc::channel(2);
            let (shared, local) = (Arc::clone(shared), local.to_owned());
            tokio::spawn(async move {
                while let Some(chunk) = blob.next_chunk().await.transpose() {
                    let is_end = chunk.is_err();
                    if let Err(error) = &chunk {
                        shared.content().failed(&local, error);
                    }
                    let chunk = chunk.map_err(std::io::Error::other);
                    if send.send(chunk).await.is_err() || is_end {
                        break;
                    }
                }
            });
            let chunks = futures_util::stream::unfold(receive, |mut receive| async move {
                Some((receive.recv().await?, receive))
            });
            BodyExt::boxed(StreamBody::new(chunks.map_ok(Frame::data)))
        }
    };
    response.body(body).ok()
}

#[cfg(test)]
mod tests {
    use oci::Credentials;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use crate::LocalRegistry;

    #[test]
    fn ranges_within_a_blob() {
        for (text, expected) in [
            ("bytes=0-3", Some((0, 3))),
            ("bytes=2-", Some((2, 9))),
            ("bytes=2-10", None),
            ("bytes=5-4", None),
            ("lines=1-2", None),
        ] {
            assert_eq!(super::parse_range(text, 10), expected, "{text}");
        }
    }

    async fn status(registry: &LocalRegistry, path: &str, header: &str) -> String {
        let mut stream = tokio::net::TcpStream::connect(registry.host())
            .await
            .unwrap();
        let request =
            format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{header}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).await.unwrap();
        response.lines().next().unwrap_or_default().to_owned()
    }

    #[tokio::test]
    async fn why_a_registry_has_lost_a_blob_is_known_here() {
        let lost = testkit::Recorder::start(|_| {
            let builder = axum::response::Response::builder().status(404);
            builder.body(axum::body::Body::empty()).unwrap()
        });
        let lost = lost.await.unwrap();
        let client = http_client::Client::direct().unwrap();
        let client = oci::Registry::new(client, &lost.host(), oci::Auth::Anonymous, |_| ());
        let config = oci::Digest::sha256(b"{}");
        let descriptor = oci::Descriptor::new(oci::CONFIG, &config, 2);
        let bytes = oci::Manifest::new(descriptor, Vec::new()).bytes().unwrap();
        let manifest = oci::RawManifest {
            digest: oci::Digest::sha256(&bytes),
            media_type: oci::MANIFEST.to_owned(),
            bytes,
        };
        let directory = tempfile::tempdir().unwrap();
        let registry = LocalRegistry::open(directory.path()).await.unwrap();
        let image = "team/app:1".parse().unwrap();
        let name = registry.add_remote(&client.into(), &image, &manifest, "space");
        let name = name.unwrap();
        assert_eq!(registry.source_error(&name), None);
        let path = format!("/v2/{}/blobs/{config}", name.repository());
        assert_eq!(
            status(&registry, &path, "").await,
            "HTTP/1.1 502 Bad Gateway"
        );
        let error = registry.source_error(&name).unwrap();
        assert!(error.ends_with("responded with 404 Not Found"), "{error}");
        registry.remove(&name);
        assert_eq!(status(&registry, &path, "").await, "HTTP/1.1 404 Not Found");
    }

    #[tokio::test]
    async fn only_the_run_reads_its_images() {
        let directory = tempfile::tempdir().unwrap();
        let login = |password: &str| Credentials {
            username: "seaworthy".to_owned(),
            password: password.to_owned(),
        };
        let own = login("random");
        let registry = LocalRegistry::protected(directory.path(), &own)
            .await
            .unwrap();
        let name = registry
            .reference_for("space", &"app:1".parse().unwrap())
            .unwrap();
        let path = format!("/v2/{}/manifests/1", name.repository());
        for header in [
            String::new(),
            format!("authorization: {}\r\n", login("other").authorization()),
        ] {
            for path in ["/v2/", &path] {
                assert_eq!(
                    status(&registry, path, &header).await,
                    "HTTP/1.1 401 Unauthorized"
                );
            }
        }
        let header = format!("authorization: {}\r\n", own.authorization());
        assert_eq!(status(&registry, "/v2/", &header).await, "HTTP/1.1 200 OK");
        assert_eq!(
            status(&registry, &path, &header).await,
            "HTTP/1.1 404 Not Found"
        );
    }
}
