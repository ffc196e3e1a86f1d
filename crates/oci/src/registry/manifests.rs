//! Reading, tagging and pushing manifests.

use std::collections::BTreeMap;

use anyhow::Context as _;
use http_client::header::CONTENT_TYPE;
use http_client::{Method, Response, StatusCode};

use super::Registry;
use super::blobs::check_digest;
use super::response::{header, success};
use crate::{Descriptor, Digest, INDEX, Index, Manifest};

/// The most bytes of a manifest, as github.com/distribution/distribution has it (`maxManifestBodySize`).
const MANIFEST_LIMIT: u64 = 4 * 1024 * 1024;

/// A manifest as the registry holds it.
#[derive(Debug, Clone)]
pub struct RawManifest {
    /// The digest of its bytes.
    pub digest: Digest,
    /// Its media type.
    pub media_type: String,
    /// Its bytes, unchanged: the digest depends on each of them.
    pub bytes: Vec<u8>,
}

impl RawManifest {
    /// The manifest `bytes` of the type `media_type`.
    pub fn new(media_type: &str, bytes: Vec<u8>) -> Self {
        Self {
            digest: Digest::sha256(&bytes),
            media_type: media_type.to_owned(),
            bytes,
        }
    }
}

impl Registry {
    /// The manifest of `repository` under `reference` (a tag or digest); `None` if there is none.
    ///
    /// # Errors
    /// [`Refused`](super::Refused) for a status other than 2xx and 404. When it is larger than 4 MiB, or has not the
    /// digest that it is requested by, or that the registry reports.
    pub async fn manifest(
        &self,
        repository: &str,
        reference: &str,
    ) -> anyhow::Result<Option<RawManifest>> {
        let what = || format!("failed to read `{}/{repository}:{reference}`", self.host);
        self.read_manifest(repository, reference)
            .await
            .with_context(what)
    }

    /// The digest of the manifest of `repository` under `reference`, which is not read: registries that limit pulls do not
    /// count this request as one (docs.docker.com/docker-hub/usage/pulls). `None` if there is none, or the registry does not
    /// report it.
    ///
    /// # Errors
    /// [`Refused`](super::Refused) for a status other than 2xx and 404.
    pub async fn digest(
        &self,
        repository: &str,
        reference: &str,
    ) -> anyhow::Result<Option<Digest>> {
        let path = format!("manifests/{reference}");
        let response = self
            .send(self.pull(Method::HEAD, repository, &path))
            .await?;
        if response.status() == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        let response = success(response, &self.host).await?;
        let digest = header(response.headers(), "docker-content-digest");
        Ok(digest.and_then(|digest| digest.parse().ok()))
    }

    async fn read_manifest(
        &self,
        repository: &str,
        reference: &str,
    ) -> anyhow::Result<Option<RawManifest>> {
        // A tag has no colon.
        let expected = if reference.contains(':') {
            Some(reference.parse::<Digest>()?)
        } else {
            None
        };
        let path = format!("manifests/{reference}");
        let response = self.send(self.pull(Method::GET, repository, &path)).await?;
        if response.status() == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        let response = success(response, &self.host).await?;
        let media_type = header(response.headers(), CONTENT_TYPE.as_str()).unwrap_or_default();
        // A header is not evidence: it can only contradict the content.
        let reported = header(response.headers(), "docker-content-digest");
        let reported = reported.and_then(|digest| digest.parse::<Digest>().ok());
        let bytes = response.bytes(MANIFEST_LIMIT).await?;
        let digest = Digest::sha256(&bytes);
        for expected in [expected, reported].iter().flatten() {
            check_digest(&self.host, expected, &digest)?;
        }
        Ok(Some(RawManifest {
            digest,
            media_type,
            bytes,
        }))
    }

    /// Point `tag` of `repository` to `manifest`, which the repository already has.
    ///
    /// # Errors
    /// [`Refused`](super::Refused) for a status other than 2xx.
    pub async fn tag(
        &self,
        repository: &str,
        tag: &str,
        manifest: &RawManifest,
    ) -> anyhow::Result<()> {
        self.put_manifest(repository, tag, manifest).await.map(drop)
    }

    /// Push `manifest`, whose blobs `repository` already has, under the tag `reference`, or under its digest only.
    ///
    /// An artifact is also added to its subject's list of referrers where the registry does not keep that list.
    ///
    /// # Errors
    /// [`Refused`](super::Refused) for a status other than 2xx.
    pub async fn push_manifest(
        &self,
        repository: &str,
        manifest: &Manifest,
        reference: Option<&str>,
    ) -> anyhow::Result<Digest> {
        let raw = RawManifest::new(&manifest.media_type, manifest.bytes()?);
        let reference = reference.unwrap_or(raw.digest.as_str());
        self.push_raw(repository, &raw, reference).await?;
        Ok(raw.digest)
    }

    /// Push `raw` as it is, under `reference`.
    pub(super) async fn push_raw(
        &self,
        repository: &str,
        raw: &RawManifest,
        reference: &str,
    ) -> anyhow::Result<()> {
        let response = self.put_manifest(repository, reference, raw).await?;
        if response.headers().contains_key("oci-subject") {
            return Ok(());
        }
        let manifest = serde_json::from_slice::<Manifest>(&raw.bytes).ok();
        if let Some(manifest) = manifest
            && let Some(subject) = &manifest.subject
        {
            self.add_referrer(repository, subject, &manifest, raw)
                .await?;
        }
        Ok(())
    }

    async fn put_manifest(
        &self,
        repository: &str,
        reference: &str,
        manifest: &RawManifest,
    ) -> anyhow::Result<Response> {
        let what = format!("failed to tag `{}/{repository}:{reference}`", self.host);
        let path = format!("manifests/{reference}");
        let mut request = self.push(Method::PUT, repository, &path);
        request.body = Some(manifest);
        let response = self.send(request).await.context(what.clone())?;
        success(response, &self.host).await.context(what)
    }

    // The tag `sha256-<digest>` of the distribution specification, for registries without the referrers API.
    async fn add_referrer(
        &self,
        repository: &str,
        subject: &Descriptor,
        manifest: &Manifest,
        raw: &RawManifest,
    ) -> anyhow::Result<()> {
        let tag = subject.digest.replace(':', "-");
        let existing = self.manifest(repository, &tag).await?;
        let existing = existing.and_then(|raw| serde_json::from_slice::<Index>(&raw.bytes).ok());
        let mut index = existing.unwrap_or(Index {
            schema_version: 2,
            media_type: INDEX.to_owned(),
            manifests: Vec::new(),
            annotations: BTreeMap::new(),
        });
        let mut entry = Descriptor::new(&raw.media_type, &raw.digest, raw.bytes.len() as u64);
        // Without a type of its own, an artifact has that of its configuration.
        let own = manifest.artifact_type.clone();
        entry.artifact_type = own.or_else(|| Some(manifest.config.media_type.clone()));
        entry.annotations.clone_from(&manifest.annotations);
        index.manifests.retain(|other| other.digest != entry.digest);
        index.manifests.push(entry);
        let bytes = serde_json::to_vec(&index)?;
        let list = RawManifest::new(INDEX, bytes);
        self.put_manifest(repository, &tag, &list).await.map(drop)
    }
}
