//! What a scan of a directory leaves out, for other walks over the same files.
//!
//! The rules are Trivy's (`BuildSkipPaths` and `WalkDirFunc` in `pkg/fanal/walker/fs.go`): globs of doublestar, relative to
//! the scanned directory, or to that in which Trivy runs if they lead into the scanned one.

use std::path::{Component, Path, PathBuf};

use actions_toolkit::glob;
use globset::GlobMatcher;
use trivy::{Scan, Target};
use walkdir::DirEntry;

use super::{links, system_directories};

/// What one scan leaves out.
#[derive(Debug, Default)]
pub(super) struct Skipped {
    directories: Vec<GlobMatcher>,
    files: Vec<GlobMatcher>,
}

impl Skipped {
    /// What `scan` leaves out; nothing unless it is one of a directory.
    pub(super) fn new(scan: &Scan) -> Self {
        let (Target::Filesystem(root) | Target::Config(root)) = &scan.target else {
            return Self::default();
        };
        // As the process sees it.
        let directory = scan.directory.canonicalize();
        let directory = directory.unwrap_or_else(|_| scan.directory.clone());
        let exact = scan.skip.iter();
        let exact: Vec<_> = exact
            .map(|path| path.to_string_lossy().into_owned())
            .collect();
        let compile = |globs: &[String]| -> Vec<GlobMatcher> {
            let globs = exact.iter().chain(globs);
            let patterns = globs.filter_map(|glob| pattern(glob, root, &directory));
            // Trivy looks at none that follow an invalid one.
            let compiled = patterns.map_while(|pattern| matchers(&pattern).ok());
            compiled.flatten().collect()
        };
        Self {
            directories: compile(&scan.skip_dirs),
            files: compile(&scan.skip_files),
        }
    }

    /// Whether `entry` of a walk over `root`, the scanned directory, is left out.
    pub(super) fn has(&self, entry: &DirEntry, root: &Path) -> bool {
        system_directories::is_one(entry, root) || self.is_requested(entry, root)
    }

    /// The same, or it is a directory whose files are not part of the project.
    pub(super) fn omits(&self, entry: &DirEntry, root: &Path) -> bool {
        links::is_excluded(entry.file_name()) || self.has(entry, root)
    }

    /// Whether the step requests that `entry` is left out.
    pub(super) fn is_requested(&self, entry: &DirEntry, root: &Path) -> bool {
        let path = entry.path();
        let path = text(path.strip_prefix(root).unwrap_or(path));
        let globs = if entry.file_type().is_dir() {
            &self.directories
        } else {
            &self.files
        };
        globs.iter().any(|glob| glob.is_match(&path))
    }
}

// `glob` relative to `root`; `None` if it leads elsewhere. A relative one is of `directory`.
fn pattern(glob: &str, root: &Path, directory: &Path) -> Option<String> {
    let path = Path::new(glob);
    let absolute = cleaned(&directory.join(path));
    match absolute.strip_prefix(root) {
        Ok(below) => Some(text(below)),
        Err(_) if path.is_relative() => Some(text(&cleaned(path))),
        Err(_) => None,
    }
}

// In doublestar, `a/**` is `a` too.
fn matchers(pattern: &str) -> Result<Vec<GlobMatcher>, String> {
    let mut matchers = vec![glob::paths(pattern)?];
    if let Some(directory) = pattern.strip_suffix("/**") {
        matchers.push(glob::paths(directory)?);
    }
    Ok(matchers)
}

// Without `.`, and without `..` after a name, as Go's `filepath.Clean` has it.
fn cleaned(path: &Path) -> PathBuf {
    let mut cleaned = PathBuf::new();
    for component in path.components() {
        let last = cleaned.components().next_back();
        let has_name = matches!(last, Some(Component::Normal(_)));
        match component {
            Component::CurDir => {}
            Component::ParentDir if has_name => {
                cleaned.pop();
            }
            component => cleaned.push(component),
        }
    }
    cleaned
}

// The scanned directory itself is `.`.
fn text(path: &Path) -> String {
    if path.as_os_str().is_empty() {
        return ".".to_owned();
    }
    path.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use walkdir::WalkDir;

    use super::*;

    #[test]
    fn globs_are_those_of_trivy() {
        let directory = tempfile::tempdir().unwrap();
        let workspace = directory.path().canonicalize().unwrap();
        let root = workspace.join("app");
        std::fs::create_dir_all(root.join("lib/sub")).unwrap();
        std::fs::create_dir_all(root.join("sys/lib")).unwrap();
        std::fs::write(root.join("a.txt"), "").unwrap();
        std::fs::write(root.join("lib/b.txt"), "").unwrap();
        let absolute = root.join("lib").to_string_lossy().into_owned();
        let elsewhere = workspace.join("lib").to_string_lossy().into_owned();
        let table: [(&[&str], &[&str], &str); 14] = [
            (&[], &[], ". a.txt lib lib/b.txt lib/sub"),
            (&["lib"], &[], ". a.txt"),
            (&["./lib/"], &[], ". a.txt"),
            (&["app/lib"], &[], ". a.txt"),
            (&["./app/x/../lib"], &[], ". a.txt"),
            (&["lib/**"], &[], ". a.txt"),
            (&["**/sub"], &[], ". a.txt lib lib/b.txt"),
            (&["sub"], &[], ". a.txt lib lib/b.txt lib/sub"),
            (&["{sub,lib}"], &[], ". a.txt"),
            (&["[", "lib"], &[], ". a.txt lib lib/b.txt lib/sub"),
            (&[absolute.as_str()], &[], ". a.txt"),
            (&[elsewhere.as_str()], &[], ". a.txt lib lib/b.txt lib/sub"),
            (&[], &["*.txt"], ". lib lib/b.txt lib/sub"),
            (&["a.txt"], &["**/*.txt", "lib"], ". lib lib/sub"),
        ];
        for (skip_dirs, skip_files, left) in table {
            let mut scan = Scan::new(Target::Filesystem(root.clone()), "cache");
            scan.directory.clone_from(&workspace);
            scan.skip_dirs = skip_dirs.iter().map(ToString::to_string).collect();
            scan.skip_files = skip_files.iter().map(ToString::to_string).collect();
            let skipped = Skipped::new(&scan);
            let entries = WalkDir::new(&root).sort_by_file_name().into_iter();
            let entries = entries.filter_entry(|entry| !skipped.has(entry, &root));
            let entries = entries.map(|entry| {
                let entry = entry.unwrap();
                text(entry.path().strip_prefix(&root).unwrap())
            });
            let found: Vec<_> = entries.collect();
            assert_eq!(found.join(" "), left, "{skip_dirs:?} {skip_files:?}");
        }
    }

    #[test]
    fn a_path_that_is_left_out_is_a_file_or_a_directory() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().canonicalize().unwrap();
        std::fs::create_dir(root.join("base")).unwrap();
        std::fs::write(root.join("report.json"), "").unwrap();
        let mut scan = Scan::new(Target::Config(root.clone()), "cache");
        scan.directory.clone_from(&root);
        scan.skip = vec![root.join("base"), root.join("report.json")];
        let skipped = Skipped::new(&scan);
        let entries = WalkDir::new(&root).into_iter();
        let entries = entries.filter_entry(|entry| !skipped.has(entry, &root));
        assert_eq!(entries.count(), 1);
    }
}
