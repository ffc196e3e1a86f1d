//! An image index where it is: images for several platforms under one name.

use std::sync::Arc;

use anyhow::Context as _;
use oci::{Descriptor, ImageRef, Index, Platform, RawManifest, Registry};

use super::found_image::{
    Found, FoundImage, Unpatchable, architecture, check_manifest, check_platform, includes,
};
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
        let platforms = platforms(&registry, image, &index).await?;
        let read = async |entry: &Descriptor, repository: String| {
            let digest = &entry.digest;
            let found = registry.manifest(image.repository(), digest).await?;
            let found = found
                .with_context(|| format!("`{image}` lists `{digest}`, which does not exist"))?;
            FoundImage::in_registry(session, &registry, image, found, repository).await
        };
        let requested = &session.request.platforms.requested;
        let own = own(&platforms);
        if !session.request.push {
            let own =
                own.ok_or_else(|| absent(&format!("linux/{}", architecture()), &platforms))?;
            let mut found = read(own, repository).await?;
            check_platform(session, &found.info)?;
            found.platforms = platforms
                .iter()
                .filter(|(_, platform)| is_linux(platform))
                .count();
            return Ok(Found::Image(Box::new(found)));
        }
        let selected: Vec<_> = platforms
            .iter()
            .filter(|(_, platform)| is_linux(platform))
            .filter(|(_, platform)| requested.is_empty() || includes(requested, platform))
            .collect();
        if requested.is_empty() && own.is_none() {
            return Err(absent(&format!("linux/{}", architecture()), &platforms).into());
        }
        for platform in requested {
            if !selected.iter().any(|(_, own)| platform.includes(own)) {
                return Err(absent(&platform.to_string(), &platforms).into());
            }
        }
        let mut images = Vec::new();
        for (entry, platform) in selected {
            let repository = format!("{repository}-{}", platform.to_string().replace('/', "-"));
            images.push(read(entry, repository).await?);
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

// The entry for this machine.
fn own<'i>(platforms: &[(&'i Descriptor, Platform)]) -> Option<&'i Descriptor> {
    let own = platforms
        .iter()
        .find(|(_, platform)| is_linux(platform) && platform.architecture == architecture());
    own.map(|(entry, _)| *entry)
}

fn absent(wanted: &str, platforms: &[(&Descriptor, Platform)]) -> Unpatchable {
    let others: Vec<_> = platforms
        .iter()
        .map(|(_, platform)| platform.to_string())
        .collect();
    let others = if others.is_empty() {
        "no image at all".to_owned()
    } else {
        format!("only {}", others.join(", "))
    };
    Unpatchable(format!("has no image for {wanted}, {others}"))
}

// The entries that are images. Attestations are entries of the index as well, of the platform `unknown`.
async fn platforms<'i>(
    registry: &Registry,
    image: &ImageRef,
    index: &'i Index,
) -> anyhow::Result<Vec<(&'i Descriptor, Platform)>> {
    let mut platforms = Vec::new();
    for entry in &index.manifests {
        let platform = match &entry.platform {
            Some(platform) => platform.normalized(),
            None => platform_of(registry, image, entry).await?,
        };
        if platform.os != "unknown" {
            platforms.push((entry, platform));
        }
    }
    Ok(platforms)
}

// The platform of an entry that does not name it, as its configuration has it.
async fn platform_of(
    registry: &Registry,
    image: &ImageRef,
    entry: &Descriptor,
) -> anyhow::Result<Platform> {
    let unknown = || Platform {
        os: "unknown".to_owned(),
        architecture: "unknown".to_owned(),
        variant: None,
    };
    let repository = image.repository();
    let manifest = registry.manifest(repository, &entry.digest).await?;
    let manifest = manifest.filter(|manifest| check_manifest(manifest).is_ok());
    let manifest = manifest.map(|raw| serde_json::from_slice::<oci::Manifest>(&raw.bytes));
    let Some(Ok(manifest)) = manifest else {
        return Ok(unknown());
    };
    let config = registry.blob_bytes(repository, &manifest.config.digest);
    let platform = serde_json::from_slice(&config.await?);
    Ok(platform.map_or_else(|_| unknown(), |platform: Platform| platform.normalized()))
}
