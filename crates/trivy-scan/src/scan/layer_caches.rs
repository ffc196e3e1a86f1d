//! The caches of layers of scans that run at the same time: Trivy locks one while it runs, so each scan has its own. Images of one
//! registry have layers in common, which would be read again for each of them without a cache.

use std::collections::BTreeSet;
use std::fs::{File, TryLockError};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use trivy::{Scan, Target};

/// The directory of all but the first one, in Trivy's cache directory.
const DIRECTORY: &str = "seaworthy-layers";
/// The databases, which all have in common.
const SHARED: [&str; 2] = ["db", "java-db"];
/// Caches, at most: more scans at once go on without one.
const MAX: usize = 32;

/// The caches of one step.
pub(crate) struct LayerCaches {
    /// Trivy's cache directory, which is the first cache.
    directory: PathBuf,
    taken: Mutex<BTreeSet<usize>>,
}

/// A cache that no other scan uses while this is alive.
pub(super) struct LayerCache<'a> {
    caches: &'a LayerCaches,
    number: usize,
    path: PathBuf,
    _lock: Option<File>,
}

impl LayerCaches {
    pub(crate) fn new(directory: &Path) -> Self {
        Self {
            directory: directory.to_owned(),
            taken: Mutex::default(),
        }
    }

    /// Let `scan` use one, if it reads layers.
    pub(super) fn use_in(&self, scan: &mut Scan) -> Option<LayerCache<'_>> {
        let has_layers = matches!(scan.target, Target::Image(_) | Target::Archive(_));
        if !has_layers || scan.cache != self.directory {
            return None;
        }
        let cache = self.take()?;
        scan.cache.clone_from(&cache.path);
        scan.shared_cache = false;
        Some(cache)
    }

    fn taken(&self) -> MutexGuard<'_, BTreeSet<usize>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // The first one that is free: it has the layers of the scans before.
    fn take(&self) -> Option<LayerCache<'_>> {
        for number in 1..=MAX {
            if !self.taken().insert(number) {
                continue;
            }
            let Ok((path, lock)) = self.open(number) else {
                // The scan then keeps no layers.
                self.taken().remove(&number);
                return None;
            };
            let of_another_step = lock
                .as_ref()
                .is_some_and(|lock| matches!(lock.try_lock(), Err(TryLockError::WouldBlock)));
            if of_another_step {
                self.taken().remove(&number);
                continue;
            }
            return Some(LayerCache {
                caches: self,
                number,
                path,
                _lock: lock,
            });
        }
        None
    }

    // Trivy itself locks the first one.
    fn open(&self, number: usize) -> std::io::Result<(PathBuf, Option<File>)> {
        if number == 1 {
            return Ok((self.directory.clone(), None));
        }
        let path = self.directory.join(DIRECTORY).join(number.to_string());
        std::fs::create_dir_all(&path)?;
        for name in SHARED {
            let link = path.join(name);
            if link.symlink_metadata().is_err() {
                match symlink(Path::new("../..").join(name), &link) {
                    // Another step was faster.
                    Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {}
                    made => made?,
                }
            }
        }
        let lock = File::create(path.join("lock"))?;
        Ok((path, Some(lock)))
    }
}

impl Drop for LayerCache<'_> {
    fn drop(&mut self) {
        self.caches.taken().remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_scan_at_a_time_has_its_own_cache_with_the_common_databases() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("db")).unwrap();
        std::fs::write(directory.path().join("db/trivy.db"), "db").unwrap();
        let (step, other) = (
            LayerCaches::new(directory.path()),
            LayerCaches::new(directory.path()),
        );
        let name = |cache: &LayerCache<'_>| {
            let inside = cache.path.strip_prefix(directory.path()).unwrap();
            inside.to_string_lossy().into_owned()
        };
        let first = step.take().unwrap();
        let second = step.take().unwrap();
        assert_eq!([&first, &second].map(name), ["", "seaworthy-layers/2"]);
        let database = std::fs::read_to_string(second.path.join("db/trivy.db"));
        assert_eq!(database.unwrap(), "db");
        // Another step has the first one too, where Trivy's own lock decides, and no other that is in use.
        let of_other = [other.take().unwrap(), other.take().unwrap()];
        assert_eq!(of_other.each_ref().map(name), ["", "seaworthy-layers/3"]);
        drop(second);
        assert_eq!(name(&step.take().unwrap()), "seaworthy-layers/2");
        drop(first);
        assert_eq!(name(&step.take().unwrap()), "");
    }

    #[test]
    fn only_a_scan_of_layers_has_one() {
        let caches = LayerCaches::new(Path::new("/c"));
        let of = |target: Target, cache: &str| {
            let mut scan = Scan::new(target, Path::new(cache));
            scan.shared_cache = true;
            caches.use_in(&mut scan).is_some() && !scan.shared_cache
        };
        assert!(of(Target::Image("app:1".to_owned()), "/c"));
        assert!(of(Target::Archive("app.tar".into()), "/c"));
        assert!(!of(Target::Filesystem(".".into()), "/c"));
        assert!(!of(Target::Image("app:1".to_owned()), "/private"));
    }
}
