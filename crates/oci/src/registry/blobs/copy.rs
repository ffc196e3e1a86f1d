//! Copying an image from one registry or repository to another, unchanged: its digest stays, and so do an index and what refers
//! to the image (signatures, SBOM, attestations).

use std::collections::{BTreeMap, HashSet};
use std::sync::Mutex;
use std::sync::PoisonError;

use anyhow::{Context as _, bail, ensure};
use futures_util::stream::{StreamExt as _, TryStreamExt as _, iter};
use http_client::{Method, StatusCode};

use super::Content;
use crate::registry::response::success;
use crate::{Descriptor, Digest, Index, Manifest, RawManifest, Registry, is_index};

/// Blobs that are transferred at the same time.
const PARALLEL: usize = 4;
/// The most manifests of one image, with all platforms and what refers to them.
const MANIFESTS: usize = 1000;
/// The most bytes of a list of referrers.
const LIST_LIMIT: u64 = 4 * 1024 * 1024;
/// The ends of [`Digest::cosign_tag`].
const COSIGN: [&str; 3] = ["sig", "att", "sbom"];
/// Layers that are not in a registry, but at an address that they name.
const FOREIGN: [&str; 2] = ["foreign", "nondistributable"];

/// What was copied.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Copied {
    /// Manifests: of the image, its platforms, and what refers to them.
    pub manifests: usize,
    /// Of these, those that refer to another: signatures, SBOMs, attestations.
    pub referrers: usize,
    /// Blobs that the target had already.
    pub present: usize,
    /// Blobs that the registry took from the other repository, without a transfer.
    pub mounted: usize,
    /// Bytes of blobs that went through this machine.
    pub bytes: u64,
}

/// A copy from one repository to another.
struct Copy<'a> {
    source: &'a Registry,
    from: &'a str,
    target: &'a Registry,
    to: &'a str,
    copied: Mutex<Copied>,
    seen: HashSet<String>,
}

/// A manifest that is to be copied, or whose referrers are.
struct Pending {
    manifest: RawManifest,
    /// The tag by which it is found.
    tag: Option<String>,
    /// Whether the target has it already.
    is_present: bool,
}

impl Registry {
    /// Copy `manifest`, which `source` has in its repository `from`, with everything that belongs to it, to the repository `to`
    /// here, under the tag `tag` if there is one. Blobs are mounted where both are one registry, and streamed elsewhere.
    ///
    /// # Errors
    /// When either registry rejects a request, or something is missing in `source`.
    pub async fn copy_from(
        &self,
        source: &Self,
        from: &str,
        to: &str,
        manifest: &RawManifest,
        tag: Option<&str>,
    ) -> anyhow::Result<Copied> {
        let pending = Pending {
            manifest: manifest.clone(),
            tag: tag.map(ToOwned::to_owned),
            is_present: false,
        };
        self.copy_pending(source, from, to, pending).await
    }

    /// Copy what refers to `manifest`, which both `source` has in its repository `from` and this registry in `to`, as far as it is
    /// missing here: a signature may come later than what it is about.
    ///
    /// # Errors
    /// When either registry rejects a request, or something is missing in `source`.
    pub async fn copy_referrers_from(
        &self,
        source: &Self,
        from: &str,
        to: &str,
        manifest: &RawManifest,
    ) -> anyhow::Result<Copied> {
        let pending = Pending {
            manifest: manifest.clone(),
            tag: None,
            is_present: true,
        };
        self.copy_pending(source, from, to, pending).await
    }

    async fn copy_pending(
        &self,
        source: &Self,
        from: &str,
        to: &str,
        pending: Pending,
    ) -> anyhow::Result<Copied> {
        let mut copy = Copy::new((source, from), (self, to));
        let what = format!(
            "failed to copy `{}/{from}@{}` to `{}/{to}`",
            source.host, pending.manifest.digest, self.host
        );
        copy.all(pending).await.context(what)?;
        Ok(copy.copied())
    }

    /// Copy `blobs`, which `source` has in its repository `from`, to the repository `to` here: mounted where both are one registry,
    /// and streamed elsewhere.
    ///
    /// # Errors
    /// When either registry rejects a request.
    pub async fn copy_blobs_from(
        &self,
        source: &Self,
        from: &str,
        to: &str,
        blobs: &[Descriptor],
    ) -> anyhow::Result<Copied> {
        let copy = Copy::new((source, from), (self, to));
        copy.blobs(blobs).await.with_context(|| {
            format!(
                "failed to copy layers of `{}/{from}` to `{}/{to}`",
                source.host, self.host
            )
        })?;
        Ok(copy.copied())
    }

    /// The kinds of what is attached to `digest` in `repository`: the types of what refers to it, and what cosign attached by tags.
    ///
    /// # Errors
    /// When the registry rejects a request.
    pub async fn attached(&self, repository: &str, digest: &Digest) -> anyhow::Result<Vec<String>> {
        let referrers = self.referrers(repository, digest).await?;
        let kinds = referrers.into_iter().map(|entry| {
            let kind = entry.artifact_type.filter(|kind| !kind.is_empty());
            kind.unwrap_or(entry.media_type)
        });
        let mut kinds: Vec<_> = kinds.collect();
        for end in COSIGN {
            let tag = digest.cosign_tag(end);
            if self.manifest(repository, &tag).await?.is_some() {
                kinds.push(format!("cosign `.{end}`"));
            }
        }
        Ok(kinds)
    }

    /// What refers to `digest` in `repository`: by the API of the distribution specification 1.1, or by the tag that names
    /// it in registries without.
    ///
    /// # Errors
    /// When the registry rejects the request.
    pub async fn referrers(
        &self,
        repository: &str,
        digest: &Digest,
    ) -> anyhow::Result<Vec<Descriptor>> {
        let what = || {
            format!(
                "failed to list what refers to `{}/{repository}@{digest}`",
                self.host
            )
        };
        let request = self.pull(Method::GET, repository, &format!("referrers/{digest}"));
        let response = self.send(request).await.with_context(what)?;
        let list = match response.status() {
            // A registry may also respond with 400 or 405 to a path that it does not know.
            StatusCode::NOT_FOUND | StatusCode::BAD_REQUEST | StatusCode::METHOD_NOT_ALLOWED => {
                let manifest = self.manifest(repository, &digest.to_tag()).await?;
                manifest.map(|manifest| manifest.bytes)
            }
            _ => {
                let response = success(response, &self.host).await.with_context(what)?;
                Some(response.bytes(LIST_LIMIT).await.with_context(what)?)
            }
        };
        let Some(list) = list else {
            return Ok(Vec::new());
        };
        let index: Index = serde_json::from_slice(&list).with_context(what)?;
        Ok(index.manifests)
    }
}

impl<'a> Copy<'a> {
    fn new((source, from): (&'a Registry, &'a str), (target, to): (&'a Registry, &'a str)) -> Self {
        Self {
            source,
            from,
            target,
            to,
            copied: Mutex::default(),
            seen: HashSet::new(),
        }
    }

    fn copied(self) -> Copied {
        let copied = self.copied.into_inner();
        copied.unwrap_or_else(PoisonError::into_inner)
    }

    // In the order in which a registry accepts them: what a manifest lists comes before it, and its referrers come after it.
    async fn all(&mut self, root: Pending) -> anyhow::Result<()> {
        let is_update = root.is_present;
        let mut pending = vec![root];
        while let Some(next) = pending.pop() {
            let manifest = &next.manifest;
            let mut family = Vec::new();
            if is_index(&manifest.media_type) {
                let index: Index = serde_json::from_slice(&manifest.bytes)
                    .with_context(|| format!("the index {} is invalid", manifest.digest))?;
                for entry in &index.manifests {
                    if self.seen.contains(&entry.digest) {
                        continue;
                    }
                    family.push(self.child(&next, entry).await?);
                }
            }
            if next.is_present {
                self.see(&manifest.digest)?;
            } else {
                self.one(manifest, next.tag.as_deref()).await?;
            }
            family.push(manifest.digest.clone());
            for digest in family {
                for referrer in self.referring(&digest, is_update).await? {
                    let is_new = !self.seen.contains(referrer.manifest.digest.as_str());
                    if !is_new && (referrer.is_present || referrer.tag.is_none()) {
                        continue;
                    }
                    if !referrer.is_present {
                        self.count(|copied| copied.referrers += 1);
                    }
                    pending.push(referrer);
                }
            }
        }
        Ok(())
    }

    // What an index lists: copied with it.
    async fn child(&mut self, index: &Pending, entry: &Descriptor) -> anyhow::Result<Digest> {
        if index.is_present {
            let digest = entry.digest.parse()?;
            self.see(&digest)?;
            return Ok(digest);
        }
        let child = self.read(&entry.digest).await?;
        ensure!(
            !is_index(&child.media_type),
            "the index {} has another index in it, which is not supported",
            index.manifest.digest
        );
        self.one(&child, None).await?;
        Ok(child.digest)
    }

    // Whether it is seen for the first time.
    fn see(&mut self, digest: &Digest) -> anyhow::Result<bool> {
        let is_new = self.seen.insert(digest.to_string());
        if self.seen.len() > MANIFESTS {
            bail!("the image has more than {MANIFESTS} manifests");
        }
        Ok(is_new)
    }

    fn count(&self, change: impl FnOnce(&mut Copied)) {
        change(&mut self.copied.lock().unwrap_or_else(PoisonError::into_inner));
    }

    async fn read(&self, digest: &str) -> anyhow::Result<RawManifest> {
        let manifest = self.source.manifest(self.from, digest).await?;
        manifest.with_context(|| {
            format!(
                "`{}/{}` does not have {digest}",
                self.source.host, self.from
            )
        })
    }

    // What refers to `digest`, with the tag of those that are found by one. Where it `is_update`, the target may have some.
    async fn referring(&self, digest: &Digest, is_update: bool) -> anyhow::Result<Vec<Pending>> {
        let present = if is_update {
            self.target.referrers(self.to, digest).await?
        } else {
            Vec::new()
        };
        let mut found = BTreeMap::new();
        for entry in self.source.referrers(self.from, digest).await? {
            let pending = Pending {
                manifest: self.read(&entry.digest).await?,
                tag: None,
                is_present: present.iter().any(|own| own.digest == entry.digest),
            };
            found.insert(entry.digest, pending);
        }
        for end in COSIGN {
            let tag = digest.cosign_tag(end);
            if let Some(manifest) = self.source.manifest(self.from, &tag).await? {
                let own = if is_update {
                    self.target.digest(self.to, &tag).await?
                } else {
                    None
                };
                let pending = Pending {
                    is_present: own.as_ref() == Some(&manifest.digest),
                    manifest,
                    tag: Some(tag.clone()),
                };
                found.insert(tag, pending);
            }
        }
        Ok(found.into_values().collect())
    }

    async fn one(&mut self, manifest: &RawManifest, tag: Option<&str>) -> anyhow::Result<()> {
        let is_new = self.see(&manifest.digest)?;
        if is_new && !is_index(&manifest.media_type) {
            let parsed: Manifest = serde_json::from_slice(&manifest.bytes)
                .with_context(|| format!("the manifest {} is invalid", manifest.digest))?;
            let blobs = std::iter::once(parsed.config).chain(parsed.layers);
            self.blobs(&blobs.collect::<Vec<_>>()).await?;
        }
        let reference = tag.unwrap_or(manifest.digest.as_str());
        self.target.push_raw(self.to, manifest, reference).await?;
        if is_new {
            self.count(|copied| copied.manifests += 1);
        }
        Ok(())
    }

    async fn blobs(&self, blobs: &[Descriptor]) -> anyhow::Result<()> {
        let is_foreign = |blob: &&Descriptor| {
            FOREIGN
                .iter()
                .any(|foreign| blob.media_type.contains(foreign))
        };
        let blobs: BTreeMap<_, _> = blobs
            .iter()
            .filter(|blob| !is_foreign(blob))
            .map(|blob| (&blob.digest, blob))
            .collect();
        let transfers = iter(blobs.values().map(|blob| self.blob(blob)));
        transfers
            .buffer_unordered(PARALLEL)
            .try_collect::<Vec<()>>()
            .await?;
        Ok(())
    }

    async fn blob(&self, blob: &Descriptor) -> anyhow::Result<()> {
        // It is part of a path.
        let digest: Digest = blob.digest.parse()?;
        if self.target.has_blob(self.to, digest.as_str()).await? {
            self.count(|copied| copied.present += 1);
            return Ok(());
        }
        if self.source.host == self.target.host && self.mount(&digest).await {
            self.count(|copied| copied.mounted += 1);
            return Ok(());
        }
        let content = Content::Blob {
            source: self.source,
            repository: self.from,
            size: blob.size,
        };
        self.target
            .push_content(self.to, digest.as_str(), content)
            .await?;
        self.count(|copied| copied.bytes += blob.size);
        Ok(())
    }

    // Whether the registry took the blob from the other repository. One that does not, or that requires more rights for it, opens
    // an upload or rejects the request, and its token service may not know two scopes: then the blob is streamed.
    async fn mount(&self, digest: &Digest) -> bool {
        let (from, to) = (self.from, self.to);
        let from = self.source.pull(Method::GET, from, "");
        let name = from.path.trim_end_matches('/');
        let path = format!("blobs/uploads/?mount={digest}&from={name}");
        let mut request = self.target.push(Method::POST, to, &path);
        request.scope = format!("{} {}", request.scope, from.scope);
        let response = self.target.send(request).await;
        response.is_ok_and(|response| response.status() == StatusCode::CREATED)
    }
}
