//! Room on the disk. A node whose disk fills up takes no pods, and says so with a taint that nobody here looks for.

use std::path::Path;

use anyhow::{Context as _, ensure};

use crate::paths;

/// What a run writes at the most when everything was built before, in gigabytes: images, layers, a release.
const NEEDED: f64 = 5.0;

/// The folder where Docker keeps its images, if nobody moved it.
const ENGINE: &str = "/var/lib/docker";

/// See that there is room for a run.
///
/// # Errors
/// When a file system has less than that.
pub(crate) fn check() -> anyhow::Result<()> {
    for folder in [Path::new(ENGINE), &paths::cache()] {
        let free = free(folder)?;
        ensure!(
            free >= NEEDED,
            "only {free:.1} GB are free for `{}`, and a run needs {NEEDED}: make room first; `cargo xtask down --purge` removes what earlier runs kept",
            folder.display()
        );
    }
    Ok(())
}

// In gigabytes, where `folder` is or will be.
#[allow(clippy::cast_precision_loss)] // shown with one digit
fn free(folder: &Path) -> anyhow::Result<f64> {
    let there = folder.ancestors().find(|folder| folder.is_dir());
    let there = there.context("a folder without a file system")?;
    let disk = rustix::fs::statvfs(there)
        .with_context(|| format!("while asking for the room at `{}`", there.display()))?;
    Ok((disk.f_bavail * disk.f_frsize) as f64 / 1e9)
}
