//! Where things are: the checkout, the state of the running stack, the cache.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use sha2::{Digest as _, Sha256};

/// The root of the checkout.
pub fn root() -> PathBuf {
    // The crate is two directories below it.
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_owned()
}

/// The state of the running stack: `SEAWORTHY_STATE`, or one directory for the machine, since there is
/// one Docker, one set of addresses and one node on it for any number of checkouts and users.
pub fn state() -> PathBuf {
    std::env::var_os("SEAWORTHY_STATE").map_or_else(|| "/var/lib/seaworthy".into(), PathBuf::from)
}

/// The locks of what there is once on the machine.
pub(crate) fn locks() -> PathBuf {
    PathBuf::from("/run/lock/seaworthy")
}

/// What is kept between runs: `SEAWORTHY_CACHE`, or the user's cache directory.
pub fn cache() -> PathBuf {
    if let Some(path) = std::env::var_os("SEAWORTHY_CACHE") {
        return path.into();
    }
    let base = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let home = std::env::var_os("HOME").map_or_else(|| "/root".into(), PathBuf::from);
    base.unwrap_or_else(|| home.join(".cache"))
        .join("seaworthy")
}

/// Remove what is kept between runs, and the locks; a directory of the user's with other things in it stays.
///
/// # Errors
/// When a part of it can't be removed.
pub(crate) fn purge() -> anyhow::Result<()> {
    let kept = |path: &PathBuf| path.exists();
    let of_cache = ["tools", "base-images", "go-build", "release"].map(|part| cache().join(part));
    for directory in of_cache.into_iter().chain([locks()]).filter(kept) {
        std::fs::remove_dir_all(&directory)
            .with_context(|| format!("failed to remove `{}`", directory.display()))?;
    }
    for file in [
        "timings.json",
        "timings.lock",
        "go-build.lock",
        "passed.json",
    ] {
        let _ = std::fs::remove_file(cache().join(file));
    }
    let _ = std::fs::remove_dir(cache());
    Ok(())
}

/// The key of a cached result: a hash of the files it was made from (all of `directory`, in order) and
/// of `flags`.
pub fn key(directory: &Path, flags: &str) -> anyhow::Result<String> {
    key_of(directory, |_| true, flags)
}

/// The same of those files whose path in `directory` `is_included`.
pub fn key_of(
    directory: &Path,
    is_included: impl Fn(&Path) -> bool,
    flags: &str,
) -> anyhow::Result<String> {
    let mut hash = Sha256::new();
    for entry in walkdir::WalkDir::new(directory).sort_by_file_name() {
        let entry = entry.with_context(|| format!("failed to read `{}`", directory.display()))?;
        let name = entry.path().strip_prefix(directory).unwrap_or(entry.path());
        if entry.file_type().is_file() && is_included(name) {
            hash.update(name.as_os_str().as_encoded_bytes());
            hash.update([0]);
            hash.update(std::fs::read(entry.path())?);
            hash.update([0]);
        }
    }
    hash.update(flags.as_bytes());
    Ok(short(hash))
}

/// The key of what was made from `text` alone.
pub(crate) fn key_of_text(text: impl AsRef<[u8]>) -> String {
    short(Sha256::new_with_prefix(text))
}

/// The key that a `hash` makes.
pub(crate) fn short(hash: Sha256) -> String {
    hex(&hash.finalize()[..8])
}

/// The digits of `bytes`.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_key_depends_on_names_contents_and_flags() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("go.mod"), "module x").unwrap();
        let first = super::key(directory.path(), "-s").unwrap();
        assert_eq!(first, super::key(directory.path(), "-s").unwrap());
        assert_ne!(first, super::key(directory.path(), "-w").unwrap());
        std::fs::write(directory.path().join("go.mod"), "module y").unwrap();
        assert_ne!(first, super::key(directory.path(), "-s").unwrap());
    }
}
