//! Every file format that names packages, in one table: a row for each file, a module for each package manager's ecosystem.
//!
//! Two parts of the suite read it. [`Locator`](crate::Locator) shows a finding on the line that names the package, and
//! [`unlocked`] finds manifests whose versions no scanner can know.
//!
//! A new lock file is a row in its ecosystem's table. A new ecosystem is a module with such a table and a line in
//! `ECOSYSTEMS`.

mod cpp;
mod dart;
mod dotnet;
mod elixir;
mod java;
mod julia;
mod npm;
mod php;
mod python;
mod ruby;
mod rust;
mod scala;
mod swift;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;

const ECOSYSTEMS: &[&Ecosystem] = &[
    &python::PYTHON,
    &npm::NPM,
    &java::JAVA,
    &php::PHP,
    &ruby::RUBY,
    &rust::RUST,
    &dotnet::DOTNET,
    &dart::DART,
    &swift::SWIFT,
    &swift::COCOAPODS,
    &elixir::ELIXIR,
    &cpp::CPP,
    &scala::SCALA,
    &julia::JULIA,
];

/// A package manager's world: how names are compared, and the files that name packages.
pub(crate) struct Ecosystem {
    /// Trivy's type of a result with installed packages, `python-pkg`; `None` if no file of the table is shown for them.
    installed: Option<&'static str>,
    /// The form in which two spellings of one name are equal.
    normalize: fn(&str) -> String,
    /// Those that lock versions first: where several files in a directory name a package, the first one is shown.
    files: &'static [PackageFile],
}

/// A file format that names packages.
struct PackageFile {
    name: FileName,
    /// Trivy's type of a result from such a file; `None` if Trivy does not read it.
    trivy_type: Option<&'static str>,
    /// Whether the versions of a project that has this file are known.
    locks: bool,
    /// On which lines packages are named; `None` if Trivy's report has the lines.
    lines: Option<fn(&str) -> Vec<PackageLine>>,
    unlocked: Unlocked,
}

enum FileName {
    Exact(&'static str),
    /// Start and end of the name.
    Affixes(&'static str, &'static str),
}

/// When versions of packages that a file names are unknown.
enum Unlocked {
    Never,
    /// Of packages without a version in the file: these.
    Unpinned(fn(&str) -> BTreeSet<String>),
    /// Of all packages, if Trivy does not read the file, by its name and text; else as `Unpinned`.
    UnreadOrUnpinned(fn(&str, &str) -> bool, fn(&str) -> BTreeSet<String>),
    /// Of all packages, if the text declares any and no lock file is next to it.
    WithoutLockFile {
        declares_packages: fn(&str) -> bool,
        is_locked_above: Option<IsLockedAbove>,
    },
}

/// Whether a file in a directory above locks the versions of the manifest with this text, by rules of the ecosystem.
type IsLockedAbove = fn(&str, &dyn Directories) -> bool;

/// A line that names a package.
#[derive(Debug, Clone, PartialEq, Eq)]
struct PackageLine {
    name: String,
    /// Empty where the file has none.
    version: String,
    /// From 1.
    line: u32,
}

/// What is unknown of a manifest's packages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gap {
    /// The versions of these packages; never empty.
    Unpinned(BTreeSet<String>),
    /// All versions: the manifest has no lock file.
    NoLockFile,
    /// All versions: Trivy does not read this lock file.
    UnreadLockFile(&'static str),
    /// All versions: Trivy does not read a file of this name.
    UnreadFile,
}

/// What is unknown of the packages of the file `name`, which is in `directories`. Its `text` is read only if it is a
/// manifest. `is_read` is whether Trivy has found packages in it: by its settings, it reads files of any name.
pub fn unlocked(
    name: &str,
    is_read: bool,
    text: impl FnOnce() -> String,
    directories: &dyn Directories,
) -> Option<Gap> {
    let (ecosystem, file) = ECOSYSTEMS
        .iter()
        .find_map(|ecosystem| Some((ecosystem, ecosystem.file(name)?)))?;
    match file.unlocked {
        Unlocked::Never => None,
        Unlocked::Unpinned(unpinned) => unpinned_gap(unpinned(&text())),
        Unlocked::UnreadOrUnpinned(is_unread, unpinned) => {
            let text = text();
            if !is_read && is_unread(name, &text) {
                return Some(Gap::UnreadFile);
            }
            unpinned_gap(unpinned(&text))
        }
        Unlocked::WithoutLockFile {
            declares_packages,
            is_locked_above,
        } => {
            let text = text();
            let is_locked = |is_locked_above: IsLockedAbove| is_locked_above(&text, directories);
            if !declares_packages(&text) || is_locked_above.is_some_and(is_locked) {
                return None;
            }
            ecosystem.gap(directories)
        }
    }
}

fn unpinned_gap(names: BTreeSet<String>) -> Option<Gap> {
    (!names.is_empty()).then_some(Gap::Unpinned(names))
}

/// Whether the file `name` names packages: a lock file or a manifest.
pub fn names_packages(name: &str) -> bool {
    ECOSYSTEMS
        .iter()
        .any(|ecosystem| ecosystem.file(name).is_some())
}

/// The directory of a manifest, and those that it is in.
pub trait Directories {
    /// Whether the directory of the manifest has the file `name`.
    fn has(&self, name: &str) -> bool;

    /// The text of the file `name` in each directory above, the nearest first, and the path from there to the manifest.
    fn above(&self, name: &str) -> Vec<(Rc<str>, String)>;
}

impl Ecosystem {
    // Why the versions of a manifest are unknown, if they are.
    fn gap(&self, directories: &dyn Directories) -> Option<Gap> {
        let exists = |file: &&(&'static str, bool)| directories.has(file.0);
        let locks: Vec<_> = self.lock_files().collect();
        let next_to_it: Vec<_> = locks.iter().filter(exists).collect();
        if next_to_it.iter().any(|(_, is_read)| *is_read) {
            return None;
        }
        if let Some((name, _)) = next_to_it.first() {
            return Some(Gap::UnreadLockFile(name));
        }
        // The lock file of a workspace names its members.
        let read = locks.iter().filter(|(_, is_read)| *is_read);
        let mut workspaces = read.flat_map(|(name, _)| directories.above(name));
        if workspaces.any(|(lock, member)| names_member(&lock, &member)) {
            return None;
        }
        // That of yarn 1 does not.
        let mut manifests = directories.above("package.json").into_iter();
        let is_yarn = !directories.above("yarn.lock").is_empty()
            && locks.iter().any(|(name, _)| *name == "yarn.lock");
        if is_yarn && manifests.any(|(manifest, _)| manifest.contains("\"workspaces\"")) {
            return None;
        }
        Some(Gap::NoLockFile)
    }
}

// Whether a lock file has the path of a member: `"packages/a"`, `packages/a:`, `workspace:packages/a`.
fn names_member(lock: &str, member: &str) -> bool {
    let is_path = |c: char| c.is_alphanumeric() || "/-_.".contains(c);
    lock.match_indices(member).any(|(at, _)| {
        let before = lock[..at].strip_suffix("./").unwrap_or(&lock[..at]);
        !before.ends_with(is_path) && !lock[at + member.len()..].starts_with(is_path)
    })
}

/// The rank of the file `name` among files that name packages on known lines; `None` for any other file.
pub(crate) fn rank(name: &str) -> Option<(usize, usize)> {
    ECOSYSTEMS.iter().enumerate().find_map(|(at, ecosystem)| {
        let has_lines = |file: &PackageFile| file.lines.is_some() && file.name.matches(name);
        Some((at, ecosystem.files.iter().position(has_lines)?))
    })
}

impl Ecosystem {
    /// Read `text` as every file that names packages.
    #[cfg(fuzzing)]
    pub(crate) fn read_each(text: &str) {
        for file in ECOSYSTEMS.iter().flat_map(|ecosystem| ecosystem.files) {
            if let Some(lines) = file.lines {
                lines(text);
            }
            match file.unlocked {
                Unlocked::Never => {}
                Unlocked::Unpinned(packages) => {
                    packages(text);
                }
                Unlocked::UnreadOrUnpinned(is_unread, packages) => {
                    is_unread("requirements-x.txt", text);
                    packages(text);
                }
                Unlocked::WithoutLockFile {
                    declares_packages, ..
                } => {
                    declares_packages(text);
                }
            }
        }
    }

    /// The ecosystem of a result of `trivy_type`.
    pub(crate) fn from_trivy_type(trivy_type: &str) -> Option<&'static Self> {
        let has_type = |ecosystem: &&&Self| {
            ecosystem.installed == Some(trivy_type) || ecosystem.file_of_type(trivy_type).is_some()
        };
        ECOSYSTEMS.iter().find(has_type).copied()
    }

    /// The packages in the `text` of the file `name`, which Trivy read as `trivy_type`; `None` if the lines are unknown.
    pub(crate) fn package_index(
        &self,
        name: &str,
        trivy_type: &str,
        text: impl FnOnce() -> Option<String>,
    ) -> Option<PackageIndex> {
        // Trivy also reads files of other names, by its file patterns.
        let file = self.file(name).or_else(|| self.file_of_type(trivy_type))?;
        let lines = file.lines?(&text()?);
        let mut index = PackageIndex::default();
        for PackageLine {
            name,
            version,
            line,
        } in lines
        {
            let lines = index.0.entry((self.normalize)(&name));
            let lines = lines.or_insert_with(|| (line, HashMap::new()));
            lines.1.entry(version).or_insert(line);
        }
        Some(index)
    }

    /// The line in `index` that names the package: with this version or, failing that, the first.
    pub(crate) fn line(&self, index: &PackageIndex, name: &str, version: &str) -> Option<u32> {
        let (first, by_version) = index.0.get(&(self.normalize)(name))?;
        Some(*by_version.get(version).unwrap_or(first))
    }

    fn file(&self, name: &str) -> Option<&PackageFile> {
        self.files.iter().find(|file| file.name.matches(name))
    }

    fn file_of_type(&self, trivy_type: &str) -> Option<&PackageFile> {
        let has_type = |file: &&PackageFile| file.trivy_type == Some(trivy_type);
        self.files.iter().find(has_type)
    }

    // Names of lock files, and whether Trivy reads them.
    fn lock_files(&self) -> impl Iterator<Item = (&'static str, bool)> {
        let locks = self.files.iter().filter(|file| file.locks);
        locks.filter_map(|file| match file.name {
            FileName::Exact(name) => Some((name, file.trivy_type.is_some())),
            FileName::Affixes(..) => None,
        })
    }
}

/// The lines of a file by the normalized name of the package: the first one, and the first one of each version.
#[derive(Debug, Default)]
pub(crate) struct PackageIndex(HashMap<String, (u32, HashMap<String, u32>)>);

impl PackageFile {
    const fn new(name: FileName) -> Self {
        Self {
            name,
            trivy_type: None,
            locks: false,
            lines: None,
            unlocked: Unlocked::Never,
        }
    }

    /// A lock file that Trivy reads as `trivy_type`.
    const fn lock(name: &'static str, trivy_type: &'static str) -> Self {
        Self {
            trivy_type: Some(trivy_type),
            locks: true,
            ..Self::new(FileName::Exact(name))
        }
    }

    /// A lock file that Trivy does not read.
    const fn unread_lock(name: &'static str) -> Self {
        Self {
            locks: true,
            ..Self::new(FileName::Exact(name))
        }
    }

    const fn lines(self, lines: fn(&str) -> Vec<PackageLine>) -> Self {
        Self {
            lines: Some(lines),
            ..self
        }
    }

    const fn unlocked(self, unlocked: Unlocked) -> Self {
        Self { unlocked, ..self }
    }

    /// A manifest whose packages need a lock file next to it.
    const fn without_lock_file(self, declares_packages: fn(&str) -> bool) -> Self {
        self.unlocked(Unlocked::WithoutLockFile {
            declares_packages,
            is_locked_above: None,
        })
    }

    /// A manifest whose packages need a lock file next to it or above.
    const fn without_lock_file_above(
        self,
        declares_packages: fn(&str) -> bool,
        is_locked_above: IsLockedAbove,
    ) -> Self {
        self.unlocked(Unlocked::WithoutLockFile {
            declares_packages,
            is_locked_above: Some(is_locked_above),
        })
    }
}

impl FileName {
    fn matches(&self, name: &str) -> bool {
        match self {
            Self::Exact(exact) => name == *exact,
            Self::Affixes(start, end) => name
                .strip_prefix(start)
                .is_some_and(|rest| rest.ends_with(end)),
        }
    }
}

impl PackageLine {
    fn new(name: impl Into<String>, version: impl Into<String>, line: u32) -> Self {
        Self {
            name: name.into(),
            version: version.into(),
            line,
        }
    }
}

// The lines of `text` without the blanks around them, from 1.
fn numbered(text: &str) -> impl Iterator<Item = (u32, &str)> {
    (1_u32..).zip(text.lines().map(str::trim))
}

// The lines `key = value` of a TOML file, and the table that each is in: `package` for `[package]`.
fn toml_entries(text: &str) -> impl Iterator<Item = (&str, &str, &str)> {
    let mut table = "";
    numbered(text).filter_map(move |(_, line)| {
        if let Some(rest) = line.strip_prefix('[') {
            let name = rest.trim_start_matches('[').split(']').next();
            table = name.unwrap_or_default().trim();
            return None;
        }
        let (key, value) = line.split_once('=')?;
        let entry = (table, key.trim(), value.trim());
        (!line.starts_with('#')).then_some(entry)
    })
}
