//! Images of Docker, read from the archive that it saves.
//!
//! Docker with the classic image store saves the uncompressed tars of its layers, whose digests are the diff IDs
//! that the configuration names. One with containerd's (the default since Docker 29) saves the layers as they are in
//! that store, as they were pulled or built: mostly compressed. Both write a `manifest.json`.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use oci::{CONFIG, Descriptor, Digest, ImageRef, LAYER, Manifest};
use serde::Deserialize;

use super::archive::{self, JSON};
use super::content::Blob;
use super::{LocalRegistry, remove};
use crate::Docker;

/// The archive does not identify one of several images: they must be saved one by one.
#[derive(Debug, thiserror::Error)]
#[error("Docker's archive has {count} images, and none is named `{name}`")]
struct Unnamed {
    count: usize,
    name: ImageRef,
}

impl LocalRegistry {
    /// Serve `image` from `docker`.
    ///
    /// # Errors
    /// When Docker does not have it, or its archive is invalid.
    pub async fn add_saved(
        &self,
        docker: &Docker,
        image: &ImageRef,
        space: &str,
    ) -> anyhow::Result<ImageRef> {
        self.add_archive(docker, &[(image, space)]).await?;
        self.reference_for(space, image)
    }

    /// Serve several images from `docker`, each in its space. They are saved in one archive, which has shared
    /// layers only once.
    ///
    /// # Errors
    /// When Docker lacks one, or its archive is invalid.
    pub async fn add_saved_all(
        &self,
        docker: &Docker,
        images: &[(&ImageRef, &str)],
    ) -> anyhow::Result<Vec<ImageRef>> {
        // An archive distinguishes images by their tags; an image that is requested by digest has no tag there.
        if images.iter().all(|(image, _)| image.digest().is_none()) {
            match self.add_archive(docker, images).await {
                Err(e) if images.len() > 1 && e.is::<Unnamed>() => {}
                added => return added,
            }
        }
        let each = images
            .iter()
            .map(|(image, space)| self.add_saved(docker, image, space));
        futures_util::future::try_join_all(each).await
    }

    async fn add_archive(
        &self,
        docker: &Docker,
        images: &[(&ImageRef, &str)],
    ) -> anyhow::Result<Vec<ImageRef>> {
        let mut names: Vec<_> = images.iter().map(|(image, _)| image.to_string()).collect();
        names.dedup();
        let what = || format!("failed to read `{}` from Docker", names.join("` and `"));
        let saved = self.save(docker, images).await.with_context(what)?;
        let mut served = Vec::new();
        for ((image, space), saved) in images.iter().zip(saved) {
            let reference = self.reference_for(space, image)?;
            let mut unneeded = Vec::new();
            for (digest, path) in saved.blobs {
                let mut content = self.shared.content();
                unneeded.extend(content.add(reference.repository(), &digest, Blob::File(path)));
            }
            remove(unneeded);
            self.put_manifest(&reference, &saved.manifest)?;
            served.push(reference);
        }
        Ok(served)
    }

    async fn save(
        &self,
        docker: &Docker,
        images: &[(&ImageRef, &str)],
    ) -> anyhow::Result<Vec<Saved>> {
        let mut requested = Vec::new();
        for (image, _) in images {
            requested.push(Requested::inspect(docker, image).await?);
        }
        let mut names: Vec<_> = requested
            .iter()
            .map(|image| image.name.to_string())
            .collect();
        names.sort_unstable();
        names.dedup();
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        let chunks = docker.api.export_images(&names);
        let read = move |directory: &Path| Saved::read(directory, &requested);
        archive::receive(Box::pin(chunks), &self.shared, read).await
    }
}

/// An image that is requested from Docker.
struct Requested {
    name: ImageRef,
    /// Its diff IDs, as Docker reports them.
    diff_ids: Vec<String>,
}

impl Requested {
    async fn inspect(docker: &Docker, image: &ImageRef) -> anyhow::Result<Self> {
        // Saving a name without a tag saves all its tags; if it has no `latest`, it is an id.
        let latest = match (image.tag(), image.digest()) {
            (None, None) => Some(image.with_tag("latest")?),
            _ => None,
        };
        for name in latest.iter().chain([image]) {
            if let Some(info) = docker.inspect(name).await? {
                return Ok(Self {
                    name: name.clone(),
                    diff_ids: info.diff_ids,
                });
            }
        }
        bail!("Docker has no image `{image}`")
    }
}

/// The manifest of an image and the files of its blobs.
#[derive(Debug)]
struct Saved {
    manifest: Manifest,
    blobs: Vec<(String, PathBuf)>,
}

/// An image in `manifest.json`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    config: String,
    repo_tags: Option<Vec<String>>,
    layers: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Config {
    rootfs: RootFs,
}

#[derive(Deserialize)]
struct RootFs {
    diff_ids: Vec<String>,
}

impl Entry {
    fn is_named(&self, name: &ImageRef) -> bool {
        let tags = self.repo_tags.iter().flatten();
        let mut tags = tags.filter_map(|tag| tag.parse::<ImageRef>().ok());
        // Docker writes the short form, whichever was requested.
        tags.any(|tag| tag.normalized() == name.normalized())
    }
}

impl Saved {
    /// The images `requested` of the archive that was unpacked into `directory`.
    ///
    /// # Errors
    /// [`Unnamed`] when the archive does not identify one of several images; other errors when it is damaged.
    fn read(directory: &Path, requested: &[Requested]) -> anyhow::Result<Vec<Self>> {
        let text = limits::read(directory, "manifest.json".as_ref(), JSON)
            .context("Docker's archive has no `manifest.json`")?;
        let entries: Vec<Entry> =
            serde_json::from_slice(&text).context("invalid `manifest.json` in Docker's archive")?;
        let read = |image: &Requested| {
            let entry = match entries.as_slice() {
                // A single image needs no name; by digest or id it has none.
                [only] if requested.len() == 1 => Some(only),
                several => several.iter().find(|entry| entry.is_named(&image.name)),
            };
            let entry = entry.ok_or_else(|| Unnamed {
                count: entries.len(),
                name: image.name.clone(),
            })?;
            Self::from_entry(directory, entry, image)
                .with_context(|| format!("invalid image `{}`", image.name))
        };
        requested.iter().map(read).collect()
    }

    fn from_entry(directory: &Path, entry: &Entry, requested: &Requested) -> anyhow::Result<Self> {
        let config_path = inside(directory, &entry.config)?;
        let config_bytes = limits::read(directory, &config_path, JSON)?;
        let config: Config =
            serde_json::from_slice(&config_bytes).context("invalid image configuration")?;
        let diff_ids = config.rootfs.diff_ids;
        let saved = entry.layers.as_deref().unwrap_or_default();
        if diff_ids.len() != saved.len() {
            let (layers, named) = (saved.len(), diff_ids.len());
            bail!("the archive has {layers} layers, but the configuration has {named}");
        }
        if diff_ids != requested.diff_ids {
            bail!(
                "the layers in the archive differ from those that Docker reports: the image is for several platforms, or it was just tagged again; pull or build it again for this machine"
            );
        }
        let mut blobs = Vec::new();
        let mut layers = Vec::new();
        for (diff_id, name) in diff_ids.iter().zip(saved) {
            let path = inside(directory, name)
                .context("Docker does not have the whole image; pull or build it again")?;
            let layer = layer(&path, name, &diff_id.parse()?)?;
            blobs.push((layer.digest.clone(), path));
            layers.push(layer);
        }
        let digest = Digest::sha256(&config_bytes);
        blobs.push((digest.to_string(), config_path));
        let config = Descriptor::new(CONFIG, &digest, config_bytes.len() as u64);
        Ok(Self {
            manifest: Manifest::new(config, layers),
            blobs,
        })
    }
}

// The descriptor of a layer.
//
// Without compression the digest is the diff ID, and a blob of an OCI layout is named by its digest: neither
// is computed here. The client that gets the layer checks it: BuildKit and Trivy when they pull it, Docker when it
// is loaded (by the diff ID), a registry when it is pushed.
fn layer(path: &Path, name: &str, diff_id: &Digest) -> anyhow::Result<Descriptor> {
    let hex = name.strip_prefix("blobs/sha256/");
    let blob: Option<Digest> = hex.and_then(|hex| format!("sha256:{hex}").parse().ok());
    let size = std::fs::metadata(path)?.len();
    if blob.as_ref() == Some(diff_id) {
        return Ok(Descriptor::new(LAYER, diff_id, size));
    }
    let mut start = Vec::new();
    File::open(path)?.take(4).read_to_end(&mut start)?;
    let compression = match (start.as_slice(), &blob) {
        ([0x1f, 0x8b, ..], _) => "+gzip",
        // A frame or a skippable frame (RFC 8878, section 3.1).
        ([0x28, 0xb5, 0x2f, 0xfd] | [0x50..=0x5f, 0x2a, 0x4d, 0x18], _) => "+zstd",
        (_, None) => return Ok(Descriptor::new(LAYER, diff_id, size)),
        (_, Some(_)) => {
            bail!("the layer `{name}` is neither a tar nor compressed with gzip or zstd")
        }
    };
    let digest = match blob {
        Some(digest) => digest,
        None => Digest::from_reader(File::open(path)?)?,
    };
    Ok(Descriptor::new(
        &format!("{LAYER}{compression}"),
        &digest,
        size,
    ))
}

// The file `name` of the archive, after following links.
fn inside(directory: &Path, name: &str) -> anyhow::Result<PathBuf> {
    let path = directory
        .join(name)
        .canonicalize()
        .with_context(|| format!("`{name}` is missing in the archive"))?;
    if !path.starts_with(directory.canonicalize()?) {
        bail!("`{name}` is outside of the archive");
    }
    Ok(path)
}

/// The images of the archive `file`, without a layer or with an empty one.
///
/// # Panics
/// When one has a file outside of the directory `into`, in which it is unpacked.
#[cfg(fuzzing)]
pub(crate) fn fuzz(file: &Path, into: &Path) {
    let unpacked = File::open(file).and_then(|file| archive::unpack(file, into));
    let (Ok(()), Ok(name)) = (unpacked, "app:1".parse::<ImageRef>()) else {
        return;
    };
    let root = into.canonicalize().unwrap_or_default();
    for diff_ids in [Vec::new(), vec![Digest::sha256(b"").to_string()]] {
        let name = name.clone();
        let images = Saved::read(into, &[Requested { name, diff_ids }]);
        for (_, path) in images.iter().flatten().flat_map(|image| &image.blobs) {
            assert!(path.starts_with(&root), "{}", path.display());
        }
    }
}

#[cfg(test)]
pub(super) mod tests;
