//! What was looked at, and what was not.

use std::collections::BTreeSet;
use std::path::Path;

use actions_toolkit::text::plural;
use findings::SourceFiles;
use trivy::{Report, Target};
use walkdir::WalkDir;

use crate::request::TargetRequest;

/// Folders in which other people's files lie.
const FOREIGN: &[&str] = &[
    ".git",
    "node_modules",
    ".venv",
    "venv",
    "target",
    "site-packages",
];
const DEPTH: usize = 8;
/// Names in one remark.
const NAMED: usize = 5;

/// What one scan looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Coverage {
    /// In words: `Debian 13.8, 105 packages`.
    pub(crate) scanned: String,
    /// What was not looked at, or not as one would think.
    pub(crate) gaps: Vec<String>,
}

/// The coverage of `report`.
pub(crate) fn of(report: &Report, target: &TargetRequest, source: &SourceFiles) -> Coverage {
    let packages: usize = report.results.iter().map(|r| r.packages.len()).sum();
    let mut parts = Vec::new();
    let mut gaps = Vec::new();
    if let Some(os) = &report.metadata.os {
        parts.push(format!("{} {}", os.family, os.name));
        if os.end_of_life {
            gaps.push(format!(
                "{} {} is out of support: nobody says any more what is vulnerable in it",
                os.family, os.name
            ));
        }
    }
    match &target.target {
        Target::Config(_) => {
            let files = report
                .results
                .iter()
                .filter(|r| r.misconf_summary.is_some());
            let files = files.count();
            parts.push(plural(files, "file"));
            if files == 0 {
                gaps.push("no configuration was found: there was nothing to check".to_owned());
            }
        }
        Target::Filesystem(path) => {
            let wants_packages = target.kind != crate::request::Kind::Secret;
            if wants_packages {
                let files = report.results.iter().filter(|r| !r.packages.is_empty());
                let files = plural(files.count(), "file");
                parts.push(format!("{} in {files}", plural(packages, "package")));
                gaps.extend(unlocked(path, &target.prefix, source));
                if packages == 0 {
                    gaps.push("no packages were found: there was nothing to scan".to_owned());
                }
            } else {
                // Trivy does not say how many it read.
                parts.push("every file of text".to_owned());
            }
        }
        Target::Image(_) | Target::Archive(_) => {
            parts.push(plural(packages, "package"));
            if packages == 0 {
                gaps.push("no packages were found: there was nothing to scan".to_owned());
            }
        }
    }
    Coverage {
        scanned: parts.join(", "),
        gaps,
    }
}

// Files that ask for packages without saying which version: no scanner knows what will be installed.
fn unlocked(folder: &Path, prefix: &str, source: &SourceFiles) -> Vec<String> {
    let mut gaps = Vec::new();
    let foreign = |name: &str| FOREIGN.contains(&name);
    let walk = WalkDir::new(folder)
        .max_depth(DEPTH)
        .sort_by_file_name()
        .into_iter()
        .filter_entry(|entry| !entry.file_name().to_str().is_some_and(foreign))
        .filter_map(Result::ok)
        .filter(|entry| entry.file_type().is_file());
    for entry in walk {
        let name = entry.file_name().to_string_lossy();
        let inside = entry.path().strip_prefix(folder).unwrap_or(Path::new(""));
        let shown = [prefix, &inside.to_string_lossy()].join("/");
        let shown = shown.trim_matches('/');
        let beside = |names: &[&str]| {
            let folder = entry.path().parent().unwrap_or(folder);
            names.iter().any(|name| folder.join(name).is_file())
        };
        if name.starts_with("requirements") && name.ends_with(".txt") {
            let unpinned = unpinned(&source.text(shown).unwrap_or_default());
            if !unpinned.is_empty() {
                let more = unpinned.len().saturating_sub(NAMED);
                let more = if more == 0 {
                    String::new()
                } else {
                    format!(" and {more} more")
                };
                let named: Vec<_> = unpinned.iter().take(NAMED).map(String::as_str).collect();
                gaps.push(format!(
                    "{shown} does not pin {}{more}: they were not scanned",
                    named.join(", ")
                ));
            }
        } else if name == "pyproject.toml" {
            let locked = [
                "uv.lock",
                "poetry.lock",
                "pdm.lock",
                "Pipfile.lock",
                "pylock.toml",
                "requirements.txt",
            ];
            let text = source.text(shown).unwrap_or_default();
            if text.contains("dependencies") && !beside(&locked) {
                gaps.push(format!(
                    "{shown} has no lock file beside it: its packages were not scanned"
                ));
            }
        } else if name == "package.json"
            && !beside(&[
                "package-lock.json",
                "yarn.lock",
                "pnpm-lock.yaml",
                "bun.lock",
            ])
        {
            let text = source.text(shown).unwrap_or_default();
            if text.contains("\"dependencies\"") {
                gaps.push(format!(
                    "{shown} has no lock file beside it: its packages were not scanned"
                ));
            }
        }
    }
    gaps
}

// Requirements without `==` (PEP 508); options, links and other files have lines of their own.
fn unpinned(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut continues = false;
    for line in text.lines().map(str::trim) {
        let whole = !continues;
        continues = line.ends_with('\\');
        if !whole
            || line.is_empty()
            || line.starts_with(['#', '-', '.', '/'])
            || line.contains("==")
        {
            continue;
        }
        let end = line.find(|c: char| !(c.is_ascii_alphanumeric() || "-_.".contains(c)));
        let name = &line[..end.unwrap_or(line.len())];
        if !name.is_empty() && !line.contains("://") {
            found.insert(name.to_owned());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_say_its_version_is_named() {
        let text = "# a\n-r base.txt\nflask==3 \\\n    --hash=sha256:0\nwerkzeug>=2.0\njinja2\nx @ https://example.com/x.whl\n";
        let named: Vec<_> = unpinned(text).into_iter().collect();
        assert_eq!(named, ["jinja2", "werkzeug"]);
    }

    #[test]
    fn a_file_without_a_lock_is_a_gap() {
        let folder = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("app/requirements.txt", "a\nb\nc\nd\ne\nf\n");
        write("app/pyproject.toml", "[project]\ndependencies = [\"a\"]\n");
        write("tool/pyproject.toml", "[project]\ndependencies = [\"a\"]\n");
        write("web/package.json", "{\"dependencies\": {}}");
        write("node_modules/x/package.json", "{\"dependencies\": {}}");
        let gaps = unlocked(folder.path(), "", &SourceFiles::new(folder.path()));
        assert_eq!(
            gaps,
            [
                "app/requirements.txt does not pin a, b, c, d, e and 1 more: they were not scanned",
                "tool/pyproject.toml has no lock file beside it: its packages were not scanned",
                "web/package.json has no lock file beside it: its packages were not scanned",
            ]
        );
    }
}
