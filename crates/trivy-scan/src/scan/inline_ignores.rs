//! Comments in scanned files that make Trivy suppress a check: it does not report which ones it followed, so that a pull
//! request could suppress a check unnoticed.
//!
//! The forms: trivy.dev/docs/latest/configuration/filtering, "By Inline Comments"; `tfsec:` is the older name.

use std::path::Path;

use walkdir::WalkDir;

use super::skipped::Skipped;

/// The start of such a comment.
const MARKS: [&str; 2] = ["trivy:ignore:", "tfsec:ignore:"];
/// Bytes of the largest file that is searched.
const FILE: usize = limits::MIB;
/// Files that are searched.
const FILES: usize = 20_000;
/// Comments that the message names.
const NAMED: usize = 5;

/// What the comments in `root`, a file or directory, are reported as; `None` without any. `prefix` is its path in the
/// workspace, and what is `skipped` is not scanned.
pub(super) fn message(root: &Path, prefix: &str, skipped: &Skipped) -> Option<String> {
    let files = WalkDir::new(root)
        .sort_by_file_name()
        .into_iter()
        .filter_entry(|entry| entry.file_name() != ".git" && !skipped.has(entry, root))
        .filter_map(Result::ok)
        .filter(|entry| entry.file_type().is_file())
        .take(FILES);
    // A file may be full of them.
    let (mut named, mut count) = (Vec::new(), 0);
    for entry in files {
        let path = entry.path();
        let directory = path.parent().unwrap_or(path);
        let Ok(text) = limits::read_text(directory, path, FILE) else {
            continue;
        };
        let relative = path.strip_prefix(root).unwrap_or(path);
        let name = [prefix, &relative.to_string_lossy()].join("/");
        let lines = (1..).zip(text.lines());
        for (number, _) in lines.filter(|(_, line)| MARKS.iter().any(|mark| line.contains(mark))) {
            count += 1;
            if named.len() < NAMED {
                named.push(format!("{}:{number}", name.trim_matches('/')));
            }
        }
    }
    let named = named.join(", ");
    match count {
        0 => None,
        1 => Some(format!("a comment in {named} suppresses checks there")),
        count if count > NAMED => Some(format!(
            "{count} comments suppress checks, in {named} and {} more places",
            count - NAMED
        )),
        count => Some(format!("{count} comments suppress checks, in {named}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_that_suppress_a_check_are_reported() {
        let message = |root: &Path, prefix: &str| message(root, prefix, &Skipped::default());
        let directory = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(directory.path().join(name), text);
        write("a.yaml", "kind: Pod\n").unwrap();
        assert_eq!(message(directory.path(), "k8s"), None);
        write("Dockerfile", "#trivy:ignore:DS-0002\nFROM a\n").unwrap();
        let file = directory.path().join("Dockerfile");
        assert_eq!(
            message(&file, "k8s/Dockerfile").unwrap(),
            "a comment in k8s/Dockerfile:1 suppresses checks there"
        );
        write("main.tf", "# tfsec:ignore:*\n// trivy:ignore:x\n").unwrap();
        assert_eq!(
            message(directory.path(), "").unwrap(),
            "3 comments suppress checks, in Dockerfile:1, main.tf:1, main.tf:2"
        );
        write("z.yaml", &"# trivy:ignore:x\n".repeat(1000)).unwrap();
        assert_eq!(
            message(directory.path(), "").unwrap(),
            "1003 comments suppress checks, in Dockerfile:1, main.tf:1, main.tf:2, z.yaml:1, z.yaml:2 and 998 more places"
        );
    }
}
