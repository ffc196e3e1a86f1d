//! Directories with the names of those of a running system: Trivy leaves them out below the scanned directory, silently, and
//! a project may have files there, such as `k8s/dev`.

use std::path::Path;

use trivy::{Scanner, Target};
use walkdir::{DirEntry, WalkDir};

use super::coverage::DEPTH;
use super::links;
use super::skipped::Skipped;
use crate::request::{ScanType, TargetRequest};

/// The directories (`defaultSkipDirs` in `pkg/fanal/walker/walk.go` of Trivy).
const NAMES: [&str; 3] = ["dev", "proc", "sys"];

/// Whether `entry` is such a directory in `root`, the scanned one. A link is not: Trivy follows none.
pub(super) fn is_one(entry: &DirEntry, root: &Path) -> bool {
    let is_in_root = entry.path().parent() == Some(root);
    entry.file_type().is_dir() && is_in_root && contains(Path::new(entry.file_name()))
}

/// Whether `path`, relative to the scanned directory, is in such a directory.
pub(super) fn contains(path: &Path) -> bool {
    let first = path.iter().next().and_then(|name| name.to_str());
    first.is_some_and(|name| NAMES.contains(&name))
}

/// What Trivy leaves out of `target` in this way, although it has something that `scanners` look at. What is `skipped` is not
/// missing, nor is what another target has: the paths of all of this kind are `siblings`.
pub(super) fn gaps(
    target: &TargetRequest,
    scanners: &[Scanner],
    siblings: &[String],
    skipped: &Skipped,
) -> Vec<String> {
    let (Target::Filesystem(root) | Target::Config(root)) = &target.target else {
        return Vec::new();
    };
    let is_scanned: fn(&str) -> bool = match target.scan_type {
        ScanType::Config => is_configuration,
        _ if scanners.contains(&Scanner::Secrets) => |_| true,
        _ => links::names_packages,
    };
    let has_files = |directory: &DirEntry| {
        let entries = WalkDir::new(directory.path()).max_depth(DEPTH).into_iter();
        let entries = entries.filter_entry(|entry| {
            !links::is_excluded(entry.file_name()) && !skipped.is_requested(entry, root)
        });
        let mut files = entries
            .filter_map(Result::ok)
            .filter(|entry| entry.file_type().is_file());
        files.any(|file| is_scanned(&file.file_name().to_string_lossy()))
    };
    let entries = WalkDir::new(root).min_depth(1).max_depth(1);
    let entries = entries.sort_by_file_name().into_iter();
    let directories = entries
        .filter_map(Result::ok)
        .filter(|entry| is_one(entry, root));
    directories
        .filter(has_files)
        .map(|entry| {
            let name = entry.file_name().to_string_lossy();
            let path = [target.prefix.as_str(), &name].join("/");
            path.trim_matches('/').to_owned()
        })
        .filter(|path| !siblings.contains(path))
        .map(|path| {
            format!(
                "{path} has the name of a system directory, which Trivy skips at the top of a target; it was not scanned: add the line `{} {path}` to `targets`",
                target.scan_type
            )
        })
        .collect()
}

// What Trivy checks, by its name (trivy.dev/docs/latest/coverage/iac).
fn is_configuration(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let is_build_file = |part: &str| ["dockerfile", "containerfile"].contains(&part);
    let extensions = ["yaml", "yml", "json", "tf", "tofu", "tfvars", "template"];
    let last = name.rsplit('.').next().unwrap_or_default();
    name.split('.').any(is_build_file) || extensions.contains(&last)
}

#[cfg(test)]
mod tests {
    use trivy::Scan;

    use super::*;

    fn target(scan_type: ScanType, root: &Path) -> TargetRequest {
        let root = root.to_owned();
        TargetRequest {
            scan_type,
            input: "app".to_owned(),
            target: match scan_type {
                ScanType::Config => Target::Config(root),
                ScanType::Rootfs => Target::Rootfs(root),
                _ => Target::Filesystem(root),
            },
            name: "app".to_owned(),
            prefix: "app".to_owned(),
            platform: None,
            checkout: None,
            listed: None,
        }
    }

    /// What is scanned, and for what; other targets and `skip-dirs`; the names of the directories that are not scanned.
    type Case<'a> = (
        ScanType,
        &'a [Scanner],
        &'a [&'a str],
        &'a [&'a str],
        &'a [&'a str],
    );

    #[test]
    fn a_directory_that_trivy_skips_by_its_name_is_a_gap_if_it_has_something_to_scan() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().canonicalize().unwrap();
        for path in [
            "dev/web/package-lock.json",
            "proc/Dockerfile.web",
            "sys/notes.txt",
            "lib/dev/Cargo.lock",
        ] {
            let path = root.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let vulnerabilities: &[Scanner] = &[Scanner::Vulnerabilities];
        let both: &[Scanner] = &[Scanner::Vulnerabilities, Scanner::Secrets];
        let table: [Case; 6] = [
            (ScanType::Fs, vulnerabilities, &[], &[], &["dev"]),
            (ScanType::Fs, both, &[], &[], &["dev", "proc", "sys"]),
            (ScanType::Config, both, &[], &[], &["dev", "proc"]),
            (ScanType::Rootfs, both, &[], &[], &[]),
            (ScanType::Fs, both, &["app/dev"], &[], &["proc", "sys"]),
            (ScanType::Fs, both, &[], &["dev/**", "sys"], &["proc"]),
        ];
        for (scan_type, scanners, siblings, skip_dirs, names) in table {
            let target = target(scan_type, &root);
            let mut scan = Scan::new(target.target.clone(), "cache");
            scan.directory.clone_from(&root);
            scan.skip_dirs = skip_dirs.iter().map(ToString::to_string).collect();
            let siblings: Vec<_> = siblings.iter().map(ToString::to_string).collect();
            let gaps = gaps(&target, scanners, &siblings, &Skipped::new(&scan));
            let expected = names.iter().map(|name| {
                format!("app/{name} has the name of a system directory, which Trivy skips at the top of a target; it was not scanned: add the line `{scan_type} app/{name}` to `targets`")
            });
            assert_eq!(gaps, expected.collect::<Vec<_>>(), "{scan_type}");
        }
    }

    #[test]
    fn a_file_of_configuration_has_one_of_its_names() {
        for name in [
            "Dockerfile",
            "web.Dockerfile",
            "Containerfile.web",
            "pod.yaml",
            "main.tf",
            "main.tf.json",
        ] {
            assert!(is_configuration(name), "{name}");
        }
        for name in ["README.md", "run.sh", "docker.txt"] {
            assert!(!is_configuration(name), "{name}");
        }
    }
}
