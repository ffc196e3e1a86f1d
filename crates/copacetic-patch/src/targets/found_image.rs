//! An image where it is, in Docker or in its registry, before anything is done with it.

use std::sync::Arc;

use actions_toolkit::BadInput;
use anyhow::Context as _;
use docker::ImageInfo;
use oci::{Digest, ImageRef, Manifest, Platform, RawManifest, Registry};
use serde_json::Value;

use super::FoundIndex;
use crate::lineage;
use crate::request::{BuildKitSource, Inputs};
use crate::session::Session;

/// An image, and where it is.
pub(crate) struct FoundImage {
    pub(crate) info: ImageInfo,
    pub(crate) platform: Platform,
    pub(crate) source: Source,
    /// Its repository in the local registry.
    pub(crate) repository: String,
    /// Its name in the local registry, if it has one yet.
    pub(crate) served: Option<ImageRef>,
    /// The name of the image that it is a patch of.
    pub(crate) patch_of: Option<String>,
    /// Platforms of its index, of which only this one is patched; 1 if it has none.
    pub(crate) platforms: usize,
}

/// What a name refers to.
pub(crate) enum Found {
    Image(Box<FoundImage>),
    /// Images for several platforms, which are patched together.
    Index(FoundIndex),
}

/// What is looked for.
pub(super) struct Lookup<'a> {
    pub(super) image: &'a ImageRef,
    /// Whether its registry listed it.
    pub(super) is_listed: bool,
    /// Whether the patch of an earlier run may have its name.
    pub(super) in_place: bool,
}

/// Where an image comes from.
pub(crate) enum Source {
    Docker,
    Registry {
        registry: Arc<Registry>,
        manifest: RawManifest,
    },
}

/// Why an image can't be patched, ever: it is skipped in a registry, and a wrong input where it is named.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Unpatchable(pub(super) String);

impl Found {
    /// Find an image, which is the repository `repository` of the local registry.
    ///
    /// # Errors
    /// [`Unpatchable`] when it is not an image, or not for this machine; [`BadInput`] when it does not exist.
    pub(super) async fn find(
        session: &Session<'_>,
        lookup: Lookup<'_>,
        repository: String,
    ) -> anyhow::Result<Self> {
        let (request, image) = (&session.request, lookup.image);
        let is_mirror = request.naming.destination.is_some();
        let from_docker = |info| {
            if is_mirror {
                let log = session.ctx.log();
                log.info(format!("{image} is taken from Docker"));
            }
            let found = FoundImage::in_docker(session, info, repository.clone());
            found.map(|found| Self::Image(Box::new(found)))
        };
        let may_be_local = !lookup.is_listed && !request.is_remote;
        // What a runner has in Docker under a public name may be old: a mirror is of the registry.
        let is_local_first = may_be_local && !(is_mirror && image.registry().is_some());
        if is_local_first && let Some(info) = session.docker.inspect(image).await? {
            return from_docker(info);
        }
        let absent = |owner: &str, hint: &str| {
            let problem = format!("{owner} has no image `{image}`; {hint}");
            BadInput::new(Inputs::image, problem)
        };
        let host = match image.registry() {
            Some(host) => host,
            None if is_mirror => image.in_registry().0,
            None => return Err(absent("Docker", "build or pull it in an earlier step").into()),
        };
        let registry = session.registry(host).await?;
        let manifest = registry.manifest(image.repository(), image.reference());
        let Some(manifest) = manifest.await? else {
            let in_docker = session.docker.inspect(image).await?;
            let hint = match (in_docker, request.pushes()) {
                (Some(info), _) if may_be_local && is_mirror => return from_docker(info),
                (Some(_), _) => {
                    "Docker has it: push it in an earlier step, or set `push: false` to patch it in Docker"
                }
                (None, true) => "push it in an earlier step, or correct its name",
                (None, false) => "build or pull it in an earlier step",
            };
            return Err(absent(&format!("`{host}`"), hint).into());
        };
        // A tag that never moves is not replaced by a patch.
        let is_number = |origin: String| lineage::is_number_of(image, &origin);
        let origin = lineage::origin_name_of(&manifest).filter(|_| lookup.is_listed);
        let is_fixed = origin.is_some_and(is_number);
        let manifest = if lookup.in_place && !is_fixed {
            original_of(&registry, image, manifest).await?
        } else {
            manifest
        };
        if oci::is_index(&manifest.media_type) {
            return FoundIndex::read(session, registry, image, manifest, repository).await;
        }
        let found = FoundImage::in_registry(session, &registry, image, manifest, repository);
        let found = found.await?;
        let requested = &session.request.platforms.requested;
        if requested.is_empty() {
            check_platform(session, &found.info)?;
        } else if !includes(requested, &found.platform) {
            let platform = &found.platform;
            return Err(Unpatchable(format!(
                "is for {platform}, which `platforms` does not have"
            ))
            .into());
        }
        Ok(Self::Image(Box::new(found)))
    }

    /// The digest of its manifest, or its id in Docker.
    pub(crate) fn digest(&self) -> &str {
        match self {
            Self::Image(found) => match &found.source {
                Source::Docker => &found.info.id,
                Source::Registry { manifest, .. } => manifest.digest.as_str(),
            },
            Self::Index(found) => found.manifest.digest.as_str(),
        }
    }

    /// Bytes of its layers, compressed; 0 in Docker.
    pub(crate) fn bytes(&self) -> u64 {
        match self {
            Self::Image(found) => found.bytes(),
            Self::Index(found) => {
                let images = found.images.iter().map(FoundImage::bytes);
                images.fold(0, u64::saturating_add)
            }
        }
    }

    /// When it was made, RFC 3339; an index is as old as its first image.
    pub(crate) fn created(&self) -> &str {
        match self {
            Self::Image(found) => &found.info.created,
            Self::Index(found) => found.images.first().map_or("", |image| &image.info.created),
        }
    }

    /// The name of the image that it is a patch of.
    pub(crate) fn patch_of(&self) -> Option<&str> {
        match self {
            Self::Image(found) => found.patch_of.as_deref(),
            Self::Index(found) => found.patch_of.as_deref(),
        }
    }
}

impl FoundImage {
    fn bytes(&self) -> u64 {
        let Source::Registry { manifest, .. } = &self.source else {
            return 0;
        };
        let manifest = serde_json::from_slice::<Manifest>(&manifest.bytes);
        manifest.map_or(0, |manifest| manifest.layer_bytes())
    }

    fn in_docker(
        session: &Session<'_>,
        info: ImageInfo,
        repository: String,
    ) -> anyhow::Result<Self> {
        check_platform(session, &info)?;
        Ok(Self {
            platform: Platform {
                os: info.os.clone(),
                architecture: info.architecture.clone(),
                variant: None,
            },
            info,
            source: Source::Docker,
            repository,
            served: None,
            patch_of: None,
            platforms: 1,
        })
    }

    /// The image of `manifest`, which `registry` has in the repository of `image`.
    ///
    /// # Errors
    /// [`Unpatchable`] when it is not an image.
    pub(super) async fn in_registry(
        session: &Session<'_>,
        registry: &Arc<Registry>,
        image: &ImageRef,
        manifest: RawManifest,
        repository: String,
    ) -> anyhow::Result<Self> {
        let patch_of = check_manifest(&manifest)?;
        let local = &session.local;
        let served = local.add_remote(registry, image, &manifest, &repository)?;
        let stored = local.image(&served).await?;
        let stored = stored.context("the image is missing from the local registry")?;
        let config: Value = serde_json::from_slice(&stored.config).unwrap_or_default();
        let platform = Platform {
            os: stored.info.os.clone(),
            architecture: stored.info.architecture.clone(),
            variant: config["variant"].as_str().map(ToOwned::to_owned),
        };
        Ok(Self {
            platform: platform.normalized(),
            info: stored.info,
            source: Source::Registry {
                registry: Arc::clone(registry),
                manifest,
            },
            repository,
            served: Some(served),
            patch_of,
            platforms: 1,
        })
    }
}

/// Whether one of the `platforms` is that of an image for `platform`.
pub(super) fn includes(platforms: &[Platform], platform: &Platform) -> bool {
    platforms.iter().any(|own| own.includes(platform))
}

// The image that `manifest`, a patch under the name `image`, was made from, as long as the registry has it: a patch of a patch
// would have one more layer each time.
async fn original_of(
    registry: &Registry,
    image: &ImageRef,
    manifest: RawManifest,
) -> anyhow::Result<RawManifest> {
    let Some(digest) = lineage::origin_digest_of(&manifest) else {
        return Ok(manifest);
    };
    // It is part of a path.
    let Ok(digest) = digest.parse::<Digest>() else {
        return Ok(manifest);
    };
    let original = registry.manifest(image.repository(), digest.as_str());
    Ok(original.await?.unwrap_or(manifest))
}

// What the image is a patch of, if it is an image.
fn check_manifest(manifest: &RawManifest) -> Result<Option<String>, Unpatchable> {
    match registries::not_an_image(manifest) {
        Some(what) => Err(Unpatchable(format!("is not an image: {what}"))),
        None => Ok(lineage::origin_name_of(manifest)),
    }
}

// Copa patches what runs on the machine of BuildKit; where that is another machine, it decides by itself.
pub(super) fn check_platform(session: &Session<'_>, image: &ImageInfo) -> Result<(), Unpatchable> {
    let has = |own: &str, expected: &str| own.is_empty() || own == expected;
    let elsewhere = matches!(session.request.buildkit, BuildKitSource::Address(_));
    let architecture = oci::architecture();
    if has(&image.os, "linux") && (elsewhere || has(&image.architecture, architecture)) {
        return Ok(());
    }
    Err(Unpatchable(format!(
        "is for {}/{}, and this machine patches linux/{architecture}",
        image.os, image.architecture
    )))
}
