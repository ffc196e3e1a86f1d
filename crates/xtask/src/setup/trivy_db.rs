//! The local vulnerability database, in the registry from which Trivy downloads it.

use std::path::Path;

use anyhow::Context as _;

use super::command::{command, run};
use crate::paths;

/// Write the database with the tool in `tools`, and push it to `registry` with the program `services`.
///
/// # Errors
/// When the advisories have a mistake, or the registry rejects it.
pub(crate) fn publish(tools: &Path, services: &Path, registry: &str) -> anyhow::Result<()> {
    let directory = paths::state().join("trivy-db");
    let advisories = paths::root().join("tools/trivy-db/advisories.yaml");
    let writer = tools.join("trivy-db");
    run(&mut command(
        &writer.to_string_lossy(),
        [&advisories, &directory],
    ))
    .context("failed to write the Trivy database")?;
    let archive = directory.join("db.tar.gz");
    let mut tar = command(
        "tar",
        [
            "--create",
            "--gzip",
            "--sort=name",
            "--mtime=@0",
            "--owner=0",
            "--group=0",
            "--directory",
        ],
    );
    run(tar
        .arg(&directory)
        .arg("--file")
        .arg(&archive)
        .args(["metadata.json", "trivy.db"]))?;
    let mut publish = command(&services.to_string_lossy(), ["publish-database", registry]);
    run(publish.arg(&archive)).context("failed to publish the Trivy database")
}
