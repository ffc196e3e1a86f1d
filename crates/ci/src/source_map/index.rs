//! The files of the build context by their names, for paths that start somewhere in it.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, OnceLock};

/// Entries of the build context that are looked at.
const ENTRIES: usize = 200_000;
/// Files of one name that a path is compared with.
const SAME_NAME: usize = 1000;
/// Directories without sources of the project.
const NOT_OF_THE_PROJECT: &[&str] = &[
    ".git",
    ".nox",
    ".tox",
    ".venv",
    "dist-packages",
    "node_modules",
    "site-packages",
    "venv",
];

/// The files of a directory, which is read at the first look-up.
#[derive(Debug, Clone, Default)]
pub(crate) struct FileIndex(Arc<OnceLock<HashMap<OsString, Vec<PathBuf>>>>);

impl FileIndex {
    /// The only file of `context` that shares the most parts at the end with `path`, and at least `least` of them; relative to
    /// `context`.
    pub(super) fn only(&self, context: &Path, path: &Path, least: usize) -> Option<&Path> {
        let index = self.0.get_or_init(|| files(context));
        let same_name = index.get(path.file_name()?)?;
        if same_name.len() > SAME_NAME {
            return None;
        }
        let shared = |file: &Path| {
            let both = file.components().rev().zip(path.components().rev());
            both.take_while(|(one, other)| one == other).count()
        };
        let most = same_name.iter().map(|file| shared(file)).max()?;
        let mut best = same_name.iter().filter(|file| shared(file) == most);
        let only = best.next().filter(|_| best.next().is_none())?;
        (most >= least).then_some(only.as_path())
    }
}

/// The parts of `path` that have a name.
pub(super) fn named_parts(path: &Path) -> impl Iterator<Item = &str> {
    path.components().filter_map(|part| match part {
        Component::Normal(part) => part.to_str(),
        _ => None,
    })
}

fn files(context: &Path) -> HashMap<OsString, Vec<PathBuf>> {
    let is_of_project = |entry: &walkdir::DirEntry| {
        let name = entry.file_name().to_str();
        entry.depth() == 0 || !name.is_some_and(|name| NOT_OF_THE_PROJECT.contains(&name))
    };
    let entries = walkdir::WalkDir::new(context)
        .sort_by_file_name()
        .into_iter()
        .filter_entry(is_of_project);
    let mut index: HashMap<OsString, Vec<PathBuf>> = HashMap::new();
    for (number, entry) in entries.enumerate() {
        if number == ENTRIES {
            // Of a part of them it is not known which file is the only one.
            return HashMap::new();
        }
        let Ok(entry) = entry else { continue };
        if entry.file_type().is_file()
            && let Ok(path) = entry.path().strip_prefix(context)
        {
            let same_name = index.entry(entry.file_name().to_owned()).or_default();
            same_name.push(path.to_owned());
        }
    }
    index
}
