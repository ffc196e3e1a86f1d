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

/// From this on, in gigabytes, two compilers have it next to everything else.
const PLENTY: f64 = 7.0;

/// The default directory of Docker's images.
const DOCKER: &str = "/var/lib/docker";

/// Check that there is space and memory for a run.
///
/// # Errors
/// When a file system or the machine has less.
pub(crate) fn check() -> anyhow::Result<()> {
    enough_memory(memory())?;
    let is_first = !paths::cache().join("tools/kubernetes").is_dir();
    [Path::new(DOCKER), &paths::cache()]
        .into_iter()
        .try_for_each(|directory| enough_space(directory, free(directory)?, is_first))
}

/// Whether the compilers may spend memory to save time.
pub(crate) fn has_plenty() -> bool {
    memory() >= PLENTY
}

fn enough_memory(memory: f64) -> anyhow::Result<()> {
    ensure!(
        memory >= MEMORY,
        "this machine has {memory:.1} GB of memory, and the pipeline needs 4 GB: Kubernetes, a builder, and a compiler; use a larger one"
    );
    Ok(())
}

fn enough_space(directory: &Path, free: f64, is_first: bool) -> anyhow::Result<()> {
    let (needed, what) = if is_first {
        (DISK_OF_FIRST, "the first run")
    } else {
        (DISK, "a run")
    };
    ensure!(
        free >= needed,
        "only {free:.1} GB are free for `{}`, and {what} needs {needed} GB; free some space, for example with `cargo xtask down --purge`",
        directory.display()
    );
    Ok(())
}

// In gigabytes; a machine that does not report it is not refused.
fn memory() -> f64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    total(&text).unwrap_or(MEMORY)
}

// Of `/proc/meminfo` (proc(5)).
fn total(text: &str) -> Option<f64> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_that_is_too_small_is_refused_with_what_it_has() {
        assert!(enough_memory(3.9).is_ok());
        assert_eq!(
            enough_memory(2.04).unwrap_err().to_string(),
            "this machine has 2.0 GB of memory, and the pipeline needs 4 GB: Kubernetes, a builder, and a compiler; use a larger one"
        );
        let cache = Path::new("/cache");
        assert!(enough_space(cache, 11.0, false).is_ok());
        assert_eq!(
            enough_space(cache, 11.0, true).unwrap_err().to_string(),
            "only 11.0 GB are free for `/cache`, and the first run needs 12 GB; free some space, for example with `cargo xtask down --purge`"
        );
        let meminfo = "MemFree:  1 kB\nMemTotal:       24654321 kB\n";
        assert_eq!(total(meminfo), Some(24.654_321));
        assert_eq!(total("MemTotal: many"), None);
    }
}
