//! Reading and pushing blobs, and copying images with all of theirs.

mod copy;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use backon::Retryable as _;
use bytes::Bytes;
use futures_util::stream::try_unfold;
use http_client::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, LOCATION};
use http_client::{Body, Chunks, Method, Response, StatusCode, Url};
use tokio::io::AsyncReadExt as _;

use super::request::retry_policy;
use super::response::{Failed, available, header, success};
use super::{ATTEMPTS, Registry};
use crate::Digest;
use crate::digest::Hasher;

/// The timeout of one blob.
const BLOB_TIMEOUT: Duration = Duration::from_secs(1800);
/// The largest blob that is read into memory, in bytes: a configuration.
const MAX_IN_MEMORY: u64 = 8 * 1024 * 1024;
const CHUNK: usize = 256 * 1024;

/// The content of a blob as it arrives. The last piece is not shown before the digest of all is known to be right.
pub struct Blob {
    chunks: Chunks,
    /// Of a whole blob: the host that it is read from, the expected digest, and what was read.
    check: Option<(String, Digest, Hasher)>,
    held: Option<Bytes>,
}

impl Blob {
    /// The next piece; `None` at the end.
    ///
    /// # Errors
    /// When the blob breaks off, is too large, or has another digest.
    pub async fn next_chunk(&mut self) -> anyhow::Result<Option<Bytes>> {
        while let Some(chunk) = self.chunks.next_chunk().await? {
            let Some((_, _, hasher)) = &mut self.check else {
                return Ok(Some(chunk));
            };
            hasher.update(&chunk);
            if let Some(earlier) = self.held.replace(chunk) {
                return Ok(Some(earlier));
            }
        }
        if let Some((host, expected, hasher)) = self.check.take() {
            check_digest(&host, &expected, &hasher.finish())?;
        }
        Ok(self.held.take())
    }
}

/// The content of a blob that is pushed; each attempt opens it again.
pub(super) enum Content<'a> {
    /// A file.
    File(&'a Path),
    /// The blob of another repository.
    Blob {
        source: &'a Registry,
        repository: &'a str,
        size: u64,
    },
}

impl Content<'_> {
    // The bytes, and how many.
    async fn open(&self, digest: &str) -> anyhow::Result<(u64, Body)> {
        match self {
            Self::File(path) => {
                let file = tokio::fs::File::open(path).await?;
                let size = file.metadata().await?.len();
                let chunks = try_unfold(file, |mut file| async move {
                    let mut chunk = vec![0; CHUNK];
                    let read = file.read(&mut chunk).await?;
                    chunk.truncate(read);
                    Ok::<_, std::io::Error>((read > 0).then(|| (Bytes::from(chunk), file)))
                });
                Ok((size, Body::wrap_stream(chunks)))
            }
            Self::Blob {
                source,
                repository,
                size,
            } => {
                let blob = source.blob(repository, digest, *size, None).await?;
                let chunks = try_unfold(blob, |mut blob| async move {
                    let chunk = blob.next_chunk().await.map_err(std::io::Error::other)?;
                    Ok::<_, std::io::Error>(chunk.map(|chunk| (chunk, blob)))
                });
                Ok((*size, Body::wrap_stream(chunks)))
            }
        }
    }
}

impl Registry {
    /// The blob `digest` of `repository`, which has `size` bytes, or its bytes `range`, both ends included.
    ///
    /// # Errors
    /// [`Refused`](super::Refused) for a status other than 2xx.
    pub async fn blob(
        &self,
        repository: &str,
        digest: &str,
        size: u64,
        range: Option<(u64, u64)>,
    ) -> anyhow::Result<Blob> {
        let response = self.request_blob(repository, digest, range).await?;
        let (limit, check) = if let Some((start, end)) = range {
            ensure!(
                response.status() == StatusCode::PARTIAL_CONTENT,
                "`{}` ignores the range of a request",
                self.host
            );
            (end.saturating_sub(start).saturating_add(1), None)
        } else {
            let check = (self.host.clone(), digest.parse()?, Hasher::default());
            (size, Some(check))
        };
        Ok(Blob {
            chunks: response.chunks(limit),
            check,
            held: None,
        })
    }

    /// The bytes of a small blob, checked against `digest`.
    ///
    /// # Errors
    /// When it is unavailable, is larger than 8 MiB, or has another digest.
    pub async fn blob_bytes(&self, repository: &str, digest: &str) -> anyhow::Result<Vec<u8>> {
        let expected = digest.parse()?;
        let response = self.request_blob(repository, digest, None).await?;
        let bytes = response.bytes(MAX_IN_MEMORY).await;
        let bytes = bytes.with_context(|| self.reading(repository, digest))?;
        check_digest(&self.host, &expected, &Digest::sha256(&bytes))?;
        Ok(bytes)
    }

    /// Write a blob of `limit` bytes at most to the file `path`, checked against `digest`.
    ///
    /// # Errors
    /// When it is unavailable, is larger, has another digest, or can't be written: then there is no file.
    pub async fn fetch_blob(
        &self,
        repository: &str,
        digest: &str,
        limit: u64,
        path: &Path,
    ) -> anyhow::Result<()> {
        let saved = self.save_blob(repository, digest, limit, path).await;
        if saved.is_err() {
            // It may not have been created.
            let _ = tokio::fs::remove_file(path).await;
        }
        saved.with_context(|| self.reading(repository, digest))
    }

    async fn save_blob(
        &self,
        repository: &str,
        digest: &str,
        limit: u64,
        path: &Path,
    ) -> anyhow::Result<()> {
        let expected = digest.parse()?;
        let response = self.request_blob(repository, digest, None).await?;
        let mut file = tokio::fs::File::create(path).await?;
        let mut hasher = Hasher::default();
        response
            .save(&mut file, limit, |chunk| hasher.update(chunk))
            .await?;
        check_digest(&self.host, &expected, &hasher.finish())
    }

    async fn request_blob(
        &self,
        repository: &str,
        digest: &str,
        range: Option<(u64, u64)>,
    ) -> anyhow::Result<Response> {
        let mut request = self.pull(Method::GET, repository, &format!("blobs/{digest}"));
        request.timeout = BLOB_TIMEOUT;
        request.range = range.map(|(start, end)| format!("bytes={start}-{end}"));
        let what = || self.reading(repository, digest);
        let response = self.send(request).await.with_context(what)?;
        success(response, &self.host).await.with_context(what)
    }

    fn reading(&self, repository: &str, digest: &str) -> String {
        format!("failed to read `{}/{repository}@{digest}`", self.host)
    }

    /// Push the file `path`, whose digest is `digest`, unless `repository` already has it.
    ///
    /// # Errors
    /// [`Refused`](super::Refused) for a status other than 2xx.
    pub async fn push_blob(
        &self,
        repository: &str,
        digest: &str,
        path: &Path,
    ) -> anyhow::Result<()> {
        if self.has_blob(repository, digest).await? {
            return Ok(());
        }
        self.push_content(repository, digest, Content::File(path))
            .await
    }

    /// Whether `repository` has the blob `digest`.
    pub(super) async fn has_blob(&self, repository: &str, digest: &str) -> anyhow::Result<bool> {
        let request = self.push(Method::HEAD, repository, &format!("blobs/{digest}"));
        let response = self.send(request).await;
        let response = response.with_context(|| self.pushing(repository))?;
        Ok(response.status() == StatusCode::OK)
    }

    fn pushing(&self, repository: &str) -> String {
        format!("failed to push a blob to `{}/{repository}`", self.host)
    }

    /// Push `content`, whose digest is `digest`, to `repository`, which does not have it.
    pub(super) async fn push_content(
        &self,
        repository: &str,
        digest: &str,
        content: Content<'_>,
    ) -> anyhow::Result<()> {
        let what = || self.pushing(repository);
        let is_renewed = AtomicBool::new(false);
        // An upload that breaks off starts again with a new session: not every registry keeps the old one.
        let upload = || async {
            // This has retries of its own.
            let session = self.open_upload(repository).await.map_err(Failed::Other)?;
            let response = self.upload(repository, &session, digest, &content).await?;
            if self.is_challenge(&response) && !is_renewed.swap(true, Ordering::Relaxed) {
                self.remember(&self.push_scope(repository), None);
                return Err(Failed::Expired(Box::new(response)));
            }
            Ok(response)
        };
        let result = upload
            .retry(retry_policy(ATTEMPTS))
            .when(Failed::is_transient)
            .adjust(|failed, delay| delay.map(|delay| failed.retry_after().unwrap_or(delay)))
            .await;
        let response = match result {
            Ok(response) => response,
            Err(failed) => failed.into_response(&self.host).with_context(what)?,
        };
        success(response, &self.host)
            .await
            .map(drop)
            .with_context(what)
    }

    // The URL that the registry names for the upload of one blob.
    async fn open_upload(&self, repository: &str) -> anyhow::Result<Url> {
        let request = self.push(Method::POST, repository, "blobs/uploads/");
        let response = success(self.send(request).await?, &self.host).await?;
        let location = header(response.headers(), LOCATION.as_str())
            .context("the registry opened an upload without a `Location`")?;
        self.upload_url(response.url(), &location)
    }

    // It may be on another host, where the content is stored. The content is not sent there without TLS if the registry
    // has TLS.
    fn upload_url(&self, base: &Url, location: &str) -> anyhow::Result<Url> {
        let url = base.join(location);
        let url = url.with_context(|| format!("`{}` sent an invalid `Location`", self.host))?;
        if !url.username().is_empty() || url.password().is_some() {
            bail!(
                "the upload's `Location` of `{}` has user information",
                self.host
            );
        }
        let is_downgrade = base.scheme() == "https" && url.scheme() != "https";
        if is_downgrade || !matches!(url.scheme(), "http" | "https") {
            bail!(
                "the upload's `Location` of `{}` would send the blob unencrypted",
                self.host
            );
        }
        Ok(url)
    }

    async fn upload(
        &self,
        repository: &str,
        session: &Url,
        digest: &str,
        content: &Content<'_>,
    ) -> Result<Response, Failed> {
        let mut url = session.clone();
        url.query_pairs_mut().append_pair("digest", digest);
        let (size, chunks) = content.open(digest).await.map_err(Failed::Other)?;
        // Only the registry itself gets the authorization, as with github.com/containerd/containerd.
        let known = self.known_authorization(&self.push_scope(repository));
        let authorization = known.filter(|_| self.owns(&url));
        let mut request = self
            .http
            .put(url)
            .header(CONTENT_TYPE, "application/octet-stream")
            .header(CONTENT_LENGTH, size.to_string())
            .timeout(BLOB_TIMEOUT)
            .body(chunks);
        if let Some(authorization) = authorization {
            request = request.header(AUTHORIZATION, authorization.value());
        }
        available(request.send().await.map_err(Failed::Transport)?)
    }
}

/// # Errors
/// When the content that `host` sent has not the digest that it was requested by.
pub(super) fn check_digest(host: &str, expected: &Digest, actual: &Digest) -> anyhow::Result<()> {
    ensure!(
        expected == actual,
        "the content that `{host}` sent does not match the digest `{expected}`: it has `{actual}`"
    );
    Ok(())
}
