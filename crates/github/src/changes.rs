//! The lines that a pull request adds.
//!
//! API: docs.github.com/rest/pulls/pulls#list-pull-requests-files.

use anyhow::Context as _;
use serde::Deserialize;

use crate::PullRequest;

const PAGE: usize = 100;
/// GitHub lists 3,000 files.
const PAGES: usize = 30;

/// A file that a pull request changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangedFile {
    /// Relative to the repository's root.
    pub path: String,
    /// The lines that are added, with their numbers from 1 and their texts.
    pub added: Vec<(u32, String)>,
}

#[derive(Deserialize)]
struct DiffEntry {
    filename: String,
    /// Absent for a binary or a very large file.
    #[serde(default)]
    patch: Option<String>,
}

impl PullRequest {
    /// The files to which it adds lines, of those that GitHub shows a patch of.
    ///
    /// # Errors
    /// When GitHub fails, or the token may not read them.
    pub async fn changed_files(&self) -> anyhow::Result<Vec<ChangedFile>> {
        let mut files = Vec::new();
        for page in 1..=PAGES {
            let path = format!("pulls/{}/files?per_page={PAGE}&page={page}", self.number);
            let entries: Vec<DiffEntry> = self.client.get(&path).await.with_context(|| {
                format!("failed to list the files of pull request {}", self.number)
            })?;
            let is_last = entries.len() < PAGE;
            let with_lines = entries.into_iter().filter_map(|entry| {
                let added = added(&entry.patch?);
                (!added.is_empty()).then_some(ChangedFile {
                    path: entry.filename,
                    added,
                })
            });
            files.extend(with_lines);
            if is_last {
                break;
            }
        }
        Ok(files)
    }
}

// The lines that a unified diff adds: `@@ -1,2 +1,3 @@` starts a part of it at line 1 of the new file.
fn added(patch: &str) -> Vec<(u32, String)> {
    let mut number = 0_u32;
    let mut added = Vec::new();
    for line in patch.lines() {
        if let Some(rest) = line.strip_prefix("@@ ") {
            let new = rest.split_once('+').map_or("", |(_, new)| new);
            let end = new.find(|c: char| !c.is_ascii_digit());
            number = new[..end.unwrap_or(new.len())].parse().unwrap_or(0);
            continue;
        }
        match line.split_at_checked(1) {
            Some(("+", text)) if number > 0 => {
                added.push((number, text.to_owned()));
                number = number.saturating_add(1);
            }
            Some(("-" | "\\", _)) => {}
            // An empty line of the context may have lost its blank.
            _ => number = number.saturating_add(u32::from(number > 0)),
        }
    }
    added
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_that_a_patch_adds_have_their_new_numbers() {
        let patch = "@@ -1,4 +1,5 @@ def f():\n a\n-b\n+B\n+C\n\n d\n@@ -10 +11,2 @@\n x\n+y\n\\ No newline at end of file";
        let lines = added(patch);
        let lines: Vec<_> = lines
            .iter()
            .map(|(at, text)| (*at, text.as_str()))
            .collect();
        assert_eq!(lines, [(2, "B"), (3, "C"), (12, "y")]);
        assert_eq!(added("+not in a part\n@@ x @@\n+a"), []);
        assert_eq!(added("@@ -0,0 +4294967295 @@\n+a\n+b").len(), 2);
        assert_eq!(added("@@ -1 +1 @@\n+ü"), [(1, "ü".to_owned())]);
    }
}
