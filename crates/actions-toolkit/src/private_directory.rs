//! Directories for the files of one run: credentials, tools, layers.

use std::fs::{DirEntry, File};
use std::os::unix::fs::{
    DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
};
use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use rustix::fs::{FlockOperation, OFlags, flock};
use tempfile::TempDir;

use crate::Context;

const PREFIX: &str = "seaworthy-";
/// Held while the run lives; the kernel lets go of it however the run ends.
const LOCK: &str = ".lock";
/// A directory without a lock was abandoned before it had one.
const ABANDONED: Duration = Duration::from_hours(1);

/// A directory that only this user can look into. It is removed when this is dropped, or, if the run is killed before,
/// by the next one that makes one in the same directory, such as `RUNNER_TEMP`.
#[derive(Debug)]
pub struct PrivateDirectory {
    directory: TempDir,
    _lock: File,
}

impl PrivateDirectory {
    /// A new one in `parent`, for `purpose`, which is part of its name. Those that killed runs have left there are removed
    /// first.
    ///
    /// # Errors
    /// When it can't be created.
    pub fn create_in(parent: &Path, purpose: &str) -> std::io::Result<Self> {
        remove_abandoned(parent);
        Self::create(parent, purpose)
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// A new directory inside, with the same permissions. It is removed with this one.
    ///
    /// # Errors
    /// When it can't be created.
    pub fn subdirectory(&self, name: &str) -> anyhow::Result<std::path::PathBuf> {
        let path = self.path().join(name);
        std::fs::DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .with_context(|| format!("failed to create `{}`", path.display()))?;
        Ok(path)
    }

    fn create(parent: &Path, purpose: &str) -> std::io::Result<Self> {
        let directory = tempfile::Builder::new()
            .prefix(&format!("{PREFIX}{purpose}-"))
            .permissions(std::fs::Permissions::from_mode(0o700))
            .tempdir_in(parent)?;
        let lock = File::options()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(directory.path().join(LOCK))?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive)?;
        Ok(Self {
            directory,
            _lock: lock,
        })
    }
}

impl Context {
    /// A new private directory in [`Context::temp_dir`], for `purpose`, which is part of its name. Those of runs that were
    /// killed are removed first.
    ///
    /// # Errors
    /// When it can't be created.
    pub fn private_directory(&self, purpose: &str) -> anyhow::Result<PrivateDirectory> {
        let parent = self.temp_dir();
        PrivateDirectory::create_in(&parent, purpose).with_context(|| {
            format!(
                "failed to create a directory for {purpose} in `{}`",
                parent.display()
            )
        })
    }
}

/// Remove from `parent` what killed runs have left. What can't be removed stays for the next run, and does not fail this one.
pub(crate) fn remove_abandoned(parent: &Path) {
    let entries = std::fs::read_dir(parent).into_iter().flatten().flatten();
    for entry in entries.filter(is_ours) {
        if is_abandoned(&entry.path()) {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

fn is_ours(entry: &DirEntry) -> bool {
    let user = rustix::process::geteuid().as_raw();
    entry.file_name().to_string_lossy().starts_with(PREFIX)
        && entry
            .metadata()
            .is_ok_and(|metadata| metadata.is_dir() && metadata.uid() == user)
}

fn is_abandoned(directory: &Path) -> bool {
    let flags = i32::try_from(OFlags::NOFOLLOW.bits()).unwrap_or_default();
    let lock = File::options()
        .write(true)
        .custom_flags(flags)
        .open(directory.join(LOCK));
    match lock {
        Ok(lock) => flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok(),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            let made = directory
                .metadata()
                .and_then(|metadata| metadata.modified());
            let age = made
                .ok()
                .and_then(|made| SystemTime::now().duration_since(made).ok());
            age.is_some_and(|age| age > ABANDONED)
        }
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_else_looks_into_it_and_nothing_is_left() {
        let parent = tempfile::tempdir().unwrap();
        let private = PrivateDirectory::create(parent.path(), "layers").unwrap();
        let inside = private.subdirectory("one").unwrap();
        for path in [private.path(), &inside] {
            assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o700);
        }
        drop(private);
        assert_eq!(parent.path().read_dir().unwrap().count(), 0);
    }

    #[test]
    fn the_next_run_removes_what_a_killed_one_left() {
        let parent = tempfile::tempdir().unwrap();
        let alive = PrivateDirectory::create(parent.path(), "alive").unwrap();
        let killed = parent.path().join("seaworthy-killed-1");
        let strangers = parent.path().join("strangers");
        let linked = parent.path().join("seaworthy-linked-1");
        for directory in [&killed, &strangers] {
            std::fs::create_dir(directory).unwrap();
            std::fs::write(directory.join(LOCK), "").unwrap();
        }
        std::os::unix::fs::symlink(&strangers, &linked).unwrap();
        remove_abandoned(parent.path());
        assert!(!killed.exists());
        assert!(alive.path().exists() && strangers.join(LOCK).exists() && linked.exists());
    }
}
