//! Images of the engine, served over the OCI distribution API to a BuildKit beside us.
//!
//! BuildKit cannot see the images of an engine whose image store is not containerd's, and an image
//! that was just built is in no registry. So the engine's own `save` stream is unpacked into a
//! private folder and served from there, read-only, on a loopback port under a path that cannot be
//! guessed. Layers go out uncompressed: their digest is then the diff ID that the configuration
//! names, and nothing has to be hashed or compressed.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io::Read as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _};
use http_body_util::{BodyExt, Full, StreamBody, combinators::BoxBody};
use hyper::body::{Frame, Incoming};
use hyper::{Method, Request, Response, StatusCode};
use serde::Deserialize;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::{Digest, Engine, ImageRef};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

type Body = BoxBody<Bytes, std::io::Error>;

/// A read-only registry of some images of the engine. It ends, and its files go, when it is dropped.
pub struct EngineRegistry {
    address: SocketAddr,
    prefix: String,
    server: tokio::task::JoinHandle<()>,
    _folder: tempfile::TempDir,
}

struct Content {
    manifests: HashMap<String, (Digest, Bytes)>,
    blobs: HashMap<String, PathBuf>,
}

impl EngineRegistry {
    /// Serve `images` from `engine`; their files are kept in a private folder under `temp`.
    ///
    /// # Errors
    /// When the engine does not have an image, or its archive is not understood.
    pub async fn serve(engine: &Engine, images: &[ImageRef], temp: &Path) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("drydock-images-")
            .tempdir_in(temp)
            .context("while making a folder for the images")?;
        let prefix = uuid::Uuid::new_v4().simple().to_string();
        let mut content = Content {
            manifests: HashMap::new(),
            blobs: HashMap::new(),
        };
        for (index, image) in images.iter().enumerate() {
            let into = folder.path().join(index.to_string());
            add(&mut content, engine, image, &prefix, &into)
                .await
                .with_context(|| format!("while taking `{image}` out of the engine"))?;
        }
        let listener = tokio::net::TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0))
            .await
            .context("while opening a loopback port for the images")?;
        let address = listener.local_addr()?;
        let server = tokio::spawn(accept(listener, Arc::new(content)));
        Ok(Self {
            address,
            prefix,
            server,
            _folder: folder,
        })
    }

    /// The reference under which `image` is served.
    ///
    /// # Errors
    /// Never for an image that was given to [`EngineRegistry::serve`].
    pub fn reference_for(&self, image: &ImageRef) -> anyhow::Result<ImageRef> {
        let moved = image.moved_to(&self.address.to_string(), &path_of(&self.prefix, image))?;
        Ok(moved.with_tag(image.tag().unwrap_or("latest"))?)
    }
}

impl Drop for EngineRegistry {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn path_of(prefix: &str, image: &ImageRef) -> String {
    format!("{prefix}/{}", image.name())
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Saved {
    config: String,
    layers: Vec<String>,
}

#[derive(Deserialize)]
struct Config {
    rootfs: RootFs,
}

#[derive(Deserialize)]
struct RootFs {
    diff_ids: Vec<String>,
}

async fn add(
    content: &mut Content,
    engine: &Engine,
    image: &ImageRef,
    prefix: &str,
    into: &Path,
) -> anyhow::Result<()> {
    if engine.inspect(image).await?.is_none() {
        bail!("the engine has no such image");
    }
    tokio::fs::create_dir(into).await?;
    let archive = into.join("image.tar");
    let mut file = tokio::fs::File::create(&archive).await?;
    let name = image.to_string();
    let mut chunks = engine.docker.export_image(&name);
    while let Some(chunk) = chunks.next().await {
        file.write_all(&chunk?).await?;
    }
    file.flush().await?;

    let (unpacked, target) = (archive.clone(), into.to_owned());
    tokio::task::spawn_blocking(move || unpack(&unpacked, &target)).await??;
    tokio::fs::remove_file(&archive).await?;

    let saved: Vec<Saved> = read_json(&into.join("manifest.json"))?;
    let Some(saved) = saved.into_iter().next() else {
        bail!("the archive names no image")
    };
    let config_bytes = read_inside(into, &saved.config)?;
    let config: Config =
        serde_json::from_slice(&config_bytes).context("in the image's configuration")?;
    if config.rootfs.diff_ids.len() != saved.layers.len() {
        bail!(
            "the archive has {} layers, the configuration {}",
            saved.layers.len(),
            config.rootfs.diff_ids.len()
        );
    }
    let mut layers = Vec::new();
    for (diff_id, layer) in config.rootfs.diff_ids.iter().zip(&saved.layers) {
        let path = inside(into, layer)?;
        layers.push(json!({
            "mediaType": "application/vnd.oci.image.layer.v1.tar",
            "digest": diff_id,
            "size": std::fs::metadata(&path)?.len(),
        }));
        content.blobs.insert(diff_id.clone(), path);
    }
    let config_digest = Digest::of(&config_bytes);
    content
        .blobs
        .insert(config_digest.to_string(), inside(into, &saved.config)?);
    let manifest = serde_json::to_vec(&json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json",
            "digest": config_digest.as_str(),
            "size": config_bytes.len(),
        },
        "layers": layers,
    }))?;
    let digest = Digest::of(&manifest);
    let manifest = Bytes::from(manifest);
    let repository = path_of(prefix, image);
    for reference in [image.tag().unwrap_or("latest"), digest.as_str()] {
        content.manifests.insert(
            format!("{repository}/{reference}"),
            (digest.clone(), manifest.clone()),
        );
    }
    Ok(())
}

// Files and links only, and nothing outside of `into`: `unpack_in` refuses paths that lead out.
fn unpack(archive: &Path, into: &Path) -> anyhow::Result<()> {
    let mut tar = tar::Archive::new(std::fs::File::open(archive)?);
    for entry in tar.entries()? {
        entry?.unpack_in(into)?;
    }
    Ok(())
}

fn inside(folder: &Path, name: &str) -> anyhow::Result<PathBuf> {
    let path = folder
        .join(name)
        .canonicalize()
        .with_context(|| format!("`{name}` is missing in the archive"))?;
    if !path.starts_with(folder.canonicalize()?) {
        bail!("`{name}` leads out of the archive");
    }
    Ok(path)
}

fn read_inside(folder: &Path, name: &str) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::fs::File::open(inside(folder, name)?)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> anyhow::Result<T> {
    let text = std::fs::read(path).context("the archive has no manifest.json")?;
    serde_json::from_slice(&text).context("in the archive's manifest.json")
}

async fn accept(listener: tokio::net::TcpListener, content: Arc<Content>) {
    // A connection that cannot be accepted is BuildKit's to try again.
    while let Ok((stream, _)) = listener.accept().await {
        let content = Arc::clone(&content);
        tokio::spawn(async move {
            let service = hyper::service::service_fn(move |request| {
                let content = Arc::clone(&content);
                async move { Ok::<_, Infallible>(answer(&content, &request).await) }
            });
            let io = hyper_util::rt::TokioIo::new(stream);
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(io, service)
                .await;
        });
    }
}

fn full(bytes: Bytes) -> Body {
    Full::new(bytes)
        .map_err(|never: Infallible| match never {})
        .boxed()
}

fn plain(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(full(Bytes::new()));
    *response.status_mut() = status;
    response
}

async fn answer(content: &Content, request: &Request<Incoming>) -> Response<Body> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return plain(StatusCode::METHOD_NOT_ALLOWED);
    }
    let Some(path) = request.uri().path().strip_prefix("/v2/") else {
        return plain(StatusCode::NOT_FOUND);
    };
    if path.is_empty() {
        return plain(StatusCode::OK);
    }
    let head = request.method() == Method::HEAD;
    let response = if let Some((repository, reference)) = path.split_once("/manifests/") {
        manifest(content, &format!("{repository}/{reference}"), head)
    } else if let Some((_, digest)) = path.split_once("/blobs/") {
        let range = request
            .headers()
            .get("range")
            .and_then(|range| range.to_str().ok());
        blob(content, digest, range, head).await
    } else {
        None
    };
    response.unwrap_or_else(|| plain(StatusCode::NOT_FOUND))
}

fn manifest(content: &Content, key: &str, head: bool) -> Option<Response<Body>> {
    let (digest, bytes) = content.manifests.get(key)?;
    Response::builder()
        .header("content-type", MANIFEST)
        .header("content-length", bytes.len())
        .header("docker-content-digest", digest.as_str())
        .body(full(if head { Bytes::new() } else { bytes.clone() }))
        .ok()
}

// A range of the form `bytes=START-` or `bytes=START-END` (RFC 9110, section 14).
async fn blob(
    content: &Content,
    digest: &str,
    range: Option<&str>,
    head: bool,
) -> Option<Response<Body>> {
    use tokio::io::AsyncSeekExt as _;
    let mut file = tokio::fs::File::open(content.blobs.get(digest)?)
        .await
        .ok()?;
    let size = file.metadata().await.ok()?.len();
    let wanted = range.and_then(|range| {
        let (start, end) = range.strip_prefix("bytes=")?.split_once('-')?;
        let start: u64 = start.parse().ok()?;
        let end = if end.is_empty() {
            size.checked_sub(1)?
        } else {
            end.parse().ok()?
        };
        (start <= end && end < size).then_some((start, end))
    });
    let (start, length) = wanted.map_or((0, size), |(start, end)| (start, end - start + 1));
    file.seek(std::io::SeekFrom::Start(start)).await.ok()?;
    let mut response = Response::builder()
        .header("content-type", "application/octet-stream")
        .header("content-length", length)
        .header("accept-ranges", "bytes")
        .header("docker-content-digest", digest);
    if let Some((start, end)) = wanted {
        response = response
            .status(StatusCode::PARTIAL_CONTENT)
            .header("content-range", format!("bytes {start}-{end}/{size}"));
    }
    if head {
        return response.body(full(Bytes::new())).ok();
    }
    let chunks = futures_util::stream::try_unfold(file.take(length), |mut file| async move {
        let mut chunk = vec![0; 64 * 1024];
        let read = file.read(&mut chunk).await?;
        chunk.truncate(read);
        Ok((read > 0).then(|| (Bytes::from(chunk), file)))
    });
    response
        .body(BodyExt::boxed(StreamBody::new(chunks.map_ok(Frame::data))))
        .ok()
}
