//! Disk space. A node whose disk fills up gets a taint and no more pods, which is hard to see.

use std::path::Path;

use anyhow::{Context as _, ensure};

use crate::paths;

/// What a run writes at most when everything was built before, in gigabytes: images, layers, a release.
const NEEDED: f64 = 5.0;

/// The default directory of Docker's images.
const DOCKER: &str = "/var/lib/docker";

/// Check that there is space for a run.
///
/// # Errors
/// When a file system has less.
pub(crate) fn check() -> anyhow::Result<()> {
    for directory in [Path::new(DOCKER), &paths::cache()] {
        let free = free(directory)?;
        ensure!(
            free >= NEEDED,
            "only {free:.1} GB are free for `{}`, and a run needs {NEEDED} GB; free some space, for example with `cargo xtask down --purge`",
            directory.display()
        );
    }
    Ok(())
}

// In gigabytes, where `directory` is or will be.
#[expect(clippy::cast_precision_loss, reason = "printed with one digit")]
fn free(directory: &Path) -> anyhow::Result<f64> {
    let existing = directory.ancestors().find(|directory| directory.is_dir());
    let existing = existing.context("a directory without a file system")?;
    let disk = rustix::fs::statvfs(existing)
        .with_context(|| format!("failed to read the free space at `{}`", existing.display()))?;
    Ok((disk.f_bavail * disk.f_frsize) as f64 / 1e9)
}
