//! Images with all that belongs to them: several platforms, attestations, and caches of builds. They are copied between the
//! registry and a directory or archive in the OCI image layout (github.com/opencontainers/image-spec, image-layout.md).

use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use oci::{Digest, ImageRef, Index, RawManifest, Registry, is_index};
use serde_json::{Value, json};

use super::content::{Blob, Stored};
use super::{LocalRegistry, StoredImage, key, tag};

/// Bytes of the largest manifest and index.
const JSON: usize = 4 * limits::MIB;
/// Manifests of one image, with those of its platforms and attestations.
const MANIFESTS: usize = 1000;
/// The content of the file `oci-layout`.
const VERSION: &str = r#"{"imageLayoutVersion":"1.0.0"}"#;
/// The annotation of an entry of `index.json` that has its tag.
const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// The annotation of an attestation in an index (github.com/moby/buildkit, docs/attestations/attestation-storage.md).
const ATTESTATION: &str = "vnd.docker.reference.type";

/// What an image consists of; a manifest comes after those that it names.
#[derive(Default)]
struct Parts {
    manifests: Vec<Stored>,
    /// Digests and files.
    blobs: Vec<(String, PathBuf)>,
}

impl LocalRegistry {
    /// The images of `reference`, one for each platform; attestations are none.
    ///
    /// # Errors
    /// When one of them is not here, or its configuration is invalid.
    pub async fn images(&self, reference: &ImageRef) -> anyhow::Result<Vec<StoredImage>> {
        let stored = self.shared.content().manifest(&key(reference)).cloned();
        let stored = stored.with_context(|| format!("there is no image `{reference}`"))?;
        let mut digests = vec![stored.digest.clone()];
        if is_index(&stored.media_type) {
            let index: Index = serde_json::from_slice(&stored.bytes).context("invalid index")?;
            let images = index
                .manifests
                .iter()
                .filter(|entry| !entry.annotations.contains_key(ATTESTATION));
            let images = images.map(|entry| entry.digest.parse::<Digest>());
            digests = images.collect::<Result<_, _>>()?;
        }
        let mut images = Vec::new();
        for digest in digests {
            let image = self.image(&reference.with_digest(&digest)).await?;
            images.push(image.with_context(|| format!("there is no image `{digest}`"))?);
        }
        Ok(images)
    }

    /// The digest of what `reference` means: that of an index, if it is one.
    pub fn digest(&self, reference: &ImageRef) -> Option<Digest> {
        let content = self.shared.content();
        let stored = content.manifest(&key(reference))?;
        Some(stored.digest.clone())
    }

    /// Push all of `reference` to `repository` of `registry` under `tag`; what is there already is not sent.
    ///
    /// # Errors
    /// When the registry refuses it.
    pub async fn push(
        &self,
        reference: &ImageRef,
        registry: &Registry,
        (repository, tag): (&str, &str),
    ) -> anyhow::Result<RawManifest> {
        let parts = self.parts(reference)?;
        for (digest, path) in &parts.blobs {
            registry.push_blob(repository, digest, path).await?;
        }
        let mut last = None;
        let count = parts.manifests.len();
        for (number, stored) in parts.manifests.into_iter().enumerate() {
            let manifest = RawManifest {
                digest: stored.digest,
                media_type: stored.media_type,
                bytes: stored.bytes.to_vec(),
            };
            let name = if number + 1 == count {
                tag
            } else {
                manifest.digest.as_str()
            };
            registry.tag(repository, name, &manifest).await?;
            last = Some(manifest);
        }
        last.context("there is nothing to push")
    }

    /// Write all of `reference` to `directory` in the OCI image layout; what the directory had before is no longer in its index.
    ///
    /// # Errors
    /// When a file can't be written.
    pub fn write_layout(&self, reference: &ImageRef, directory: &Path) -> anyhow::Result<()> {
        let what = || format!("failed to write `{}`", directory.display());
        let parts = self.parts(reference)?;
        let blobs = directory.join("blobs/sha256");
        for path in [directory, &directory.join("blobs"), &blobs] {
            create_directory(path).with_context(what)?;
        }
        for (digest, path) in &parts.blobs {
            let mut blob = std::fs::File::open(path).with_context(what)?;
            let mut new = create(&blobs.join(hex(digest)?)).with_context(what)?;
            std::io::copy(&mut blob, &mut new).with_context(what)?;
        }
        let index = parts.index(tag(reference))?;
        let mut small = vec![
            (directory.join("oci-layout"), VERSION.as_bytes()),
            (directory.join("index.json"), index.as_slice()),
        ];
        for stored in &parts.manifests {
            let path = blobs.join(hex(stored.digest.as_str())?);
            small.push((path, &stored.bytes[..]));
        }
        for (path, bytes) in small {
            let written = create(&path).and_then(|mut file| file.write_all(bytes));
            written.with_context(what)?;
        }
        Ok(())
    }

    /// Write all of `reference` to an archive in the OCI image layout.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn write_archive(&self, reference: &ImageRef, archive: impl Write) -> anyhow::Result<()> {
        let what = "failed to write the archive";
        let parts = self.parts(reference)?;
        let mut tar = tar::Builder::new(archive);
        let index = parts.index(tag(reference))?;
        add(&mut tar, "oci-layout", VERSION.as_bytes()).context(what)?;
        add(&mut tar, "index.json", &index).context(what)?;
        for stored in &parts.manifests {
            let name = format!("blobs/sha256/{}", hex(stored.digest.as_str())?);
            add(&mut tar, &name, &stored.bytes).context(what)?;
        }
        for (digest, path) in &parts.blobs {
            let name = format!("blobs/sha256/{}", hex(digest)?);
            let file = std::fs::File::open(path).context(what)?;
            let size = file.metadata().context(what)?.len();
            let mut header = header(size);
            tar.append_data(&mut header, name, file).context(what)?;
        }
        tar.into_inner()
            .and_then(|mut file| file.flush())
            .context(what)
    }

    /// Serve what the OCI image layout in `directory` has under the tag of `reference`, or else under any: the last one. Returns
    /// whether there is something.
    ///
    /// # Errors
    /// When it is invalid.
    pub fn add_layout(&self, reference: &ImageRef, directory: &Path) -> anyhow::Result<bool> {
        if directory.is_symlink() {
            bail!("`{}` is a link", directory.display());
        }
        let index = match limits::read(directory, Path::new("index.json"), JSON) {
            Ok(index) => index,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(false),
            Err(e) => return Err(e).context("failed to read `index.json`"),
        };
        let index: Index = serde_json::from_slice(&index).context("`index.json` is invalid")?;
        let named = index.manifests.iter().find(|entry| {
            let name = entry.annotations.get(REF_NAME);
            name.is_some_and(|name| name == tag(reference))
        });
        let Some(root) = named.or(index.manifests.last()) else {
            return Ok(false);
        };
        let mut waiting = vec![(root.digest.clone(), Some(tag(reference)))];
        let mut known = BTreeSet::new();
        while let Some((digest, name)) = waiting.pop() {
            if !known.insert(digest.clone()) {
                continue;
            }
            if known.len() > MANIFESTS {
                bail!("it has more than {MANIFESTS} manifests");
            }
            let path = Path::new("blobs/sha256").join(hex(&digest)?);
            let bytes = limits::read(directory, &path, JSON);
            let bytes = bytes.with_context(|| format!("failed to read `{}`", path.display()))?;
            if Digest::sha256(&bytes).as_str() != digest {
                bail!("`{}` is damaged", path.display());
            }
            let value: Value = serde_json::from_slice(&bytes).context("a manifest is invalid")?;
            for (descriptor, is_manifest) in descriptors(&value) {
                if is_manifest {
                    waiting.push((descriptor, None));
                } else {
                    self.link(reference, &descriptor, directory)?;
                }
            }
            let media_type = value["mediaType"].as_str().unwrap_or(oci::INDEX);
            let stored = Stored {
                digest: Digest::sha256(&bytes),
                media_type: media_type.to_owned(),
                bytes: bytes.into(),
            };
            let mut content = self.shared.content();
            content.store(reference.repository(), name.unwrap_or(&digest), &stored);
        }
        Ok(true)
    }

    // A file of its own for the blob `digest` of a layout: the registry removes its files. A client checks the content.
    fn link(&self, reference: &ImageRef, digest: &str, layout: &Path) -> anyhow::Result<()> {
        let name = Path::new("blobs/sha256").join(hex(digest)?);
        let what = || format!("failed to read `{}`", name.display());
        // A stranger may have filled the directory, with a device or a link that leads out of it.
        let mut blob = limits::open(layout, &name).with_context(what)?;
        let from = layout.join(&name);
        let is_file = from
            .symlink_metadata()
            .is_ok_and(|metadata| metadata.is_file());
        let path = self.shared.file();
        if !is_file || std::fs::hard_link(&from, &path).is_err() {
            let mut copy = std::fs::File::create_new(&path).with_context(what)?;
            std::io::copy(&mut blob, &mut copy).with_context(what)?;
        }
        let mut content = self.shared.content();
        let unneeded = content.add(reference.repository(), digest, Blob::File(path));
        drop(content);
        super::remove(unneeded);
        Ok(())
    }

    fn parts(&self, reference: &ImageRef) -> anyhow::Result<Parts> {
        let content = self.shared.content();
        let root = content.manifest(&key(reference));
        let root = root.with_context(|| format!("there is no image `{reference}`"))?;
        // Parents before children, and reversed at the end.
        let (mut manifests, mut blobs) = (vec![root.clone()], Vec::new());
        let mut known = BTreeSet::from([root.digest.to_string()]);
        let mut next = 0;
        while let Some(stored) = manifests.get(next).cloned() {
            next += 1;
            let value: Value = serde_json::from_slice(&stored.bytes).context("invalid manifest")?;
            for (digest, _) in descriptors(&value) {
                if !known.insert(digest.clone()) {
                    continue;
                }
                let name = format!("{}/{digest}", reference.repository());
                if let Some(child) = content.manifest(&name) {
                    manifests.push(child.clone());
                } else if let Some(Blob::File(path)) = content.blob(&digest) {
                    blobs.push((digest, path));
                } else {
                    bail!("the image has no blob `{digest}`");
                }
            }
        }
        manifests.reverse();
        Ok(Parts { manifests, blobs })
    }
}

impl Parts {
    // The content of `index.json`, in which the image has the tag `tag`.
    fn index(&self, tag: &str) -> anyhow::Result<Vec<u8>> {
        let root = self.manifests.last().context("there is no image")?;
        let index = json!({
            "schemaVersion": 2,
            "mediaType": oci::INDEX,
            "manifests": [{
                "mediaType": root.media_type,
                "digest": root.digest.as_str(),
                "size": root.bytes.len(),
                "annotations": {REF_NAME: tag},
            }],
        });
        Ok(serde_json::to_vec(&index)?)
    }
}

// The digests that a manifest or index names, and whether each is that of a manifest. The entries of a cache's index are
// layers and its configuration (github.com/moby/buildkit, cache/remotecache).
fn descriptors(value: &Value) -> Vec<(String, bool)> {
    let lists = [&value["manifests"], &value["layers"]];
    let entries = lists.into_iter().filter_map(Value::as_array).flatten();
    let entries = entries.chain(value.get("config"));
    let digests = entries.filter_map(|entry| {
        let digest = entry["digest"].as_str()?.to_owned();
        let kind = entry["mediaType"].as_str().unwrap_or_default();
        let is_manifest =
            is_index(kind) || kind == oci::MANIFEST || kind.ends_with("manifest.v2+json");
        Some((digest, is_manifest))
    });
    digests.collect()
}

fn hex(digest: &str) -> anyhow::Result<&str> {
    let hex = digest.strip_prefix("sha256:");
    let is_hex = |hex: &&str| hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_hexdigit());
    hex.filter(is_hex)
        .with_context(|| format!("`{digest}` is not a SHA-256 digest"))
}

// A new file at `path`: what is there may be a link, to elsewhere or to the file that is read.
fn create(path: &Path) -> std::io::Result<std::fs::File> {
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    std::fs::File::create_new(path)
}

// The directory `path`, which may be there; not a link to one.
fn create_directory(path: &Path) -> std::io::Result<()> {
    match std::fs::create_dir(path) {
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {
            let is_directory = path.symlink_metadata()?.is_dir();
            let problem = "it is not a directory";
            is_directory
                .then_some(())
                .ok_or_else(|| std::io::Error::other(format!("`{}`: {problem}", path.display())))
        }
        created => created,
    }
}

fn header(size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_size(size);
    header.set_mode(0o644);
    header
}

fn add(tar: &mut tar::Builder<impl Write>, name: &str, bytes: &[u8]) -> std::io::Result<()> {
    tar.append_data(&mut header(bytes.len() as u64), name, bytes)
}

/// A manifest or an index: what it names.
#[cfg(fuzzing)]
pub(crate) fn fuzz(bytes: &[u8]) {
    let value: Value = serde_json::from_slice(bytes).unwrap_or_default();
    for (digest, _) in descriptors(&value) {
        if let Ok(name) = hex(&digest) {
            assert!(!name.contains(['/', '.']), "{name}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use oci::{CONFIG, Descriptor, LAYER, Manifest};

    #[tokio::test]
    async fn a_layout_is_read_as_it_was_written_also_over_itself() {
        let temp = tempfile::tempdir().unwrap();
        let directory = temp.path().join("layout");
        let image: ImageRef = "app:1".parse().unwrap();
        let registry = LocalRegistry::open(temp.path()).await.unwrap();
        let reference = registry.reference_for("a", &image).unwrap();
        let blob = |kind: &str, bytes: &[u8]| {
            let digest = registry.put_blob(&reference, bytes).unwrap();
            Descriptor::new(kind, &digest, bytes.len() as u64)
        };
        let config = blob(CONFIG, br#"{"architecture": "arm64", "os": "linux"}"#);
        let manifest = Manifest::new(config, vec![blob(LAYER, b"layer")]);
        let digest = registry.put_manifest(&reference, &manifest).unwrap();
        registry.write_layout(&reference, &directory).unwrap();

        let other = LocalRegistry::open(temp.path()).await.unwrap();
        let reference = other.reference_for("b", &image).unwrap();
        assert!(other.add_layout(&reference, &directory).unwrap());
        other.write_layout(&reference, &directory).unwrap();
        let images = other.images(&reference).await.unwrap();
        assert_eq!(images.len(), 1);
        assert_eq!(images[0].digest, digest);
        assert_eq!(images[0].info.architecture, "arm64");
        let layer = other.fetch(&manifest.layers[0].digest).await.unwrap();
        assert_eq!(std::fs::read(layer).unwrap(), b"layer");

        assert!(!other.add_layout(&reference, temp.path()).unwrap());
        std::fs::write(directory.join("index.json"), "{").unwrap();
        let error = other.add_layout(&reference, &directory).unwrap_err();
        assert!(error.to_string().contains("`index.json` is invalid"));
    }

    #[tokio::test]
    async fn a_layout_neither_reads_nor_writes_through_a_link_that_leads_out() {
        let temp = tempfile::tempdir().unwrap();
        let (directory, outside) = (temp.path().join("layout"), temp.path().join("outside"));
        std::fs::write(&outside, "outside").unwrap();
        let registry = LocalRegistry::open(temp.path()).await.unwrap();
        let image: ImageRef = "app:1".parse().unwrap();
        let reference = registry.reference_for("a", &image).unwrap();
        let digest = registry.put_blob(&reference, b"{}").unwrap();
        let manifest = Manifest::new(Descriptor::new(CONFIG, &digest, 2), Vec::new());
        registry.put_manifest(&reference, &manifest).unwrap();
        let link = |target: &Path, name: &str| {
            std::os::unix::fs::symlink(target, directory.join(name)).unwrap();
        };

        // A link to a file is replaced.
        std::fs::create_dir(&directory).unwrap();
        link(&outside, "index.json");
        registry.write_layout(&reference, &directory).unwrap();
        assert_eq!(std::fs::read_to_string(&outside).unwrap(), "outside");
        assert!(registry.add_layout(&reference, &directory).unwrap());
        // What leads out is not read.
        let blob = format!("blobs/sha256/{}", hex(digest.as_str()).unwrap());
        for target in [&*outside, Path::new("/dev/zero")] {
            std::fs::remove_file(directory.join(&blob)).unwrap();
            link(target, &blob);
            let error = registry.add_layout(&reference, &directory).unwrap_err();
            let expected = "it is a link that leads out of its directory";
            assert_eq!(error.root_cause().to_string(), expected);
        }
        // The directory itself is not a link.
        let linked = temp.path().join("linked");
        std::os::unix::fs::symlink(&directory, &linked).unwrap();
        let error = registry.add_layout(&reference, &linked).unwrap_err();
        assert!(error.to_string().ends_with("linked` is a link"));
        std::fs::remove_dir_all(&directory).unwrap();
        std::fs::create_dir(&directory).unwrap();
        let other = temp.path().join("other");
        std::fs::create_dir(&other).unwrap();
        link(&other, "blobs");
        let error = registry.write_layout(&reference, &directory).unwrap_err();
        assert!(format!("{error:#}").ends_with("it is not a directory"));
        assert_eq!(other.read_dir().unwrap().count(), 0);
    }
}
