//! Blobs and manifests: reading and pushing them.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use reqwest::header::{CONTENT_TYPE, LOCATION};
use reqwest::{Method, Response, StatusCode};
use tokio::io::AsyncWriteExt as _;

use super::{ATTEMPTS, Ask, Registry, base, checked, header, is_passing};
use crate::{Descriptor, Digest, INDEX, Index, Manifest, RawManifest};

/// Limit of one blob.
const BLOB_LIMIT: Duration = Duration::from_secs(1800);
/// Limit of a blob that is read into memory: a configuration.
const SMALL: u64 = 8 * 1024 * 1024;

impl Registry {
    /// The blob `digest` of `repository`, or the bytes `range` of it, both ends counted.
    ///
    /// # Errors
    /// With what the registry answered.
    pub async fn blob(
        &self,
        repository: &str,
        digest: &str,
        range: Option<(u64, u64)>,
    ) -> anyhow::Result<Response> {
        let path = format!("{repository}/blobs/{digest}");
        let mut ask = Ask::pull(Method::GET, &path, repository);
        ask.limit = BLOB_LIMIT;
        ask.range = range.map(|(start, end)| format!("bytes={start}-{end}"));
        let what = || format!("while reading `{}/{repository}@{digest}`", self.host);
        let answer = self.send(ask).await.with_context(what)?;
        checked(answer, &self.host).await.with_context(what)
    }

    /// The whole of a small blob.
    ///
    /// # Errors
    /// When it can't be had, is too large, or is not what its digest says.
    pub async fn blob_bytes(&self, repository: &str, digest: &str) -> anyhow::Result<Vec<u8>> {
        let answer = self.blob(repository, digest, None).await?;
        if answer.content_length().unwrap_or_default() > SMALL {
            bail!("`{}/{repository}@{digest}` is too large", self.host);
        }
        let bytes = answer.bytes().await?.to_vec();
        if Digest::sha256(&bytes).as_str() != digest {
            bail!("what `{}` sent is not `{digest}`", self.host);
        }
        Ok(bytes)
    }

    /// Write a blob to the file `path`.
    ///
    /// # Errors
    /// When it can't be had or written.
    pub async fn fetch_blob(
        &self,
        repository: &str,
        digest: &str,
        path: &Path,
    ) -> anyhow::Result<()> {
        let mut answer = self.blob(repository, digest, None).await?;
        let mut file = tokio::fs::File::create(path).await?;
        while let Some(chunk) = answer.chunk().await? {
            file.write_all(&chunk).await?;
        }
        file.flush().await.context("while keeping a layer")
    }

    /// Push the file `path`, whose digest is `digest`, unless `repository` has it.
    ///
    /// # Errors
    /// With what the registry answered.
    pub async fn push_blob(
        &self,
        repository: &str,
        digest: &str,
        path: &Path,
    ) -> anyhow::Result<()> {
        let what = || format!("while pushing a part of `{}/{repository}`", self.host);
        let known = format!("{repository}/blobs/{digest}");
        let ask = Ask::push(Method::HEAD, &known, repository);
        if self.send(ask).await.with_context(what)?.status() == StatusCode::OK {
            return Ok(());
        }
        // An upload that breaks is begun anew: its place is not kept everywhere.
        let mut attempt = 1;
        loop {
            // To open one is tried several times already.
            let place = self.open_upload(repository).await.with_context(what)?;
            let sent = self.upload(repository, &place, digest, path).await;
            let passing = match &sent {
                Ok(answer) => is_passing(answer.status()),
                Err(e) => e.downcast_ref::<reqwest::Error>().is_some(),
            };
            if !passing || attempt >= ATTEMPTS {
                let answer = sent.with_context(what)?;
                return checked(answer, &self.host)
                    .await
                    .map(drop)
                    .with_context(what);
            }
            tokio::time::sleep(Duration::from_millis(250 << attempt)).await;
            attempt += 1;
        }
    }

    // Where the registry wants a blob to be sent.
    async fn open_upload(&self, repository: &str) -> anyhow::Result<url::Url> {
        let open = format!("{repository}/blobs/uploads/");
        let opened = self
            .send(Ask::push(Method::POST, &open, repository))
            .await?;
        let opened = checked(opened, &self.host).await?;
        let location = header(opened.headers(), LOCATION.as_str())
            .context("the registry opened an upload without a place for it")?;
        Ok(url::Url::parse(&base(&self.host))?.join(&location)?)
    }

    async fn upload(
        &self,
        repository: &str,
        place: &url::Url,
        digest: &str,
        path: &Path,
    ) -> anyhow::Result<Response> {
        let mut url = place.clone();
        url.query_pairs_mut().append_pair("digest", digest);
        let file = tokio::fs::File::open(path).await?;
        let size = file.metadata().await?.len();
        let chunks = futures_util::stream::try_unfold(file, |mut file| async move {
            use tokio::io::AsyncReadExt as _;
            let mut chunk = vec![0; 256 * 1024];
            let read = file.read(&mut chunk).await?;
            chunk.truncate(read);
            Ok::<_, std::io::Error>((read > 0).then(|| (bytes::Bytes::from(chunk), file)))
        });
        let mut request = self
            .http
            .put(url)
            .header(CONTENT_TYPE, "application/octet-stream")
            .header("content-length", size)
            .timeout(BLOB_LIMIT)
            .body(reqwest::Body::wrap_stream(chunks));
        if let Some(authorization) = self.signed_in(&Ask::push(Method::PUT, "", repository)) {
            request = request.header("authorization", authorization);
        }
        Ok(request.send().await?)
    }

    /// Push `manifest`, whose blobs `repository` has, under its digest alone or under the tag
    /// `reference`; an artifact is entered in its subject's list of referrers where the registry does
    /// not keep one itself.
    ///
    /// # Errors
    /// With what the registry answered.
    pub async fn push_manifest(
        &self,
        repository: &str,
        manifest: &Manifest,
        reference: Option<&str>,
    ) -> anyhow::Result<Digest> {
        let bytes = manifest.bytes()?;
        let digest = Digest::sha256(&bytes);
        let stored = RawManifest {
            digest: digest.clone(),
            media_type: manifest.media_type.clone(),
            bytes,
        };
        let reference = reference.unwrap_or(digest.as_str());
        let answer = self.put(repository, reference, &stored).await?;
        let subject = manifest.subject.as_ref();
        if let Some(subject) = subject.filter(|_| !answer.headers().contains_key("oci-subject")) {
            self.refer(repository, subject, manifest, &stored).await?;
        }
        Ok(digest)
    }

    // The tag `sha256-<digest>` of the distribution specification, for registries without the API.
    async fn refer(
        &self,
        repository: &str,
        subject: &Descriptor,
        manifest: &Manifest,
        stored: &RawManifest,
    ) -> anyhow::Result<()> {
        let tag = subject.digest.replace(':', "-");
        let known = self.manifest(repository, &tag).await?;
        let known = known.and_then(|list| serde_json::from_slice::<Index>(&list.bytes).ok());
        let mut index = known.unwrap_or(Index {
            schema_version: 2,
            media_type: INDEX.to_owned(),
            manifests: Vec::new(),
        });
        let mut entry = Descriptor::new(
            &stored.media_type,
            &stored.digest,
            stored.bytes.len() as u64,
        );
        entry.artifact_type.clone_from(&manifest.artifact_type);
        entry.annotations.clone_from(&manifest.annotations);
        index.manifests.retain(|known| known.digest != entry.digest);
        index.manifests.push(entry);
        let bytes = serde_json::to_vec(&index)?;
        let list = RawManifest {
            digest: Digest::sha256(&bytes),
            media_type: INDEX.to_owned(),
            bytes,
        };
        self.put(repository, &tag, &list).await.map(drop)
    }
}
