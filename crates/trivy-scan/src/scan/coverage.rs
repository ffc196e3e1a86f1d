//! What a scan covered, and what it did not.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::Path;
use std::rc::Rc;

use actions_toolkit::text::plural;
use findings::SourceFiles;
use findings::ecosystems::{self, Directories, Gap};
use trivy::{Report, Target};
use walkdir::WalkDir;

use super::skipped::Skipped;
use super::{broken_lock_files, broken_manifests, inline_ignores, links};
use crate::request::{ScanType, TargetRequest};

/// Directories with files that are not part of the project.
pub(super) const EXCLUDED: &[&str] = &[
    ".git",
    "node_modules",
    ".venv",
    "venv",
    "target",
    "site-packages",
];
pub(super) const DEPTH: usize = 8;
/// Package names in one gap.
const NAMES: usize = 5;

/// What one scan covered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Coverage {
    /// `debian 13.8, 105 packages`.
    pub(crate) scanned: String,
    /// What was not scanned, or not as a reader would expect.
    pub(crate) gaps: Vec<String>,
    /// How many of them name something that was not scanned.
    pub(crate) not_scanned: usize,
}

impl Coverage {
    /// The coverage of `report`, the scan of `target`. What is `skipped` is left out.
    pub(super) fn new(
        report: &Report,
        target: &TargetRequest,
        source: &SourceFiles,
        skipped: &Skipped,
    ) -> Self {
        let packages: usize = report.results.iter().map(|r| r.packages.len()).sum();
        let mut parts = Vec::new();
        let mut gaps = Vec::new();
        let mut not_scanned = Vec::new();
        if let Some(os) = &report.metadata.os {
            parts.push(format!("{} {}", os.family, os.name));
            if os.end_of_life {
                gaps.push(format!(
                    "{} {} has reached end of life and no longer receives security advisories",
                    os.family, os.name
                ));
            }
        }
        match &target.target {
            Target::Config(path) => {
                gaps.extend(inline_ignores::message(path, &target.prefix, skipped));
                let checked = report.results.iter();
                let checked: Vec<_> = checked
                    .filter(|r| r.misconf_summary.is_some())
                    .map(|r| r.target.as_str())
                    .collect();
                let files = checked.len();
                let unread_paths = report.unread.iter().map(|unread| unread.path.as_str());
                let known: HashSet<_> = checked.into_iter().chain(unread_paths).collect();
                not_scanned.extend(broken_manifests::gaps(
                    path,
                    &target.prefix,
                    source,
                    &known,
                    skipped,
                ));
                not_scanned.extend(unread(report, path, &target.prefix));
                parts.push(plural(files, "file"));
                if files == 0 && not_scanned.is_empty() {
                    let chart = chart_of(path, &target.prefix);
                    not_scanned.push(match chart {
                        Some(chart) => format!(
                            "{} is a file of the Helm chart {chart}, which is checked as a whole only: set the path to the chart",
                            target.prefix
                        ),
                        None => "no configuration was found; there was nothing to check".to_owned(),
                    });
                }
            }
            Target::Filesystem(path) => {
                if target.scan_type == ScanType::Secret {
                    // Trivy does not report how many it read, nor which ones its rules allow to have secrets
                    // (`pkg/fanal/secret/builtin-allow-rules.go`).
                    parts.push(
                        "text files, except those that Trivy's rules allow, such as tests and Markdown"
                            .to_owned(),
                    );
                } else {
                    let files = report.results.iter().filter(|r| !r.packages.is_empty());
                    let files = plural(files.count(), "file");
                    parts.push(format!("{} in {files}", plural(packages, "package")));
                    let read = report.results.iter().filter(|r| !r.packages.is_empty());
                    let read: HashSet<_> = read.map(|r| r.target.as_str()).collect();
                    not_scanned.extend(unlocked(path, &target.prefix, source, &read, skipped));
                    if packages == 0 {
                        not_scanned
                            .push("no packages were found; there was nothing to scan".to_owned());
                    }
                }
            }
            Target::Image(_) | Target::Archive(_) | Target::Rootfs(_) | Target::Sbom(_) => {
                parts.push(plural(packages, "package"));
                if packages == 0 {
                    not_scanned
                        .push("no packages were found; there was nothing to scan".to_owned());
                }
            }
        }
        not_scanned.extend(without_version(report, target));
        let count = not_scanned.len();
        gaps.extend(not_scanned);
        Self {
            scanned: parts.join(", "),
            gaps,
            not_scanned: count,
        }
    }

    /// Add `gaps`, each of which names something that was not scanned.
    pub(super) fn add_not_scanned(&mut self, gaps: Vec<String>) {
        self.not_scanned += gaps.len();
        self.gaps.extend(gaps);
    }
}

// What Trivy could not read below `root`, which is `prefix` in the workspace.
fn unread(report: &Report, root: &Path, prefix: &str) -> Vec<String> {
    let unread = report.unread.iter().map(|unread| {
        // The path of a single file is its name.
        let within = if root.is_dir() { &*unread.path } else { "" };
        let path = [prefix, within].join("/");
        let path = path.trim_matches('/').trim_end_matches("/.");
        format!("{path} {}; it was not checked", unread.problem)
    });
    unread.collect()
}

// Packages that a file names and whose version is elsewhere, such as in the parent of a `pom.xml` that the repository does
// not have: Trivy lists them without one, and finds nothing for them.
fn without_version(report: &Report, target: &TargetRequest) -> Vec<String> {
    let results = report.results.iter().filter(|r| r.class == "lang-pkgs");
    let gaps = results.filter_map(|result| {
        let unknown = result.packages.iter().filter(|package| {
            let is_project = ["root", "workspace"].contains(&package.relationship.as_str());
            package.version.is_empty() && !is_project && !package.name.is_empty()
        });
        let names: BTreeSet<&str> = unknown.map(|package| package.name.as_str()).collect();
        let path = [target.prefix.as_str(), result.target.as_str()].join("/");
        (!names.is_empty()).then(|| {
            format!(
                "{} does not have the versions of {}; they were not scanned",
                path.trim_matches('/'),
                some_of(names)
            )
        })
    });
    gaps.collect()
}

// The first of `names`, and how many more there are.
fn some_of<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<_> = names.into_iter().collect();
    let more = match names.len().saturating_sub(NAMES) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("{}{more}", names[..names.len().min(NAMES)].join(", "))
}

// The Helm chart that the file at `path` is in, which is `relative` in the workspace.
fn chart_of(path: &Path, relative: &str) -> Option<String> {
    let directories = path
        .ancestors()
        .zip(Path::new(relative).ancestors())
        .skip(1);
    let is_chart = |(directory, _): &(&Path, &Path)| directory.join("Chart.yaml").is_file();
    let (_, chart) = directories
        .into_iter()
        .filter(|_| path.is_file())
        .find(is_chart)?;
    let chart = chart.to_string_lossy().into_owned();
    Some(if chart.is_empty() {
        ".".to_owned()
    } else {
        chart
    })
}

// Lock files that can't be read, and manifests whose packages have no known version: a scanner cannot know what will be
// installed.
fn unlocked(
    root: &Path,
    prefix: &str,
    source: &SourceFiles,
    read: &HashSet<&str>,
    skipped: &Skipped,
) -> Vec<String> {
    let (last, left) = (RefCell::default(), Cell::new(links::ENTRIES));
    let files = WalkDir::new(root)
        .max_depth(DEPTH)
        .sort_by_file_name()
        .into_iter()
        .filter_entry(|entry| !skipped.omits(entry, root))
        .filter_map(Result::ok)
        .filter(|entry| entry.file_type().is_file() || links::is_link(entry));
    files
        .flat_map(|entry| {
            let relative = entry.path().strip_prefix(root).unwrap_or(Path::new(""));
            let path = [prefix, &relative.to_string_lossy()].join("/");
            let path = path.trim_matches('/');
            if links::is_link(&entry) {
                return [links::gap(&entry, root, path, &left), None];
            }
            let directories = Parents {
                root,
                prefix,
                source,
                directory: entry.path().parent().unwrap_or(root),
                last: &last,
            };
            let name = entry.file_name().to_string_lossy();
            let are_read = read.contains(&*relative.to_string_lossy());
            let problem = broken_lock_files::problem(&name, are_read, || source.text(path));
            let broken = problem.map(|problem| format!("{path} {problem}"));
            let text = || source.text(path).unwrap_or_default();
            let gap = |name: &str| ecosystems::unlocked(name, are_read, text, &directories);
            // `requirements/base.txt`, which is another spelling of `requirements-base.txt`.
            let unread = || {
                let parent = entry.path().parent()?.file_name()?;
                let gap = (parent == "requirements").then(|| gap(&format!("requirements-{name}")));
                gap?.filter(|gap| *gap == Gap::UnreadFile)
            };
            let gap = gap(&name).or_else(unread);
            [broken, gap.map(|gap| message(path, &gap))]
        })
        .flatten()
        .collect()
}

/// Path and text of a file, by its name.
type LastFiles = HashMap<String, (String, Rc<str>)>;

/// The directories from that of a manifest up to the scanned one.
struct Parents<'a> {
    root: &'a Path,
    /// The path of `root` in the workspace.
    prefix: &'a str,
    source: &'a SourceFiles,
    /// Of the manifest.
    directory: &'a Path,
    /// The last file of each name: that of a workspace is read for all of its members.
    last: &'a RefCell<LastFiles>,
}

impl Parents<'_> {
    fn text(&self, name: &str, path: &str) -> Option<Rc<str>> {
        let mut last = self.last.borrow_mut();
        if let Some((known, text)) = last.get(name)
            && known == path
        {
            return Some(Rc::clone(text));
        }
        let text: Rc<str> = self.source.text(path)?.into();
        last.insert(name.to_owned(), (path.to_owned(), Rc::clone(&text)));
        Some(text)
    }
}

impl Directories for Parents<'_> {
    fn has(&self, name: &str) -> bool {
        links::is_scanned(self.root, &self.directory.join(name))
    }

    fn above(&self, name: &str) -> Vec<(Rc<str>, String)> {
        let parents = self.directory.ancestors().skip(1);
        let parents = parents.take_while(|parent| parent.starts_with(self.root));
        let read = |parent: &Path| {
            let member = self.directory.strip_prefix(parent).ok()?;
            let file = parent.strip_prefix(self.root).ok()?.join(name);
            let path = [self.prefix, &file.to_string_lossy()].join("/");
            let text = self.text(name, path.trim_matches('/'))?;
            Some((text, member.to_string_lossy().into_owned()))
        };
        parents.filter_map(read).collect()
    }
}

fn message(path: &str, gap: &Gap) -> String {
    match gap {
        Gap::UnreadLockFile(name) => format!(
            "{path} has the lock file {name}, which Trivy does not read; its packages were not scanned"
        ),
        Gap::UnreadFile => {
            let name = path.rsplit('/').next().unwrap_or_default();
            format!(
                "{path} has a name that Trivy does not read; its packages were not scanned: add `pip:{name}` to `scan.file-patterns` in a file for `trivy-config`"
            )
        }
        Gap::NoLockFile => {
            format!("{path} has no lock file next to it; its packages were not scanned")
        }
        Gap::Unpinned(packages) => {
            let names = some_of(packages.iter().map(String::as_str));
            format!("{path} does not pin {names}; they were not scanned")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_without_a_lock_file_is_a_gap() {
        let directory = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = directory.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("app/requirements.txt", "a\nb\nc\nd\ne\nf\n");
        write("app/requirements/base.txt", "a==1\n");
        write("app/requirements/notes.txt", "These are for the app.\n");
        write("app/pyproject.toml", "[project]\ndependencies = [\"a\"]\n");
        write("tool/pyproject.toml", "[project]\ndependencies = [\"a\"]\n");
        write("web/package.json", r#"{"dependencies": {"a": "1"}}"#);
        write(
            "js/package-lock.json",
            r#"{"packages": {"packages/a": {}}}"#,
        );
        write(
            "js/packages/a/package.json",
            r#"{"dependencies": {"a": "1"}}"#,
        );
        write(
            "js/packages/b/package.json",
            r#"{"dependencies": {"a": "1"}}"#,
        );
        write(
            "node_modules/x/package.json",
            r#"{"dependencies": {"a": "1"}}"#,
        );
        write("rust/Cargo.lock", "[[package]\n");
        let gaps = unlocked(
            directory.path(),
            "",
            &SourceFiles::new(directory.path()),
            &HashSet::new(),
            &Skipped::default(),
        );
        assert_eq!(
            gaps,
            [
                "app/requirements/base.txt has a name that Trivy does not read; its packages were not scanned: add `pip:base.txt` to `scan.file-patterns` in a file for `trivy-config`",
                "app/requirements.txt does not pin a, b, c, d, e and 1 more; they were not scanned",
                "js/packages/b/package.json has no lock file next to it; its packages were not scanned",
                "rust/Cargo.lock is not valid TOML: unclosed array table, expected `]`; its packages were not scanned",
                "tool/pyproject.toml has no lock file next to it; its packages were not scanned",
                "web/package.json has no lock file next to it; its packages were not scanned",
            ]
        );
    }

    #[test]
    fn a_link_that_trivy_does_not_follow_is_a_gap() {
        let directory = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = directory.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        let link = |target: &str, path: &str| {
            let path = directory.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::os::unix::fs::symlink(target, path).unwrap();
        };
        let manifest = r#"{"dependencies": {"a": "1"}}"#;
        write("package-lock.json", "{}");
        write("shared/Cargo.lock", "version = 4\n");
        write("notes/README.md", "x");
        write("app/web/package.json", manifest);
        link("../../package-lock.json", "app/web/package-lock.json");
        link("../shared", "app/shared");
        link("../notes", "app/notes");
        // What it leads to is scanned in its own place.
        write("app/a/package.json", manifest);
        write("app/a/package-lock.json", r#"{"packages": {}}"#);
        write("app/b/package.json", manifest);
        link("../a/package-lock.json", "app/b/package-lock.json");
        link("a", "app/c");
        // No package is named there.
        link("../../notes/README.md", "app/bin/x");
        link("../missing/package.json", "app/d/package.json");
        link("../..", "app/e/parent");
        let root = directory.path().join("app");
        let gaps = unlocked(
            &root,
            "",
            &SourceFiles::new(root.clone()),
            &HashSet::new(),
            &Skipped::default(),
        );
        assert_eq!(
            gaps,
            [
                "shared is a link, which Trivy does not follow; the packages there were not scanned",
                "web/package-lock.json is a link, which Trivy does not follow; its packages were not scanned",
                "web/package.json has no lock file next to it; its packages were not scanned",
            ]
        );
        // The scanned directory itself may be a link.
        link("app", "alias");
        let alias = directory.path().join("alias");
        let source = SourceFiles::new(alias.clone());
        assert_eq!(
            unlocked(&alias, "", &source, &HashSet::new(), &Skipped::default()).len(),
            3
        );
    }
}
