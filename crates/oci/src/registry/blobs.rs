//! Reading and pushing blobs.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use backon::Retryable as _;
use reqwest::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, LOCATION};
use reqwest::{Method, Response, StatusCode};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::request::{ApiRequest, base_url, push_scope, retry_policy};
use super::response::{Failed, available, header, success};
use super::{ATTEMPTS, Registry};
use crate::Digest;

/// The timeout of one blob.
const BLOB_TIMEOUT: Duration = Duration::from_secs(1800);
/// The largest blob that is read into memory, in bytes: a configuration.
const MAX_IN_MEMORY: u64 = 8 * 1024 * 1024;
const CHUNK: usize = 256 * 1024;

impl Registry {
    /// The blob `digest` of `repository`, or its bytes `range`, both ends included.
    ///
    /// # Errors
    /// [`Refused`](super::Refused) for a status other than 2xx.
    pub async fn blob(
        &self,
        repository: &str,
        digest: &str,
        range: Option<(u64, u64)>,
    ) -> anyhow::Result<Response> {
        let path = format!("{repository}/blobs/{digest}");
        let mut request = ApiRequest::pull(Method::GET, &path, repository);
        request.timeout = BLOB_TIMEOUT;
        request.range = range.map(|(start, end)| format!("bytes={start}-{end}"));
        let what = || format!("failed to read `{}/{repository}@{digest}`", self.host);
        let response = self.send(request).await.with_context(what)?;
        success(response, &self.host).await.with_context(what)
    }

    /// The bytes of a small blob, checked against `digest`.
    ///
    /// # Errors
    /// When it is unavailable, is larger than 8 MiB, or has another digest.
    pub async fn blob_bytes(&self, repository: &str, digest: &str) -> anyhow::Result<Vec<u8>> {
        let response = self.blob(repository, digest, None).await?;
        if response.content_length().unwrap_or_default() > MAX_IN_MEMORY {
            bail!("`{}/{repository}@{digest}` is too large", self.host);
        }
        let bytes = response.bytes().await?.to_vec();
        if Digest::sha256(&bytes).as_str() != digest {
            bail!(
                "the content that `{}` sent does not match the digest `{digest}`",
                self.host
            );
        }
        Ok(bytes)
    }

    /// Write a blob to the file `path`; its digest is not checked.
    ///
    /// # Errors
    /// When it is unavailable or can't be written.
    pub async fn fetch_blob(
        &self,
        repository: &str,
        digest: &str,
        path: &Path,
    ) -> anyhow::Result<()> {
        let mut response = self.blob(repository, digest, None).await?;
        let mut file = tokio::fs::File::create(path).await?;
        while let Some(chunk) = response.chunk().await? {
            file.write_all(&chunk).await?;
        }
        file.flush().await.context("failed to write a layer")
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
        let what = || format!("failed to push a blob to `{}/{repository}`", self.host);
        let blob = format!("{repository}/blobs/{digest}");
        let request = ApiRequest::push(Method::HEAD, &blob, repository);
        if self.send(request).await.with_context(what)?.status() == StatusCode::OK {
            return Ok(());
        }
        // An upload that breaks off starts again with a new session: not every registry keeps the old one.
        let upload = || async {
            // This has retries of its own.
            let session = self.open_upload(repository).await.map_err(Failed::Other)?;
            self.upload(repository, &session, digest, path).await
        };
        let result = upload
            .retry(retry_policy(ATTEMPTS))
            .when(|failed| !matches!(failed, Failed::Other(_)))
            .adjust(|failed, delay| delay.map(|delay| failed.retry_after().unwrap_or(delay)))
            .await;
        let response = match result {
            Ok(response) | Err(Failed::Unavailable(response)) => response,
            Err(Failed::Transport(e)) => return Err(e).with_context(what),
            Err(Failed::Other(e)) => return Err(e.context(what())),
        };
        success(response, &self.host)
            .await
            .map(drop)
            .with_context(what)
    }

    // The URL that the registry names for the upload of one blob.
    async fn open_upload(&self, repository: &str) -> anyhow::Result<url::Url> {
        let path = format!("{repository}/blobs/uploads/");
        let request = ApiRequest::push(Method::POST, &path, repository);
        let response = success(self.send(request).await?, &self.host).await?;
        let location = header(response.headers(), LOCATION.as_str())
            .context("the registry opened an upload without a `Location`")?;
        Ok(url::Url::parse(&base_url(&self.host))?.join(&location)?)
    }

    async fn upload(
        &self,
        repository: &str,
        session: &url::Url,
        digest: &str,
        path: &Path,
    ) -> Result<Response, Failed> {
        let other = |e: std::io::Error| Failed::Other(e.into());
        let mut url = session.clone();
        url.query_pairs_mut().append_pair("digest", digest);
        let file = tokio::fs::File::open(path).await.map_err(other)?;
        let size = file.metadata().await.map_err(other)?.len();
        let chunks = futures_util::stream::try_unfold(file, |mut file| async move {
            let mut chunk = vec![0; CHUNK];
            let read = file.read(&mut chunk).await?;
            chunk.truncate(read);
            Ok::<_, std::io::Error>((read > 0).then(|| (bytes::Bytes::from(chunk), file)))
        });
        let mut request = self
            .http
            .put(url)
            .header(CONTENT_TYPE, "application/octet-stream")
            .header(CONTENT_LENGTH, size)
            .timeout(BLOB_TIMEOUT)
            .body(reqwest::Body::wrap_stream(chunks));
        if let Some(authorization) = self.known_authorization(&push_scope(repository)) {
            request = request.header(AUTHORIZATION, authorization);
        }
        available(request.send().await.map_err(Failed::Transport)?)
    }
}
