//! Files of the workspace, read once.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::path::{Component, Path, PathBuf};
use std::rc::Rc;

use crate::ecosystems::{self, Ecosystem, PackageIndex};
use crate::fingerprint::hash_lines;

/// Bytes of the largest file that is read; lock files and configuration are smaller.
const LIMIT: usize = 8 * limits::MIB;
/// Lines of the largest file whose lines are hashed.
const LINES: usize = 1_000_000;
/// Hashed lines that are kept.
const CACHED_LINES: usize = 2 * LINES;
/// Files of a directory in which a package is looked up.
const PACKAGE_FILES: usize = 50;
/// Lines of the longest secret whose text is read; a private key has about 50.
const SECRET_LINES: usize = 200;

/// Files of a directory, each read at its first use.
#[derive(Debug, Default)]
pub struct SourceFiles {
    root: PathBuf,
    hashes: RefCell<HashMap<String, Rc<Vec<String>>>>,
    /// The number of lines in `hashes`.
    hashed: Cell<usize>,
    package_indices: RefCell<HashMap<String, Option<Rc<PackageIndex>>>>,
    /// The last file whose lines were read.
    last: RefCell<Option<(String, Rc<Lines>)>>,
}

/// The text of a file, and where each line starts.
#[derive(Debug, Default)]
struct Lines {
    text: String,
    starts: Vec<usize>,
}

impl Lines {
    fn new(text: String) -> Self {
        let after_breaks = text.match_indices('\n').map(|(at, _)| at + 1);
        let starts = std::iter::once(0).chain(after_breaks).collect();
        Self { text, starts }
    }
}

impl SourceFiles {
    /// The files below `root`.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self {
            root: root.into(),
            ..Self::default()
        }
    }

    /// The text of the file at `path`; `None` if it is outside of the directory, also by a link, not a regular file, too
    /// large or not UTF-8.
    pub fn text(&self, path: &str) -> Option<String> {
        let inside = |part| matches!(part, Component::Normal(_) | Component::CurDir);
        if !Path::new(path).components().all(inside) {
            return None;
        }
        limits::read_text(&self.root, path.as_ref(), LIMIT).ok()
    }

    /// GitHub's hash of line `line`, from 1, of the file at `path`: `<hash>:<number among equal hashes>`.
    pub fn line_hash(&self, path: &str, line: u32) -> Option<String> {
        let at = usize::try_from(line).ok()?.checked_sub(1)?;
        let known = self.hashes.borrow().get(path).cloned();
        let hashes = known.unwrap_or_else(|| self.hash(path));
        hashes.get(at).cloned()
    }

    /// The lines from `start` to `end`, from 1, of the file at `path`, without the blanks around each.
    pub(crate) fn lines(&self, path: &str, (start, end): (u32, u32)) -> Option<String> {
        let mut last = self.last.borrow_mut();
        let lines = match &*last {
            Some((known, lines)) if known == path => Rc::clone(lines),
            _ => {
                let lines = Rc::new(self.text(path).map_or_else(Lines::default, Lines::new));
                *last = Some((path.to_owned(), Rc::clone(&lines)));
                lines
            }
        };
        let first = usize::try_from(start).ok()?.checked_sub(1)?;
        let count = usize::try_from(end.saturating_sub(start)).ok()? + 1;
        let text = &lines.text[*lines.starts.get(first)?..];
        let read = text.lines().take(count.min(SECRET_LINES)).map(str::trim);
        Some(read.collect::<Vec<_>>().join("\n"))
    }

    fn hash(&self, path: &str) -> Rc<Vec<String>> {
        let text = self.text(path);
        let text = text.filter(|text| text.lines().count() <= LINES);
        let hashes = Rc::new(text.map_or_else(Vec::new, |text| hash_lines(&text)));
        let mut cache = self.hashes.borrow_mut();
        // Findings come file by file.
        if self.hashed.get() + hashes.len() > CACHED_LINES {
            cache.clear();
            self.hashed.set(0);
        }
        self.hashed.set(self.hashed.get() + hashes.len());
        cache.insert(path.to_owned(), Rc::clone(&hashes));
        hashes
    }

    /// The packages that the file at `path`, which Trivy read as `trivy_type`, names; `None` if their lines are unknown.
    pub(crate) fn package_index(
        &self,
        path: &str,
        ecosystem: &Ecosystem,
        trivy_type: &str,
    ) -> Option<Rc<PackageIndex>> {
        let mut cache = self.package_indices.borrow_mut();
        let index = cache.entry(path.to_owned()).or_insert_with(|| {
            let name = path.rsplit('/').next().unwrap_or_default();
            let index = ecosystem.package_index(name, trivy_type, || self.text(path))?;
            Some(Rc::new(index))
        });
        index.clone()
    }

    /// Files in `directory` that name packages on known lines, those that lock versions first.
    pub(crate) fn package_files(&self, directory: &str) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(self.root.join(directory)) else {
            return Vec::new();
        };
        let mut names: Vec<_> = entries
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter_map(|name| Some((ecosystems::rank(&name)?, name)))
            .collect();
        names.sort();
        names.truncate(PACKAGE_FILES);
        let path = |name: String| match directory {
            "" => name,
            directory => format!("{directory}/{name}"),
        };
        names.into_iter().map(|(_, name)| path(name)).collect()
    }
}
