//! The JSON schemas of Kubernetes' objects, in which an unknown field is an error.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};

use super::command::{command, output};
use super::pypi;

/// The version of the node's and the tests' Kubernetes.
const VERSION: &str = "v1.34.0-local-strict";
// How the schemas name the file of what they share, and no validator finds it.
const SHARED: &str = "/api/_definitions.json";

/// The folder of the schemas, `<kind>-<group>-<version>.json` each.
///
/// # Errors
/// When the package that carries them can't be had.
pub(crate) fn provide() -> anyhow::Result<PathBuf> {
    let programs = pypi::KUBERNETES_VALIDATE.provide()?;
    let folder = programs.with_file_name("schemas");
    if folder.is_dir() {
        return Ok(folder);
    }
    let python = programs.join("python");
    let find = "import kubernetes_validate as k; print(k.__path__[0])";
    let package = output(&mut command(&python.to_string_lossy(), ["-c", find]))?;
    let source = Path::new(package.trim())
        .join("kubernetes-json-schema")
        .join(VERSION);
    // What an interrupted run left is not taken for the whole.
    let part = programs.with_file_name("schemas.part");
    std::fs::create_dir_all(&part)?;
    let shared = format!("file://{}/_definitions.json", folder.display());
    let mut count = 0;
    let entries = std::fs::read_dir(&source)
        .with_context(|| format!("while reading `{}`", source.display()))?;
    for entry in entries {
        let entry = entry?;
        let text = std::fs::read_to_string(entry.path())?.replace(SHARED, &shared);
        std::fs::write(part.join(entry.file_name()), text)?;
        count += 1;
    }
    ensure!(
        count > 100,
        "`{}` has {count} schemas only",
        source.display()
    );
    std::fs::rename(&part, &folder).context("while keeping the schemas")?;
    Ok(folder)
}
