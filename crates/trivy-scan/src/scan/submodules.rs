//! Submodules that are not checked out, as without `submodules` of actions/checkout: an empty directory has no finding.

use std::path::{Component, Path};

use findings::SourceFiles;
use trivy::Target;
use walkdir::WalkDir;

use super::skipped::Skipped;
use crate::request::TargetRequest;

/// Submodules that are looked at.
const MAX: usize = 1000;

/// The submodules in `target` that are not checked out, unless they are `skipped`; `source` is the workspace.
pub(super) fn gaps(target: &TargetRequest, source: &SourceFiles, skipped: &Skipped) -> Vec<String> {
    let (Target::Filesystem(root) | Target::Config(root)) = &target.target else {
        return Vec::new();
    };
    let modules = source.text(".gitmodules").unwrap_or_default();
    let is_missing = |path: &&str| {
        let path = Path::new(*path);
        let is_name = |part: Component<'_>| matches!(part, Component::Normal(_));
        let below = path.strip_prefix(&target.prefix);
        let Some(below) = below.ok().filter(|below| below.components().all(is_name)) else {
            return false;
        };
        let directory = root.join(below);
        let entries = std::fs::read_dir(&directory);
        let is_empty = entries.is_ok_and(|mut entries| entries.next().is_none());
        // With one of its parents it is left out too.
        let is_left_out = |part: &Path| {
            let entry = WalkDir::new(root.join(part))
                .max_depth(0)
                .into_iter()
                .next();
            let entry = entry.and_then(Result::ok);
            entry.is_some_and(|entry| skipped.omits(&entry, root))
        };
        let mut parts = below.ancestors().filter(|part| *part != Path::new(""));
        is_empty && !parts.any(is_left_out)
    };
    paths(&modules)
        .take(MAX)
        .filter(is_missing)
        .map(|path| {
            format!(
                "the submodule {path} is not checked out; it was not scanned: set `submodules` of actions/checkout"
            )
        })
        .collect()
}

// The values of `path` in a `.gitmodules` (git-scm.com/docs/gitmodules).
pub(super) fn paths(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(|line| {
        let value = line.trim().strip_prefix("path")?.trim_start();
        Some(value.strip_prefix('=')?.trim().trim_matches('"'))
    })
}

#[cfg(test)]
mod tests {
    use trivy::Scan;

    use super::*;
    use crate::request::ScanType;

    #[test]
    fn a_submodule_that_is_not_checked_out_is_a_gap() {
        let directory = tempfile::tempdir().unwrap();
        let workspace = directory.path().canonicalize().unwrap();
        let values = ["app/lib", "\"app/tool\"", "app/full", "web/lib", "../out"];
        let module = |value: &str| format!("[submodule \"x\"]\n\tpath = {value}\n\turl = u\n");
        let modules: String = values.into_iter().map(module).collect();
        std::fs::write(workspace.join(".gitmodules"), modules).unwrap();
        for path in ["app/lib", "app/tool", "app/full/src", "web/lib"] {
            std::fs::create_dir_all(workspace.join(path)).unwrap();
        }
        let gaps = |prefix: &str, skip_dirs: &[&str]| {
            let root = Target::Filesystem(workspace.join(prefix));
            let mut scan = Scan::new(root.clone(), "cache");
            scan.directory.clone_from(&workspace);
            scan.skip_dirs = skip_dirs.iter().map(ToString::to_string).collect();
            let target = TargetRequest {
                scan_type: ScanType::Fs,
                input: prefix.to_owned(),
                target: root,
                name: "repository".to_owned(),
                prefix: prefix.to_owned(),
                platform: None,
                checkout: None,
                listed: None,
            };
            let source = SourceFiles::new(&workspace);
            gaps(&target, &source, &Skipped::new(&scan))
        };
        let gap = |path: &str| {
            format!(
                "the submodule {path} is not checked out; it was not scanned: set `submodules` of actions/checkout"
            )
        };
        assert_eq!(gaps("", &[]), ["app/lib", "app/tool", "web/lib"].map(gap));
        assert_eq!(gaps("app", &["tool"]), ["app/lib"].map(gap));
        assert_eq!(gaps("", &["app"]), ["web/lib"].map(gap));
        assert_eq!(gaps("app/full", &[]), Vec::<String>::new());
    }
}
