//! The images of an index, each for its platform.

use anyhow::Context as _;

use super::{RawManifest, Registry};
use crate::{Descriptor, Index, Manifest, Platform, is_index};

/// Images of an index whose configuration is read because the index does not name their platform.
const UNNAMED: usize = 50;

impl Registry {
    /// Platform and digest of each image of `manifest` in `repository`: those of an index, or the one image.
    /// Attestations are not images.
    ///
    /// # Errors
    /// When an index or a configuration can't be read.
    pub async fn platforms(
        &self,
        repository: &str,
        manifest: &RawManifest,
    ) -> anyhow::Result<Vec<(Platform, String)>> {
        if !is_index(&manifest.media_type) {
            let platform = self.platform_of(repository, manifest).await?;
            return Ok(vec![(platform, manifest.digest.to_string())]);
        }
        let index: Index =
            serde_json::from_slice(&manifest.bytes).context("its index is not valid")?;
        self.platforms_of(repository, &index).await
    }

    /// The same for `index`, which `repository` has.
    ///
    /// # Errors
    /// When a configuration can't be read.
    pub async fn platforms_of(
        &self,
        repository: &str,
        index: &Index,
    ) -> anyhow::Result<Vec<(Platform, String)>> {
        let mut images = Vec::new();
        let mut unnamed = 0;
        for entry in &index.manifests {
            let platform = match &entry.platform {
                Some(platform) => Some(platform.normalized()),
                None if unnamed < UNNAMED => {
                    unnamed += 1;
                    self.platform_of_entry(repository, entry).await?
                }
                None => None,
            };
            if let Some(platform) = platform.filter(|platform| platform.os != "unknown") {
                images.push((platform, entry.digest.clone()));
            }
        }
        Ok(images)
    }

    // `None` for what is not an image, or whose configuration does not name its platform.
    async fn platform_of_entry(
        &self,
        repository: &str,
        entry: &Descriptor,
    ) -> anyhow::Result<Option<Platform>> {
        let manifest = self.manifest(repository, &entry.digest).await?;
        let manifest = manifest.and_then(|raw| serde_json::from_slice::<Manifest>(&raw.bytes).ok());
        let Some(manifest) = manifest.filter(Manifest::is_image) else {
            return Ok(None);
        };
        let config = self.blob_bytes(repository, &manifest.config.digest).await?;
        let platform = serde_json::from_slice::<Platform>(&config).ok();
        Ok(platform.map(|platform| platform.normalized()))
    }

    async fn platform_of(
        &self,
        repository: &str,
        manifest: &RawManifest,
    ) -> anyhow::Result<Platform> {
        let manifest: Manifest =
            serde_json::from_slice(&manifest.bytes).context("its manifest is not valid")?;
        let config = self.blob_bytes(repository, &manifest.config.digest).await?;
        let platform: Platform =
            serde_json::from_slice(&config).context("its configuration names no platform")?;
        Ok(platform.normalized())
    }
}
