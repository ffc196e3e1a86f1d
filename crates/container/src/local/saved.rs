//! An image of the engine, unpacked from its `save` stream.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use futures_util::StreamExt as _;
use serde::Deserialize;
use tokio::io::AsyncWriteExt as _;

use crate::oci::{CONFIG, Descriptor, LAYER, Manifest};
use crate::{Digest, Engine, ImageRef};

/// The image's manifest and the files of its blobs.
pub(super) struct Saved {
    pub(super) manifest: Manifest,
    pub(super) blobs: Vec<(String, PathBuf)>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    config: String,
    layers: Vec<String>,
}

#[derive(Deserialize)]
struct Config {
    rootfs: RootFs,
}

#[derive(Deserialize)]
struct RootFs {
    diff_ids: Vec<String>,
}

impl Saved {
    /// Take `image` out of `engine`, into the new folder `into`. Layers stay uncompressed: their digest
    /// is then the diff ID that the configuration names, and nothing has to be hashed or compressed.
    pub(super) async fn take(
        engine: &Engine,
        image: &ImageRef,
        into: &Path,
    ) -> anyhow::Result<Self> {
        if engine.inspect(image).await?.is_none() {
            bail!("the engine has no such image");
        }
        tokio::fs::create_dir(into).await?;
        let archive = into.join("image.tar");
        let mut file = tokio::fs::File::create(&archive).await?;
        let name = image.to_string();
        let mut chunks = engine.docker.export_image(&name);
        while let Some(chunk) = chunks.next().await {
            file.write_all(&chunk?).await?;
        }
        file.flush().await?;

        let (unpacked, target) = (archive.clone(), into.to_owned());
        tokio::task::spawn_blocking(move || unpack(&unpacked, &target)).await??;
        tokio::fs::remove_file(&archive).await?;
        Self::read(into)
    }

    fn read(folder: &Path) -> anyhow::Result<Self> {
        let entries: Vec<Entry> = read_json(&folder.join("manifest.json"))?;
        let Some(entry) = entries.into_iter().next() else {
            bail!("the archive names no image")
        };
        let config_bytes = read_inside(folder, &entry.config)?;
        let config: Config =
            serde_json::from_slice(&config_bytes).context("in the image's configuration")?;
        if config.rootfs.diff_ids.len() != entry.layers.len() {
            bail!(
                "the archive has {} layers, the configuration {}",
                entry.layers.len(),
                config.rootfs.diff_ids.len()
            );
        }
        let mut blobs = Vec::new();
        let mut layers = Vec::new();
        for (diff_id, layer) in config.rootfs.diff_ids.iter().zip(&entry.layers) {
            let path = inside(folder, layer)?;
            let size = std::fs::metadata(&path)?.len();
            layers.push(Descriptor::new(LAYER, &diff_id.parse()?, size));
            blobs.push((diff_id.clone(), path));
        }
        let digest = Digest::of(&config_bytes);
        blobs.push((digest.to_string(), inside(folder, &entry.config)?));
        let config = Descriptor::new(CONFIG, &digest, config_bytes.len() as u64);
        Ok(Self {
            manifest: Manifest::new(config, layers),
            blobs,
        })
    }
}

// Files and links only, and nothing outside of `into`: `unpack_in` refuses paths that lead out.
fn unpack(archive: &Path, into: &Path) -> anyhow::Result<()> {
    let mut tar = tar::Archive::new(std::fs::File::open(archive)?);
    for entry in tar.entries()? {
        entry?.unpack_in(into)?;
    }
    Ok(())
}

fn inside(folder: &Path, name: &str) -> anyhow::Result<PathBuf> {
    let path = folder
        .join(name)
        .canonicalize()
        .with_context(|| format!("`{name}` is missing in the archive"))?;
    if !path.starts_with(folder.canonicalize()?) {
        bail!("`{name}` leads out of the archive");
    }
    Ok(path)
}

fn read_inside(folder: &Path, name: &str) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::fs::File::open(inside(folder, name)?)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> anyhow::Result<T> {
    let text = std::fs::read(path).context("the archive has no manifest.json")?;
    serde_json::from_slice(&text).context("in the archive's manifest.json")
}
