//! Checks of configuration that are not Trivy's: files in Rego that the workspace has.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use actions_toolkit::{BadInput, WorkspacePath};
use walkdir::WalkDir;

use super::Inputs;

/// Bytes of the largest file that is read.
const FILE: usize = limits::MIB;
/// Entries of a directory that are looked at.
const ENTRIES: usize = 10_000;
/// Packages without checks of the workspace: Trivy's own, and what checks import.
const NOT_CHECKS: [&str; 3] = ["builtin", "lib", "data"];

/// Files and directories with checks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Checks {
    pub(crate) paths: Vec<PathBuf>,
    /// The first part of each package: Trivy evaluates its own and those that it is given.
    pub(crate) namespaces: BTreeSet<String>,
}

impl Checks {
    pub(super) fn open(inputs: &[WorkspacePath]) -> Result<Self, BadInput> {
        let mut checks = Self::default();
        for input in inputs {
            let path = input.existing()?;
            let namespaces = namespaces(&path);
            if namespaces.is_empty() {
                let problem = format!(
                    "`{}` has no check: no file `*.rego` with a `package`",
                    input.given()
                );
                return Err(BadInput::new(Inputs::checks, problem));
            }
            checks.namespaces.extend(namespaces);
            checks.paths.push(path);
        }
        Ok(checks)
    }
}

fn namespaces(root: &Path) -> BTreeSet<String> {
    let files = WalkDir::new(root)
        .into_iter()
        .take(ENTRIES)
        .filter_map(Result::ok)
        .filter(|entry| entry.file_type().is_file())
        .filter(|entry| entry.path().extension().is_some_and(|e| e == "rego"));
    files
        .filter_map(|entry| {
            let path = entry.path();
            let directory = path.parent().unwrap_or(path);
            namespace(&limits::read_text(directory, path, FILE).ok()?)
        })
        .collect()
}

// `package user.docker.root`; comments and metadata may come before.
fn namespace(text: &str) -> Option<String> {
    let mut lines = text.lines().map(str::trim);
    let package = lines.find_map(|line| line.strip_prefix("package "))?;
    let word = package.split_whitespace().next()?;
    let is_part_of_name = |c: char| c.is_alphanumeric() || c == '_';
    let end = word.find(|c| !is_part_of_name(c)).unwrap_or(word.len());
    let name = &word[..end];
    (!name.is_empty() && !NOT_CHECKS.contains(&name)).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_namespace_is_the_first_part_of_the_package() {
        let table = [
            (
                "# METADATA\n# title: x\npackage user.docker.root\n",
                Some("user"),
            ),
            ("package  team_1\n", Some("team_1")),
            ("package mine[\"a b\"]", Some("mine")),
            ("package lib.docker\n", None),
            ("package builtin.x", None),
            ("# package no\ndeny := 1\n", None),
            ("", None),
        ];
        for (text, expected) in table {
            assert_eq!(namespace(text).as_deref(), expected, "{text}");
        }
    }
}
