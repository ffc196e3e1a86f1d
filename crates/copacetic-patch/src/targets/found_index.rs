//! An image index where it is: images for several platforms under one name.

use std::sync::Arc;

use anyhow::Context as _;
use oci::{ImageRef, Index, Platform, RawManifest, Registry};

use super::found_image::{Found, FoundImage, Unpatchable, check_platform, includes};
use crate::lineage;
use crate::session::Session;

/// The most images of one index.
const IMAGES: usize = 32;

/// An index whose images are patched together.
pub(crate) struct FoundIndex {
    pub(crate) registry: Arc<Registry>,
    pub(crate) manifest: RawManifest,
    /// Those to patch, in its order.
    pub(crate) images: Vec<FoundImage>,
    /// The name of the index that it is a patch of.
    pub(super) patch_of: Option<String>,
}

impl FoundIndex {
    /// The index `manifest`, or its image for this machine where only that one can be patched: in Docker.
    ///
    /// # Errors
    /// [`Unpatchable`] when it has no image for this machine, or none of the input `platforms`.
    pub(super) async fn read(
        session: &Session<'_>,
        registry: Arc<Registry>,
        image: &ImageRef,
        manifest: RawManifest,
        repository: String,
    ) -> anyhow::Result<Found> {
        let index: Index = serde_json::from_slice(&manifest.bytes)
            .map_err(|e| Unpatchable(format!("has an invalid image index: {e}")))?;
        if index.manifests.len() > IMAGES {
            let problem = format!("has an index of more than {IMAGES} entries");
            return Err(Unpatchable(problem).into());
        }
        let platforms = registry.platforms_of(image.repository(), &index).await?;
        let read = async |digest: &str, repository: String| {
            let found = registry.manifest(image.repository(), digest).await?;
            let found = found
                .with_context(|| format!("`{image}` lists `{digest}`, which does not exist"))?;
            FoundImage::in_registry(session, &registry, image, found, repository).await
        };
        let requested = &session.request.platforms.requested;
        let own = own(&platforms);
        if !session.request.pushes() {
            let own =
                own.ok_or_else(|| absent(&format!("linux/{}", oci::architecture()), &platforms))?;
            let mut found = read(own, repository).await?;
            check_platform(session, &found.info)?;
            found.platforms = platforms
                .iter()
                .filter(|(platform, _)| is_linux(platform))
                .count();
            return Ok(Found::Image(Box::new(found)));
        }
        let selected: Vec<_> = platforms
            .iter()
            .filter(|(platform, _)| is_linux(platform))
            .filter(|(platform, _)| requested.is_empty() || includes(requested, platform))
            .collect();
        if requested.is_empty() && own.is_none() {
            return Err(absent(&format!("linux/{}", oci::architecture()), &platforms).into());
        }
        for platform in requested {
            if !selected.iter().any(|(own, _)| platform.includes(own)) {
                return Err(absent(&platform.to_string(), &platforms).into());
            }
        }
        let mut images = Vec::new();
        for (platform, digest) in selected {
            let repository = format!("{repository}-{}", platform.to_string().replace('/', "-"));
            images.push(read(digest, repository).await?);
        }
        Ok(Found::Index(Self {
            patch_of: lineage::origin_name(&index.annotations).map(ToOwned::to_owned),
            registry,
            manifest,
            images,
        }))
    }
}

fn is_linux(platform: &Platform) -> bool {
    platform.os == "linux"
}

// The digest of the image for this machine.
fn own(platforms: &[(Platform, String)]) -> Option<&str> {
    let own = platforms
        .iter()
        .find(|(platform, _)| is_linux(platform) && platform.architecture == oci::architecture());
    own.map(|(_, digest)| digest.as_str())
}

fn absent(wanted: &str, platforms: &[(Platform, String)]) -> Unpatchable {
    let others: Vec<_> = platforms
        .iter()
        .map(|(platform, _)| platform.to_string())
        .collect();
    let others = if others.is_empty() {
        "no image at all".to_owned()
    } else {
        format!("only {}", others.join(", "))
    };
    Unpatchable(format!("has no image for {wanted}, {others}"))
}
