//! The patch of an index: each of its images is patched and verified for itself, and the index is pushed when all are.

use std::collections::BTreeMap;
use std::sync::Arc;

use actions_toolkit::{Log, WorkspacePath};
use anyhow::Context as _;
use oci::{RawManifest, Registry};

use crate::assessment::{Assessment, Verified};
use crate::publish::{self, Promoted, code_scanning, patched_index, referrer, tags, vex};
use crate::report::{self, ImageReport, IndexReport, PlatformReport};
use crate::request::Target;
use crate::session::Session;
use crate::targets::{FoundIndex, ImagePatch, Part, Source};

/// The patch of one index.
pub(crate) struct IndexPatch<'s, 'a> {
    pub(crate) session: &'s Session<'a>,
    pub(crate) log: Log,
    pub(crate) target: Target,
    /// The original.
    pub(crate) manifest: RawManifest,
    registry: Arc<Registry>,
    images: Vec<ImagePatch<'s, 'a>>,
    main: usize,
}

/// An image that stays as it was, and why.
struct Kept(anyhow::Error);

impl<'s, 'a> IndexPatch<'s, 'a> {
    /// The patch of the index that was found; its lines go to `log`.
    pub(crate) fn new(
        session: &'s Session<'a>,
        target: Target,
        number: Option<usize>,
        found: FoundIndex,
        log: Log,
    ) -> Self {
        let is_own = |architecture: &str| architecture == oci::architecture();
        let mut platforms = found.images.iter().map(|image| &image.platform);
        let main = platforms.position(|platform| is_own(&platform.architecture));
        let main = main.unwrap_or_default();
        let images = found.images.into_iter().enumerate();
        let images = images.map(|(index, image)| {
            let part = if index == main {
                Part::Main
            } else {
                Part::Other
            };
            let (target, log) = (target.clone(), log.clone());
            ImagePatch::new(session, target, number, image, Some(part), log)
        });
        Self {
            images: images.collect(),
            session,
            log,
            target,
            manifest: found.manifest,
            registry: found.registry,
            main,
        }
    }

    /// Its images.
    pub(crate) fn images(&self) -> &[ImagePatch<'s, 'a>] {
        &self.images
    }

    /// The file `path` of this index.
    pub(crate) fn file(&self, path: &WorkspacePath) -> WorkspacePath {
        self.images
            .get(self.main)
            .map_or_else(|| path.clone(), |image| image.file(path))
    }

    /// Patch every image, and push the index: all of it, or nothing.
    ///
    /// # Errors
    /// When an image can't be patched and verified, unless those that can't be may stay as they were.
    pub(crate) async fn run(&self) -> anyhow::Result<ImageReport> {
        let outcome = self.patch().await;
        for image in &self.images {
            image.clean_up(outcome.is_ok()).await;
        }
        outcome
    }

    async fn patch(&self) -> anyhow::Result<ImageReport> {
        let mut assessed = Vec::new();
        for image in &self.images {
            self.log.info(format!("{}:", image.platform));
            let assessment = self.or_kept(image, Assessment::of(image).await)?;
            assessed.push(assessment);
        }
        // Before the first one is patched.
        for (image, assessment) in self.images.iter().zip(&mut assessed) {
            if let (Ok(Assessment::Fixable(_)), Some(platform)) =
                (&*assessment, image.foreign_platform())
            {
                let emulated = self.session.check_emulation(platform).await;
                if let Err(kept) = self.or_kept(image, emulated)? {
                    *assessment = Err(kept);
                }
            }
        }
        let mut verified = Vec::new();
        for (image, assessment) in self.images.iter().zip(assessed) {
            verified.push(match assessment {
                Ok(assessment) => {
                    if matches!(assessment, Assessment::Fixable(_)) {
                        self.log.info(format!("{}:", image.platform));
                    }
                    self.verified(image, assessment).await?
                }
                Err(kept) => Err(kept),
            });
        }
        self.finish(verified).await
    }

    async fn verified(
        &self,
        image: &ImagePatch<'_, '_>,
        assessment: Assessment,
    ) -> anyhow::Result<Result<Verified, Kept>> {
        let verified = async {
            let mut verified = Box::pin(assessment.patched(image)).await?;
            if let Verified::Patched(attempt) = &mut verified {
                attempt.passes_smoke_test(image)?;
            }
            Ok(verified)
        };
        self.or_kept(image, verified.await)
    }

    // An image that can't be patched stays as it was, if the inputs allow that.
    fn or_kept<T>(
        &self,
        image: &ImagePatch<'_, '_>,
        result: anyhow::Result<T>,
    ) -> anyhow::Result<Result<T, Kept>> {
        let platform = &image.platform;
        match result {
            Ok(value) => Ok(Ok(value)),
            Err(error) if self.session.request.platforms.may_be_partial => {
                self.log
                    .warning(format!("{platform} stays as it was: {error:#}"));
                Ok(Err(Kept(error)))
            }
            Err(error) => Err(error.context(platform.to_string())),
        }
    }

    async fn finish(&self, verified: Vec<Result<Verified, Kept>>) -> anyhow::Result<ImageReport> {
        let is_up_to_date = |one: &Result<Verified, Kept>| matches!(one, Ok(Verified::UpToDate(_)));
        // Nothing is a success if nothing could be done.
        let mut verified = verified;
        if verified
            .iter()
            .all(|one| one.is_err() || is_up_to_date(one))
            && let Some(index) = verified.iter().position(Result::is_err)
            && let Err(Kept(error)) = verified.swap_remove(index)
        {
            return Err(error.context("no platform could be patched"));
        }
        let patched = &self.target.patched;
        let registry = self.session.destination(patched).await?;
        let existing = registry.manifest(patched.repository(), patched.reference());
        let existing = existing.await?;
        if verified.iter().all(is_up_to_date) {
            let followed = publish::follow_index(self, &self.registry, existing).await?;
            let image = match &followed {
                Some(_) => patched,
                None => &self.target.image,
            };
            return IndexReport {
                image,
                digest: self.manifest.digest.to_string(),
                patched_tag: patched.tag().filter(|_| followed.is_some()),
                incremental: followed.and_then(|followed| followed.incremental),
                vex: None,
                left_behind: None,
                platforms: self.reports(verified, &BTreeMap::new()).await?,
            }
            .finish(self);
        }
        let manifests = self.manifests(&verified, &registry).await?;
        let index = patched_index::compose(&self.manifest, &self.target, &manifests)?;
        let is_current = existing.as_ref().is_some_and(|existing| {
            oci::is_index(&existing.media_type)
                && patched_index::digests(existing) == patched_index::digests(&index)
        });
        let mut left_behind = None;
        let (digest, incremental, document) =
            if let Some(existing) = existing.filter(|_| is_current) {
                (existing.digest, None, None)
            } else {
                let document = self.document(&verified, &manifests, &index);
                if self.target.is_moved() {
                    self.copy_others(&registry, &index, &manifests).await?;
                    left_behind = self.left_behind(&index, &manifests).await;
                }
                let push = self.push(&registry, &verified, &manifests, &index, &document);
                (index.digest.clone(), Some(push.await?), Some(document))
            };
        IndexReport {
            image: patched,
            digest: digest.to_string(),
            patched_tag: patched.tag(),
            incremental,
            vex: document,
            left_behind,
            platforms: self.reports(verified, &manifests).await?,
        }
        .finish(self)
    }

    // What takes the place of each original that was patched, now or earlier, pushed without a tag.
    async fn manifests(
        &self,
        verified: &[Result<Verified, Kept>],
        registry: &Registry,
    ) -> anyhow::Result<BTreeMap<String, RawManifest>> {
        let repository = self.target.patched.repository();
        let mut manifests = BTreeMap::new();
        for (image, verified) in self.images.iter().zip(verified) {
            let manifest = match verified {
                Ok(Verified::Patched(attempt)) => {
                    let pushed = publish::push_content(image, &attempt.patched_image, registry);
                    pushed.await?.manifest
                }
                Ok(Verified::Current(current)) => {
                    let digest = &current.existing.digest;
                    let manifest = registry.manifest(repository, digest).await?;
                    manifest.with_context(|| format!("`{repository}@{digest}` is gone"))?
                }
                Ok(Verified::UpToDate(_)) | Err(_) => continue,
            };
            manifests.insert(image.origin().to_owned(), manifest);
        }
        Ok(manifests)
    }

    // One document for the index and all of its images that were patched now.
    fn document(
        &self,
        verified: &[Result<Verified, Kept>],
        manifests: &BTreeMap<String, RawManifest>,
        index: &RawManifest,
    ) -> serde_json::Value {
        let fixed = self.images.iter().zip(verified).filter_map(|(image, one)| {
            let Ok(Verified::Patched(attempt)) = one else {
                return None;
            };
            let own = manifests.get(image.origin())?;
            Some(vex::Fixed {
                comparison: &attempt.verification.comparison,
                digests: vec![index.digest.as_str(), own.digest.as_str()],
            })
        });
        let (patched, now) = (&self.target.patched, publish::now());
        let fixed: Vec<_> = fixed.collect();
        vex::document(patched, index.digest.as_str(), &fixed, &now)
    }

    // What `index` lists besides the patches, and what refers to that.
    async fn copy_others(
        &self,
        registry: &Registry,
        index: &RawManifest,
        manifests: &BTreeMap<String, RawManifest>,
    ) -> anyhow::Result<()> {
        let (from, to) = (
            self.target.image.repository(),
            self.target.patched.repository(),
        );
        let is_patch =
            |digest: &String| manifests.values().any(|own| own.digest.as_str() == *digest);
        for digest in patched_index::digests(index) {
            if is_patch(&digest) {
                continue;
            }
            let other = self.registry.manifest(from, &digest).await?;
            let other = other.with_context(|| {
                format!(
                    "`{}` lists `{digest}`, which does not exist",
                    self.target.image
                )
            })?;
            registry
                .copy_from(&self.registry, from, to, &other, None)
                .await?;
        }
        Ok(())
    }

    async fn left_behind(
        &self,
        index: &RawManifest,
        manifests: &BTreeMap<String, RawManifest>,
    ) -> Option<String> {
        let patched = self.images.iter().filter_map(|image| match &image.source {
            Source::Registry { manifest, .. } if manifests.contains_key(image.origin()) => {
                Some(&manifest.digest)
            }
            _ => None,
        });
        let digests = [&self.manifest.digest].into_iter().chain(patched);
        let (before, after) = (
            patched_index::digests(&self.manifest).len(),
            patched_index::digests(index).len(),
        );
        let attestations = before.saturating_sub(after);
        let image = &self.target.image;
        publish::left_behind(&self.log, &self.registry, image, digests, attestations).await
    }

    // The index without a tag, what is attached, and last the tags.
    async fn push(
        &self,
        registry: &Registry,
        verified: &[Result<Verified, Kept>],
        manifests: &BTreeMap<String, RawManifest>,
        index: &RawManifest,
        document: &serde_json::Value,
    ) -> anyhow::Result<String> {
        let patched = &self.target.patched;
        let digest = index.digest.as_str();
        registry.tag(patched.repository(), digest, index).await?;
        let request = &self.session.request;
        let mut comparisons = Vec::new();
        for (image, one) in self.images.iter().zip(verified) {
            let (Ok(Verified::Patched(attempt)), Some(own)) = (one, manifests.get(image.origin()))
            else {
                continue;
            };
            if request.attached.vex {
                referrer::attach_vex(image, registry, own, document).await?;
            }
            if request.attached.sbom {
                let scanned = &attempt.verification.after;
                referrer::attach_sbom(image, registry, own, scanned).await?;
            }
            let comparison = &attempt.verification.comparison;
            if request.attached.provenance {
                let origin = image.origin();
                referrer::attach_provenance(image, registry, own, origin, &[comparison]).await?;
            }
            comparisons.push(comparison);
        }
        if let (true, Some(image)) = (request.attached.vex, self.images.get(self.main)) {
            referrer::attach_vex(image, registry, index, document).await?;
        }
        if let (true, Some(image)) = (request.attached.provenance, self.images.get(self.main)) {
            let origin = self.manifest.digest.as_str();
            referrer::attach_provenance(image, registry, index, origin, &comparisons).await?;
        }
        tags::set(&self.log, registry, patched, index, None).await
    }

    async fn reports(
        &self,
        verified: Vec<Result<Verified, Kept>>,
        manifests: &BTreeMap<String, RawManifest>,
    ) -> anyhow::Result<Vec<PlatformReport>> {
        let mut reports = Vec::new();
        for (image, verified) in self.images.iter().zip(verified) {
            let outcome = match verified {
                Ok(Verified::Patched(attempt)) => {
                    let promoted = Promoted {
                        digest: manifests
                            .get(image.origin())
                            .map_or_else(String::new, |manifest| manifest.digest.to_string()),
                        incremental: None,
                        vex: None,
                        left_behind: None,
                    };
                    code_scanning::upload(image, &attempt.verification.after.report).await;
                    Ok(report::patched(image, &attempt, &promoted)?)
                }
                Ok(Verified::Current(current)) => {
                    code_scanning::upload(image, &current.existing.scanned.report).await;
                    Ok(report::still_current(image, &current)?)
                }
                Ok(Verified::UpToDate(baseline)) => Ok(report::up_to_date(image, &baseline, None)?),
                Err(Kept(error)) => Err(format!("{error:#}")),
            };
            reports.push(PlatformReport {
                platform: image.platform.clone(),
                outcome,
            });
        }
        Ok(reports)
    }
}
