//! Links in the scanned directory. Trivy reads regular files only (`pkg/fanal/walker/fs.go`), so what a link leads to is scanned
//! only if it is in that directory too.

use std::cell::Cell;
use std::path::{Path, PathBuf};

use findings::ecosystems;
use walkdir::{DirEntry, WalkDir};

use super::broken_lock_files::is_lock_file;
use super::coverage::{DEPTH, EXCLUDED};
use super::system_directories;

/// Entries that are looked at behind all links of a target: a thousand links may lead to one large directory.
pub(super) const ENTRIES: usize = 200_000;

/// Whether it is a link below the scanned directory, which may be one itself.
pub(super) fn is_link(entry: &DirEntry) -> bool {
    entry.depth() > 0 && entry.path_is_symlink()
}

/// Whether Trivy reads the file at `path` below `root`: a file, or a link to one of the same name in `root`.
pub(super) fn is_scanned(root: &Path, path: &Path) -> bool {
    match path.symlink_metadata() {
        Ok(metadata) if metadata.is_symlink() => leads_to_scanned_file(root, path),
        Ok(metadata) => metadata.is_file(),
        Err(_) => false,
    }
}

/// What is not scanned because of a link, which is `path` in the workspace: a lock file, a manifest, or a directory with such
/// files next to `root` or below that. `left` is what is left of [`ENTRIES`]; once it is none, a directory counts as one with such
/// files.
pub(super) fn gap(entry: &DirEntry, root: &Path, path: &str, left: &Cell<usize>) -> Option<String> {
    // One that leads nowhere leaves out nothing.
    let metadata = entry.path().metadata().ok()?;
    let left_out = if metadata.is_dir() {
        leads_to_packages(root, entry.path(), left).then_some("the packages there")?
    } else {
        let is_left_out = names_packages(&entry.file_name().to_string_lossy())
            && metadata.is_file()
            && !leads_to_scanned_file(root, entry.path());
        is_left_out.then_some("its packages")?
    };
    Some(format!(
        "{path} is a link, which Trivy does not follow; {left_out} were not scanned"
    ))
}

/// Whether the file `name` is a lock file or a manifest.
pub(super) fn names_packages(name: &str) -> bool {
    is_lock_file(name) || ecosystems::names_packages(name)
}

/// Whether a directory of this `name` has files that are not part of the project.
pub(super) fn is_excluded(name: &std::ffi::OsStr) -> bool {
    name.to_str().is_some_and(|name| EXCLUDED.contains(&name))
}

fn leads_to_scanned_file(root: &Path, link: &Path) -> bool {
    let Some((root, target)) = resolved(root, link) else {
        return false;
    };
    let Ok(inside) = target.strip_prefix(&root) else {
        return false;
    };
    target.is_file()
        && target.file_name() == link.file_name()
        && !inside.iter().any(is_excluded)
        && !system_directories::contains(inside)
}

// A directory in `root` is scanned in its own place. One elsewhere on the machine, such as in a cache, is not a part of the
// project.
fn leads_to_packages(root: &Path, link: &Path, left: &Cell<usize>) -> bool {
    let Some((root, target)) = resolved(root, link) else {
        return false;
    };
    let is_in_project = root
        .parent()
        .is_some_and(|parent| target.starts_with(parent));
    if !is_in_project || target.starts_with(&root) || root.starts_with(&target) {
        return false;
    }
    let mut files = WalkDir::new(&target)
        .max_depth(DEPTH)
        .into_iter()
        .filter_entry(|entry| !is_excluded(entry.file_name()))
        .filter_map(Result::ok)
        .take_while(|_| {
            left.set(left.get().saturating_sub(1));
            left.get() > 0
        })
        .filter(|entry| entry.file_type().is_file());
    files.any(|entry| names_packages(&entry.file_name().to_string_lossy())) || left.get() == 0
}

// Both without links.
fn resolved(root: &Path, link: &Path) -> Option<(PathBuf, PathBuf)> {
    Some((root.canonicalize().ok()?, link.canonicalize().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_links_to_a_large_directory_are_not_followed_for_ever() {
        let directory = tempfile::tempdir().unwrap();
        let (root, large) = (directory.path().join("app"), directory.path().join("large"));
        std::fs::create_dir(&root).unwrap();
        std::fs::create_dir(&large).unwrap();
        for at in 0..10 {
            std::fs::write(large.join(at.to_string()), "").unwrap();
            std::os::unix::fs::symlink(&large, root.join(at.to_string())).unwrap();
        }
        let entries = || WalkDir::new(&root).into_iter().flatten().filter(is_link);
        let gaps = |left: usize| {
            let left = Cell::new(left);
            let gaps = entries().filter_map(|entry| gap(&entry, &root, "link", &left));
            (gaps.count(), left.get())
        };
        // The directory itself, and its files.
        assert_eq!(gaps(200), (0, 200 - 10 * 11));
        assert_eq!(gaps(40), (7, 0));
    }
}
