//! An image as BuildKit wrote it: an OCI layout in an archive.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use oci::Index;
use oci::{RawManifest, Registry};

use xtask::setup::command::{command, run};

/// One image for one platform.
pub(crate) struct Archive {
    layout: PathBuf,
    /// Its manifest, byte for byte.
    pub(crate) manifest: RawManifest,
    content: oci::Manifest,
}

impl Archive {
    /// Unpack the archive `path` next to itself, and read it.
    ///
    /// # Errors
    /// When it is not an OCI layout with one image.
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        let layout = path.with_extension("layout");
        if layout.is_dir() {
            std::fs::remove_dir_all(&layout)?;
        }
        std::fs::create_dir_all(&layout)?;
        run(command("tar", ["--extract", "--file"])
            .arg(path)
            .arg("--directory")
            .arg(&layout))?;
        let what = || format!("failed to read `{}`", path.display());
        let index = std::fs::read(layout.join("index.json")).with_context(what)?;
        let index: Index = serde_json::from_slice(&index).with_context(what)?;
        ensure!(
            index.manifests.len() == 1,
            "`{}` does not have exactly one image",
            path.display()
        );
        let named = index.manifests.first().with_context(what)?;
        let bytes = std::fs::read(blob(&layout, &named.digest)).with_context(what)?;
        let digest = oci::Digest::sha256(&bytes);
        ensure!(
            digest.as_str() == named.digest,
            "the manifest in `{}` does not match its digest",
            path.display()
        );
        let content = serde_json::from_slice(&bytes).with_context(what)?;
        let media_type = named.media_type.clone();
        Ok(Self {
            layout,
            manifest: RawManifest {
                digest,
                media_type,
                bytes,
            },
            content,
        })
    }

    /// What a registry stores and a runner fetches, in bytes.
    pub(crate) fn compressed(&self) -> u64 {
        self.content.layer_bytes()
    }

    /// Unpack its layers, in their order, into the directory `to`.
    ///
    /// # Errors
    /// When one is not an archive.
    pub(crate) fn unpack(&self, to: &Path) -> anyhow::Result<()> {
        std::fs::create_dir_all(to)?;
        for layer in &self.content.layers {
            run(command("tar", ["--extract", "--gzip", "--file"])
                .arg(blob(&self.layout, &layer.digest))
                .arg("--directory")
                .arg(to))?;
        }
        Ok(())
    }

    /// Push it by its digest, without a tag.
    ///
    /// # Errors
    /// With the response of the registry.
    pub(crate) async fn push(&self, registry: &Registry, repository: &str) -> anyhow::Result<()> {
        let parts = std::iter::once(&self.content.config).chain(&self.content.layers);
        for part in parts {
            let file = blob(&self.layout, &part.digest);
            registry.push_blob(repository, &part.digest, &file).await?;
        }
        let digest = self.manifest.digest.as_str();
        registry.tag(repository, digest, &self.manifest).await
    }
}

fn blob(layout: &Path, digest: &str) -> PathBuf {
    layout.join("blobs").join(digest.replacen(':', "/", 1))
}
