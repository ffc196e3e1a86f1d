//! What the machine must have before anything starts. A node whose disk fills up gets a taint and no more pods, which is
//! hard to see; a compiler that runs out of memory is killed without a message.

use std::path::Path;

use anyhow::{Context as _, ensure};

use crate::paths;

/// What a run writes at most when everything was built before, in gigabytes: images, layers, a release.
const DISK: f64 = 5.0;
/// The same for the first run, which builds the tools.
const DISK_OF_FIRST: f64 = 12.0;
/// Memory in gigabytes, of which a machine reports a little less than it is sold with.
const MEMORY: f64 = 3.6;

/// The default directory of Docker's images.
const DOCKER: &str = "/var/lib/docker";

/// Check that there is space and memory for a run.
///
/// # Errors
/// When a file system or the machine has less.
pub(crate) fn check() -> anyhow::Result<()> {
    let memory = memory().unwrap_or(MEMORY);
    ensure!(
        memory >= MEMORY,
        "this machine has {memory:.1} GB of memory, and the pipeline needs 4 GB: Kubernetes, a builder, and a compiler; use a larger one"
    );
    let is_first = !paths::cache().join("tools/kubernetes").is_dir();
    let needed = if is_first { DISK_OF_FIRST } else { DISK };
    for directory in [Path::new(DOCKER), &paths::cache()] {
        let free = free(directory)?;
        ensure!(
            free >= needed,
            "only {free:.1} GB are free for `{}`, and a run needs {needed} GB; free some space, for example with `cargo xtask down --purge`",
            directory.display()
        );
    }
    Ok(())
}

// In gigabytes.
fn memory() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kilobytes: f64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(kilobytes / 1e6)
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
