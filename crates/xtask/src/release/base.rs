//! The base images for BuildKit, where no registry has them: those of the engine, each as an OCI layout.

use std::path::PathBuf;

use anyhow::Context as _;
use container::oci::Index;

use crate::paths;
use crate::setup::base_images::{DEBIAN, GO, RUST};
use crate::setup::command::{command, output, run};

/// A base image as a folder of files.
pub(super) struct Base {
    /// Its name in the Dockerfile.
    pub(super) image: &'static str,
    /// The name of its folder.
    pub(super) key: String,
    /// The digest of its manifest.
    pub(super) digest: String,
}

/// Where the folders are.
pub(super) fn folder() -> PathBuf {
    paths::cache().join("release/bases")
}

/// Those that `Dockerfile.action` starts from; a folder that is not one of theirs any more is removed.
///
/// # Errors
/// When the engine does not give one.
pub(super) fn provide() -> anyhow::Result<Vec<Base>> {
    let mut bases = Vec::new();
    for image in [DEBIAN, RUST, GO] {
        let id = ["image", "inspect", "--format", "{{.Id}}", image];
        let id = output(&mut command("docker", id))?;
        let key = id.trim().trim_start_matches("sha256:").to_owned();
        let layout = folder().join(&key);
        if !layout.join("index.json").is_file() {
            std::fs::create_dir_all(&layout)?;
            let archive = layout.join("image.tar");
            run(command("docker", ["save", "--output"])
                .arg(&archive)
                .arg(image))?;
            run(command("tar", ["--extract", "--file"])
                .arg(&archive)
                .arg("--directory")
                .arg(&layout))?;
            std::fs::remove_file(&archive)?;
        }
        let index = std::fs::read(layout.join("index.json"))?;
        let index: Index = serde_json::from_slice(&index)
            .with_context(|| format!("while reading how the engine saved `{image}`"))?;
        let manifest = index.manifests.first();
        let digest = manifest.map(|manifest| manifest.digest.clone());
        let digest =
            digest.with_context(|| format!("the engine saved no manifest of `{image}`"))?;
        bases.push(Base { image, key, digest });
    }
    for entry in std::fs::read_dir(folder())?.flatten() {
        if !bases.iter().any(|base| *base.key == *entry.file_name()) {
            std::fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(bases)
}
