//! The JSON schemas of Kubernetes' objects, in which an unknown field is an error.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};

use super::command::{command, output};
use super::pypi;

/// The version of the node's and the tests' Kubernetes.
const VERSION: &str = "v1.34.0-local-strict";
// The path of the shared file in the schemas, which no validator resolves.
const SHARED: &str = "/api/_definitions.json";

/// The directory of the schemas, `<kind>-<group>-<version>.json` each.
///
/// # Errors
/// When the package with them is unavailable.
pub(crate) fn provide() -> anyhow::Result<PathBuf> {
    let programs = pypi::KUBERNETES_VALIDATE.provide()?;
    let directory = programs.with_file_name("schemas");
    if directory.is_dir() {
        return Ok(directory);
    }
    let python = programs.join("python");
    let find = "import kubernetes_validate as k; print(k.__path__[0])";
    let package = output(&mut command(&python.to_string_lossy(), ["-c", find]))?;
    let source = Path::new(package.trim())
        .join("kubernetes-json-schema")
        .join(VERSION);
    // An interrupted run leaves only this one.
    let part = programs.with_file_name("schemas.part");
    std::fs::create_dir_all(&part)?;
    let shared = format!("file://{}/_definitions.json", directory.display());
    let mut count = 0;
    let entries = std::fs::read_dir(&source)
        .with_context(|| format!("failed to read `{}`", source.display()))?;
    for entry in entries {
        let entry = entry?;
        let text = std::fs::read_to_string(entry.path())?.replace(SHARED, &shared);
        std::fs::write(part.join(entry.file_name()), text)?;
        count += 1;
    }
    ensure!(
        count > 100,
        "`{}` has only {count} schemas",
        source.display()
    );
    std::fs::rename(&part, &directory).context("failed to store the schemas")?;
    Ok(directory)
}
