//! What a scan covered, and what it did not.

use std::path::Path;

use actions_toolkit::text::plural;
use findings::SourceFiles;
use findings::ecosystems::{self, Gap};
use trivy::{Report, Target};
use walkdir::WalkDir;

use super::inline_ignores;
use crate::request::{ScanType, TargetRequest};

/// Directories with files that are not part of the project.
const EXCLUDED: &[&str] = &[
    ".git",
    "node_modules",
    ".venv",
    "venv",
    "target",
    "site-packages",
];
const DEPTH: usize = 8;
/// Package names in one gap.
const NAMES: usize = 5;

/// What one scan covered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Coverage {
    /// `debian 13.8, 105 packages`.
    pub(crate) scanned: String,
    /// What was not scanned, or not as a reader would expect.
    pub(crate) gaps: Vec<String>,
}

impl Coverage {
    /// The coverage of `report`, the scan of `target`.
    pub(super) fn new(report: &Report, target: &TargetRequest, source: &SourceFiles) -> Self {
        let packages: usize = report.results.iter().map(|r| r.packages.len()).sum();
        let mut parts = Vec::new();
        let mut gaps = Vec::new();
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
                gaps.extend(inline_ignores::message(path, &target.prefix));
                let files = report
                    .results
                    .iter()
                    .filter(|r| r.misconf_summary.is_some());
                let files = files.count();
                parts.push(plural(files, "file"));
                if files == 0 {
                    gaps.push("no configuration was found; there was nothing to check".to_owned());
                }
            }
            Target::Filesystem(path) => {
                if target.scan_type == ScanType::Secret {
                    // Trivy does not report how many it read.
                    parts.push("every text file".to_owned());
                } else {
                    let files = report.results.iter().filter(|r| !r.packages.is_empty());
                    let files = plural(files.count(), "file");
                    parts.push(format!("{} in {files}", plural(packages, "package")));
                    gaps.extend(unlocked(path, &target.prefix, source));
                    if packages == 0 {
                        gaps.push("no packages were found; there was nothing to scan".to_owned());
                    }
                }
            }
            Target::Image(_) | Target::Archive(_) => {
                parts.push(plural(packages, "package"));
                if packages == 0 {
                    gaps.push("no packages were found; there was nothing to scan".to_owned());
                }
            }
        }
        Self {
            scanned: parts.join(", "),
            gaps,
        }
    }
}

// Manifests whose packages have no known version: a scanner cannot know what will be installed.
fn unlocked(root: &Path, prefix: &str, source: &SourceFiles) -> Vec<String> {
    let is_excluded = |name: &str| EXCLUDED.contains(&name);
    let files = WalkDir::new(root)
        .max_depth(DEPTH)
        .sort_by_file_name()
        .into_iter()
        .filter_entry(|entry| !entry.file_name().to_str().is_some_and(is_excluded))
        .filter_map(Result::ok)
        .filter(|entry| entry.file_type().is_file());
    files
        .filter_map(|entry| {
            let relative = entry.path().strip_prefix(root).unwrap_or(Path::new(""));
            let path = [prefix, &relative.to_string_lossy()].join("/");
            let path = path.trim_matches('/');
            let gap = ecosystems::unlocked(
                &entry.file_name().to_string_lossy(),
                || source.text(path).unwrap_or_default(),
                |name| entry.path().with_file_name(name).is_file(),
            )?;
            Some(message(path, &gap))
        })
        .collect()
}

fn message(path: &str, gap: &Gap) -> String {
    match gap {
        Gap::NoLockFile => {
            format!("{path} has no lock file next to it; its packages were not scanned")
        }
        Gap::Unpinned(packages) => {
            let more = match packages.len().saturating_sub(NAMES) {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            let names: Vec<_> = packages.iter().take(NAMES).map(String::as_str).collect();
            format!(
                "{path} does not pin {}{more}; they were not scanned",
                names.join(", ")
            )
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
        write("app/pyproject.toml", "[project]\ndependencies = [\"a\"]\n");
        write("tool/pyproject.toml", "[project]\ndependencies = [\"a\"]\n");
        write("web/package.json", "{\"dependencies\": {}}");
        write("node_modules/x/package.json", "{\"dependencies\": {}}");
        let gaps = unlocked(directory.path(), "", &SourceFiles::new(directory.path()));
        assert_eq!(
            gaps,
            [
                "app/requirements.txt does not pin a, b, c, d, e and 1 more; they were not scanned",
                "tool/pyproject.toml has no lock file next to it; its packages were not scanned",
                "web/package.json has no lock file next to it; its packages were not scanned",
            ]
        );
    }
}
