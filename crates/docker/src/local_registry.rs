//! A registry on a loopback port, for a BuildKit and a scanner on this machine.
//!
//! BuildKit cannot see the images of Docker whose image store is not containerd's, and an image that
//! was just built is in no registry. So images are served from here, over the OCI distribution API, on
//! a loopback port, to who has the password of the run: those of Docker from its own `save` stream,
//! those of a registry by passing its blobs through, so that no child process needs its password. What
//! is pushed here stays here.

mod archive;
mod content;
mod http;
mod layout;
mod saved;
mod upload;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context as _, bail};
use bytes::Bytes;
use oci::{Credentials, Digest, ImageRef, RawManifest, Registry};

use crate::ImageInfo;
use content::{Blob, Content, Stored};
#[cfg(fuzzing)]
pub(crate) use layout::fuzz as fuzz_layout;
#[cfg(fuzzing)]
pub(crate) use saved::fuzz as fuzz_saved;

/// A registry on a loopback port. When it is dropped it stops, and its files are removed.
pub struct LocalRegistry {
    address: SocketAddr,
    prefix: String,
    server: tokio::task::JoinHandle<()>,
    shared: Arc<Shared>,
}

/// An image of a [`LocalRegistry`].
#[derive(Debug, Clone)]
pub struct StoredImage {
    /// Its manifest.
    pub manifest: oci::Manifest,
    /// The digest of its manifest.
    pub digest: Digest,
    /// Its configuration.
    pub config: Bytes,
    /// Its configuration, parsed.
    pub info: ImageInfo,
}

struct Shared {
    directory: tempfile::TempDir,
    /// The header `Authorization` without which nothing is served.
    authorization: Option<String>,
    content: Mutex<Content>,
}

impl Shared {
    fn content(&self) -> MutexGuard<'_, Content> {
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn file(&self) -> PathBuf {
        let name = uuid::Uuid::new_v4().simple().to_string();
        self.directory.path().join(name)
    }
}

impl LocalRegistry {
    /// Start a registry for every process of this machine, whose files are in a directory under `temp`.
    ///
    /// # Errors
    /// When no port is free or the directory can't be created.
    pub async fn open(temp: &Path) -> anyhow::Result<Self> {
        Self::start(temp, None).await
    }

    /// The same, for clients that send `credentials`.
    ///
    /// # Errors
    /// As [`LocalRegistry::open`].
    pub async fn protected(temp: &Path, credentials: &Credentials) -> anyhow::Result<Self> {
        Self::start(temp, Some(credentials.authorization())).await
    }

    async fn start(temp: &Path, authorization: Option<String>) -> anyhow::Result<Self> {
        let directory = tempfile::Builder::new()
            .prefix("seaworthy-images-")
            .tempdir_in(temp)
            .context("failed to create a directory for the images")?;
        let listener = tokio::net::TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0))
            .await
            .context("failed to open a loopback port for the images")?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            directory,
            authorization,
            content: Mutex::default(),
        });
        let prefix = uuid::Uuid::new_v4().simple().to_string();
        let server = tokio::spawn(http::accept(listener, prefix.clone(), Arc::clone(&shared)));
        Ok(Self {
            address,
            prefix,
            server,
            shared,
        })
    }

    /// The host of its references: a loopback address with its port.
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// The name of `image` here, whether it exists or not; `space` distinguishes repositories of the same name.
    ///
    /// # Errors
    /// Never for a valid `space`.
    pub fn reference_for(&self, space: &str, image: &ImageRef) -> anyhow::Result<ImageRef> {
        let path = format!("{}/{space}/{}", self.prefix, image.name());
        let moved = image.moved_to(&self.address.to_string(), &path)?;
        Ok(moved.with_tag(image.tag().unwrap_or("latest"))?)
    }

    /// Serve `image` of `registry`, whose manifest is `manifest`; its blobs are fetched when they are
    /// requested.
    ///
    /// # Errors
    /// When the manifest is not that of an image.
    pub fn add_remote(
        &self,
        registry: &Arc<Registry>,
        image: &ImageRef,
        manifest: &RawManifest,
        space: &str,
    ) -> anyhow::Result<ImageRef> {
        let reference = self.reference_for(space, image)?;
        let parsed: oci::Manifest = serde_json::from_slice(&manifest.bytes)
            .with_context(|| format!("`{image}` is not an image: its manifest is invalid"))?;
        let mut content = self.shared.content();
        for blob in parsed.layers.iter().chain([&parsed.config]) {
            let at = Blob::Remote {
                registry: Arc::clone(registry),
                repository: image.repository().to_owned(),
                size: blob.size,
            };
            content.add(reference.repository(), &blob.digest, at);
        }
        let stored = Stored {
            digest: manifest.digest.clone(),
            media_type: manifest.media_type.clone(),
            bytes: Bytes::from(manifest.bytes.clone()),
        };
        content.store(reference.repository(), tag(&reference), &stored);
        drop(content);
        Ok(reference)
    }

    /// Store `manifest`, whose blobs are here, under `reference`.
    ///
    /// # Errors
    /// When it can't be serialized.
    pub fn put_manifest(
        &self,
        reference: &ImageRef,
        manifest: &oci::Manifest,
    ) -> anyhow::Result<Digest> {
        let bytes = Bytes::from(manifest.bytes()?);
        let digest = Digest::sha256(&bytes);
        let stored = Stored {
            digest: digest.clone(),
            media_type: oci::MANIFEST.to_owned(),
            bytes,
        };
        let mut content = self.shared.content();
        content.store(reference.repository(), tag(reference), &stored);
        Ok(digest)
    }

    /// Store a blob for the repository of `reference`.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn put_blob(&self, reference: &ImageRef, bytes: &[u8]) -> anyhow::Result<Digest> {
        let path = self.shared.file();
        std::fs::write(&path, bytes).context("failed to write a blob")?;
        let digest = Digest::sha256(bytes);
        let file = Blob::File(path);
        let mut content = self.shared.content();
        let unneeded = content.add(reference.repository(), digest.as_str(), file);
        drop(content);
        remove(unneeded);
        Ok(digest)
    }

    /// Forget the repository of `reference`, and what no other repository has of its content.
    pub fn remove(&self, reference: &ImageRef) {
        let unneeded = self.shared.content().remove(reference.repository());
        remove(unneeded);
    }

    /// The image `reference`, or `None`.
    ///
    /// # Errors
    /// When its manifest or configuration is invalid or can't be fetched.
    pub async fn image(&self, reference: &ImageRef) -> anyhow::Result<Option<StoredImage>> {
        let key = key(reference);
        let Some(stored) = self.shared.content().manifest(&key).cloned() else {
            return Ok(None);
        };
        let manifest: oci::Manifest =
            serde_json::from_slice(&stored.bytes).context("invalid image manifest")?;
        let config = Bytes::from(self.read(&manifest.config.digest).await?);
        Ok(Some(StoredImage {
            info: ImageInfo::from_config(&config)?,
            manifest,
            digest: stored.digest,
            config,
        }))
    }

    /// Why an upload could not be stored: the client that pushed saw only a status.
    pub fn upload_error(&self) -> Option<String> {
        self.shared.content().upload_error.clone()
    }

    /// Why the registry that has the content of `reference` did not provide a blob: the client that read it from here saw
    /// only a status.
    pub fn source_error(&self, reference: &ImageRef) -> Option<String> {
        let content = self.shared.content();
        let error = content.source_error(reference.repository());
        error.map(ToOwned::to_owned)
    }

    async fn read(&self, digest: &str) -> anyhow::Result<Vec<u8>> {
        let blob = self.shared.content().blob(digest);
        match blob {
            Some(Blob::File(path)) => {
                let directory = self.shared.directory.path().to_owned();
                let read = move || limits::read(&directory, &path, archive::JSON);
                let blob = tokio::task::spawn_blocking(read).await?;
                blob.with_context(|| format!("failed to read the blob `{digest}`"))
            }
            Some(Blob::Remote {
                registry,
                repository,
                ..
            }) => registry.blob_bytes(&repository, digest).await,
            None => bail!("the image has no blob `{digest}`"),
        }
    }

    /// The file of the blob `digest`, fetched first if it is in a registry.
    ///
    /// # Errors
    /// When it is unavailable.
    pub async fn fetch(&self, digest: &str) -> anyhow::Result<PathBuf> {
        let blob = self.shared.content().blob(digest);
        let (registry, repository, size) = match blob {
            Some(Blob::File(path)) => return Ok(path),
            Some(Blob::Remote {
                registry,
                repository,
                size,
            }) => (registry, repository, size),
            None => bail!("the image has no blob `{digest}`"),
        };
        let path = self.shared.file();
        registry
            .fetch_blob(&repository, digest, size, &path)
            .await?;
        let kept = self.shared.content().fetched(digest, &path);
        let Some(kept) = kept else {
            return Ok(path);
        };
        remove([path]);
        Ok(kept)
    }
}

impl Drop for LocalRegistry {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn tag(reference: &ImageRef) -> &str {
    reference.tag().unwrap_or("latest")
}

// A file that stays is removed with the directory.
fn remove(files: impl IntoIterator<Item = PathBuf>) {
    for file in files {
        let _ = std::fs::remove_file(file);
    }
}

fn key(reference: &ImageRef) -> String {
    format!("{}/{}", reference.repository(), reference.reference())
}
