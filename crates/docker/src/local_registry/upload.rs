//! Uploads: blobs are written to files and checked against their digests.

use bytes::Bytes;
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use hyper::{Method, Request, Response, StatusCode};
use oci::Digest;
use tokio::io::AsyncWriteExt as _;

use super::content::{Blob, Stored};
use super::http::{Body, full, plain};
use super::{Shared, remove};

/// The largest manifest in bytes; registries accept 4 MiB at most.
const MAX_MANIFEST: usize = 4 * 1024 * 1024;

fn parameter(request: &Request<Incoming>, name: &str) -> Option<String> {
    let query = request.uri().query()?;
    url::form_urlencoded::parse(query.as_bytes())
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.into_owned())
}

// `POST …/uploads/` opens an upload, `PATCH` adds to it, `PUT` with the digest closes it.
pub(super) async fn blob(
    shared: &Shared,
    repository: &str,
    id: &str,
    request: Request<Incoming>,
) -> Option<Response<Body>> {
    let opens = id.is_empty();
    let id = match (request.method(), opens) {
        (&Method::POST, true) => uuid::Uuid::new_v4().simple().to_string(),
        (&Method::PATCH | &Method::PUT, false) if is_id(id) => id.to_owned(),
        _ => return None,
    };
    // A blob that is already here need not be uploaded.
    if let Some(known) = parameter(&request, "mount")
        && shared.content().hold(repository, &known).is_some()
    {
        return created(repository, "blobs", &known);
    }
    let digest = parameter(&request, "digest");
    let path = shared.directory.path().join(format!("upload-{id}"));
    match append(&path, request).await {
        Ok(Received::Complete) => {}
        // The client that broke off knows why.
        Ok(Received::Incomplete) => return Some(plain(StatusCode::BAD_REQUEST)),
        Err(e) => {
            shared.content().upload_error = Some(e.to_string());
            return Some(plain(StatusCode::INTERNAL_SERVER_ERROR));
        }
    }
    let Some(digest) = digest else {
        let size = tokio::fs::metadata(&path).await.ok()?.len();
        return Response::builder()
            .status(StatusCode::ACCEPTED)
            .header("location", format!("/v2/{repository}/blobs/uploads/{id}"))
            .header("range", format!("0-{}", size.saturating_sub(1)))
            .body(full(Bytes::new()))
            .ok();
    };
    let hashed = path.clone();
    let actual = tokio::task::spawn_blocking(move || hash(&hashed)).await;
    if actual.ok()?.ok()? != digest {
        return Some(plain(StatusCode::BAD_REQUEST));
    }
    let mut content = shared.content();
    let unneeded = content.add(repository, &digest, Blob::File(path));
    drop(content);
    remove(unneeded);
    created(repository, "blobs", &digest)
}

fn is_id(id: &str) -> bool {
    id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit())
}

fn created(repository: &str, kind: &str, digest: &str) -> Option<Response<Body>> {
    Response::builder()
        .status(StatusCode::CREATED)
        .header("location", format!("/v2/{repository}/{kind}/{digest}"))
        .header("docker-content-digest", digest)
        .body(full(Bytes::new()))
        .ok()
}

/// Whether a body was received to its end.
enum Received {
    Complete,
    Incomplete,
}

async fn append(path: &std::path::Path, request: Request<Incoming>) -> std::io::Result<Received> {
    let mut options = tokio::fs::OpenOptions::new();
    let mut file = options.create(true).append(true).open(path).await?;
    let mut body = request.into_body();
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else {
            return Ok(Received::Incomplete);
        };
        if let Ok(chunk) = frame.into_data() {
            file.write_all(&chunk).await?;
        }
    }
    file.flush().await?;
    Ok(Received::Complete)
}

fn hash(path: &std::path::Path) -> std::io::Result<String> {
    Ok(Digest::from_reader(std::fs::File::open(path)?)?.to_string())
}

pub(super) async fn manifest(
    shared: &Shared,
    repository: &str,
    reference: &str,
    request: Request<Incoming>,
) -> Option<Response<Body>> {
    if request.method() != Method::PUT {
        return None;
    }
    let media_type = request.headers().get("content-type")?.to_str().ok()?;
    let media_type = media_type.to_owned();
    let body = Limited::new(request.into_body(), MAX_MANIFEST);
    let Ok(body) = body.collect().await else {
        return Some(plain(StatusCode::PAYLOAD_TOO_LARGE));
    };
    let bytes = body.to_bytes();
    let digest = Digest::sha256(&bytes);
    let stored = Stored {
        digest: digest.clone(),
        media_type,
        bytes,
    };
    shared.content().store(repository, reference, &stored);
    created(repository, "manifests", digest.as_str())
}
