//! Files of the workspace, read once.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::{Component, Path, PathBuf};
use std::rc::Rc;

use super::lock_file::LockFile;
use crate::line_hash;

/// A larger file is not looked into: no lock file and no configuration is.
const LIMIT: u64 = 8 << 20;

/// Files of a folder, read when asked for, and once.
#[derive(Debug, Default)]
pub struct SourceFiles {
    root: PathBuf,
    hashes: RefCell<HashMap<String, Rc<Vec<String>>>>,
    lock_files: RefCell<HashMap<String, Option<Rc<LockFile>>>>,
}

impl SourceFiles {
    /// The files of `root`.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self {
            root: root.into(),
            ..Self::default()
        }
    }

    /// The text of the file at `path`; nothing for what is not a file in the folder, or is no text.
    pub fn text(&self, path: &str) -> Option<String> {
        let inside = |part| matches!(part, Component::Normal(_) | Component::CurDir);
        if !Path::new(path).components().all(inside) {
            return None;
        }
        let path = self.root.join(path);
        let about = path.metadata().ok()?;
        if !about.is_file() || about.len() > LIMIT {
            return None;
        }
        std::fs::read_to_string(path).ok()
    }

    /// The identity of line `line`, from 1, of the file at `path`.
    pub fn line_hash(&self, path: &str, line: u32) -> Option<String> {
        let mut known = self.hashes.borrow_mut();
        let hashes = known.entry(path.to_owned()).or_insert_with(|| {
            let text = self.text(path);
            Rc::new(text.map_or_else(Vec::new, |text| line_hash::of_lines(&text)))
        });
        let at = usize::try_from(line).ok()?.checked_sub(1)?;
        hashes.get(at).cloned()
    }

    /// The lock file at `path`.
    pub fn lock_file(&self, path: &str) -> Option<Rc<LockFile>> {
        let mut known = self.lock_files.borrow_mut();
        let file = known.entry(path.to_owned()).or_insert_with(|| {
            let name = path.rsplit('/').next().unwrap_or_default();
            Some(Rc::new(LockFile::read(name, &self.text(path)?)))
        });
        file.clone()
    }

    /// Files in `folder` that name packages, those that lock versions first.
    pub fn lock_files(&self, folder: &str) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(self.root.join(folder)) else {
            return Vec::new();
        };
        let mut names: Vec<_> = entries
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter_map(|name| Some((LockFile::rank(&name)?, name)))
            .collect();
        names.sort();
        let path = |name: String| {
            if folder.is_empty() {
                name
            } else {
                format!("{folder}/{name}")
            }
        };
        names.into_iter().map(|(_, name)| path(name)).collect()
    }
}
