//! Dart and Flutter packages (dart.dev/tools/pub/pubspec).

use super::{Directories, Ecosystem, FileName, PackageFile};

pub(super) const DART: Ecosystem = Ecosystem {
    installed: None,
    normalize: ToOwned::to_owned,
    files: &[
        PackageFile::lock("pubspec.lock", "pub"),
        PackageFile::new(FileName::Exact("pubspec.yaml"))
            .without_lock_file_above(declares_packages, is_locked_above),
    ],
};

// Whether `dependencies` has a package that is not a part of Flutter (`sdk: flutter`) nor of the repository (`path: ../a`).
fn declares_packages(text: &str) -> bool {
    let is_local = |value: &str| ["sdk:", "path:"].iter().any(|key| value.contains(*key));
    let mut is_inside = false;
    // Blanks before the names of the packages.
    let mut depth = None;
    // The last name has its details in lines below, which may say that it is local.
    let mut is_open = false;
    for line in text.lines() {
        let content = line.trim();
        if content.is_empty() || content.starts_with('#') {
            continue;
        }
        let blanks = line.len() - line.trim_start().len();
        if blanks == 0 {
            if is_open {
                return true;
            }
            is_inside = content.starts_with("dependencies:");
            continue;
        }
        if !is_inside {
            continue;
        }
        if blanks > *depth.get_or_insert(blanks) {
            is_open &= !is_local(content);
            continue;
        }
        if is_open {
            return true;
        }
        let (_, value) = content.split_once(':').unwrap_or((content, ""));
        let value = value.split(" #").next().unwrap_or_default().trim();
        if !value.is_empty() && !is_local(value) {
            return true;
        }
        is_open = value.is_empty();
    }
    is_open
}

// A workspace has one lock file, in the directory of its root (dart.dev/tools/pub/workspaces).
fn is_locked_above(text: &str, directories: &dyn Directories) -> bool {
    let mut lines = text.lines();
    lines.any(|line| line.starts_with("resolution: workspace"))
        && !directories.above("pubspec.lock").is_empty()
}
