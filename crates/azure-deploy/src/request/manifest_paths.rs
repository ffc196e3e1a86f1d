//! The paths of the manifests: globs are expanded, and what is not a path is named.

use std::path::Path;

use actions_toolkit::{BadInput, Workspace, WorkspacePath, glob};
use globset::GlobMatcher;

use crate::action::Inputs;
use crate::manifests::is_manifest;

/// Files and directories that a glob is compared with: a checkout may be large, and is a stranger's.
const ENTRIES: usize = 100_000;
/// A directory with this file is a Helm chart.
const CHART: &str = "Chart.yaml";

/// Each of `paths` that exists, and for a glob the files of manifests that it matches, in the order of their names. As in
/// a shell, `*` does not match a `/`, and `**` does.
///
/// # Errors
/// With the first that is not a path, does not exist, or matches nothing.
pub(super) fn expand(
    workspace: &Workspace,
    paths: &[WorkspacePath],
) -> Result<Vec<WorkspacePath>, BadInput> {
    let bad = |problem: String| BadInput::new(Inputs::manifests, problem);
    let mut expanded: Vec<WorkspacePath> = Vec::new();
    for path in paths {
        let text = path.given();
        if let Some(problem) = remote(text) {
            return Err(bad(problem));
        }
        if reference(path).is_some() {
            expanded.push(path.clone());
            continue;
        }
        let is_glob = text.contains(['*', '?', '[', '{']) && !path.absolute().exists();
        if !is_glob {
            path.existing()?;
            if let Some(problem) = part_of_chart(path) {
                return Err(bad(problem));
            }
            expanded.push(path.clone());
            continue;
        }
        let glob = glob::paths(path.relative()).map_err(|e| bad(format!("not a glob: {e}")))?;
        let mut found = Vec::new();
        let start = literal_start(path.relative());
        let matches = Matches {
            root: workspace.root(),
            glob,
        };
        let mut room = ENTRIES;
        matches.collect(start, &mut room, &mut found).map_err(bad)?;
        if found.is_empty() {
            let problem = format!("`{text}` matches no `.yaml`, `.yml` or `.json` file");
            return Err(bad(problem));
        }
        found.sort();
        for relative in found {
            expanded.push(workspace.path(Inputs::manifests, &relative).map_err(bad)?);
        }
    }
    let mut unique: Vec<WorkspacePath> = Vec::new();
    for path in expanded {
        if !unique
            .iter()
            .any(|other| other.relative() == path.relative())
        {
            unique.push(path);
        }
    }
    Ok(unique)
}

// Why `text` is not a path, if it is an address.
fn remote(text: &str) -> Option<String> {
    let is_git = text.starts_with("git@") || text.contains("?ref=") || text.contains(".git//");
    let is_host = |start: &str| text.starts_with(start);
    if is_git
        || ["github.com/", "gitlab.com/", "bitbucket.org/"]
            .into_iter()
            .any(is_host)
    {
        return Some(format!(
            "`{text}` is a kustomization of another repository, which is not fetched: what is deployed would not be what was checked out; check that repository out in an earlier step, and use its path"
        ));
    }
    let scheme = text.split_once("://")?.0;
    if scheme == "oci" {
        return None;
    }
    Some(format!(
        "`{text}` is a URL ({scheme}), which is not fetched: what is deployed would not be what was checked out; keep the file in the repository, or download it in an earlier step"
    ))
}

/// The reference of a Helm chart in a registry, without its `oci://`.
pub(super) fn reference(path: &WorkspacePath) -> Option<&str> {
    path.given().strip_prefix("oci://")
}

/// `path`, or the reference of a chart without its version.
pub(super) fn without_version(path: &WorkspacePath) -> String {
    let Some(reference) = reference(path) else {
        return path.relative().to_owned();
    };
    let parsed: Option<oci::ImageRef> = reference.replace('+', "_").parse().ok();
    parsed.map_or_else(|| reference.to_owned(), |image| image.without_version())
}

/// Whether `path` is a Helm chart: a directory, an archive, or a reference.
pub(super) fn is_chart(path: &WorkspacePath) -> bool {
    let absolute = path.absolute();
    if reference(path).is_some() {
        return true;
    }
    let is_archive = absolute.extension().is_some_and(|end| end == "tgz");
    absolute.join(CHART).is_file() || (is_archive && absolute.is_file())
}

// Why a path is not one of manifests, if it is a part of a Helm chart.
fn part_of_chart(path: &WorkspacePath) -> Option<String> {
    let (absolute, shown) = (path.absolute(), path.relative());
    let of_chart = absolute.ancestors().skip(1).take(2);
    let mut of_chart = of_chart.filter(|directory| directory.join(CHART).is_file());
    let chart = of_chart.next()?;
    let part = absolute.strip_prefix(chart).ok()?;
    let directory = shown.strip_suffix(&*part.to_string_lossy())?;
    let directory = match directory.trim_end_matches('/') {
        "" => ".",
        directory => directory,
    };
    part.starts_with("templates").then(|| {
        format!(
            "`{shown}` has templates of a Helm chart, and not manifests; name the chart, `{directory}`, which is rendered as by `helm template`"
        )
    })
}

/// What a glob matches below a directory.
struct Matches<'a> {
    root: &'a Path,
    glob: GlobMatcher,
}

impl Matches<'_> {
    // Links are not followed: they may lead anywhere, also in circles.
    fn collect(
        &self,
        directory: &str,
        room: &mut usize,
        found: &mut Vec<String>,
    ) -> Result<(), String> {
        let Ok(entries) = std::fs::read_dir(self.root.join(directory)) else {
            return Ok(());
        };
        for entry in entries.flatten() {
            if *room == 0 {
                return Err(format!(
                    "a glob is compared with more than {ENTRIES} files; begin it with a directory"
                ));
            }
            *room -= 1;
            let Ok(name) = entry.file_name().into_string() else {
                continue;
            };
            let relative = match directory {
                "" => name,
                directory => format!("{directory}/{name}"),
            };
            let kind = entry.file_type();
            if kind.as_ref().is_ok_and(std::fs::FileType::is_dir) {
                if relative != ".git" {
                    self.collect(&relative, room, found)?;
                }
            } else if kind.is_ok_and(|kind| kind.is_file())
                && is_manifest(Path::new(&relative))
                && self.glob.is_match(&relative)
            {
                found.push(relative);
            }
        }
        Ok(())
    }
}

// The directories before the first part of `glob` that is not literal.
fn literal_start(glob: &str) -> &str {
    let end = glob.find(['*', '?', '[', '{']).unwrap_or(glob.len());
    glob[..end].rfind('/').map_or("", |slash| &glob[..slash])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(files: &[&str], path: &str) -> Result<Vec<String>, String> {
        let directory = tempfile::tempdir().unwrap();
        for file in files {
            let file = directory.path().join(file);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, "").unwrap();
        }
        let workspace = Workspace::new(directory.path());
        let paths: Vec<_> = path
            .lines()
            .map(|line| workspace.path("manifests", line).unwrap())
            .collect();
        let paths = expand(&workspace, &paths).map_err(|e| e.to_string())?;
        Ok(paths
            .iter()
            .map(|path| path.relative().to_owned())
            .collect())
    }

    #[test]
    fn a_glob_is_the_manifests_that_it_matches() {
        let files = [
            "k8s/b.yaml",
            "k8s/a.yml",
            "k8s/x.md",
            "k8s/deep/c.yaml",
            "k8s/[x].yaml",
            "d/e.json",
        ];
        let table: [(&str, &[&str]); 8] = [
            ("k8s/*.yaml", &["k8s/[x].yaml", "k8s/b.yaml"]),
            ("k8s/*", &["k8s/[x].yaml", "k8s/a.yml", "k8s/b.yaml"]),
            (
                "k8s/**/*.yaml",
                &["k8s/[x].yaml", "k8s/b.yaml", "k8s/deep/c.yaml"],
            ),
            ("k8s/[ab].*", &["k8s/a.yml", "k8s/b.yaml"]),
            ("{d,k8s}/[be].*", &["d/e.json", "k8s/b.yaml"]),
            ("k8s/[x].yaml", &["k8s/[x].yaml"]),
            ("k8s/a.yml\nk8s/?.yml", &["k8s/a.yml"]),
            ("k8s", &["k8s"]),
        ];
        for (path, expected) in table {
            assert_eq!(expanded(&files, path).unwrap(), expected, "{path}");
        }
    }

    #[test]
    fn what_is_not_a_path_of_manifests_is_named() {
        let files = ["k8s/a.yaml", "chart/Chart.yaml", "chart/templates/app.yaml"];
        let table = [
            (
                "k8s/*.json",
                "`k8s/*.json` matches no `.yaml`, `.yml` or `.json` file",
            ),
            (
                "https://example.com/app.yaml",
                "`https://example.com/app.yaml` is a URL (https), which is not fetched: what is deployed would not be what was checked out; keep the file in the repository, or download it in an earlier step",
            ),
            (
                "github.com/octo-org/app//deploy?ref=v1",
                "`github.com/octo-org/app//deploy?ref=v1` is a kustomization of another repository, which is not fetched: what is deployed would not be what was checked out; check that repository out in an earlier step, and use its path",
            ),
            (
                "chart/templates",
                "`chart/templates` has templates of a Helm chart, and not manifests; name the chart, `chart`, which is rendered as by `helm template`",
            ),
            (
                "chart/templates/app.yaml",
                "`chart/templates/app.yaml` has templates of a Helm chart, and not manifests; name the chart, `chart`, which is rendered as by `helm template`",
            ),
            ("absent", "there is no `absent` in the workspace"),
            (
                "k8s/[a.yaml",
                "not a glob: `k8s/[a.yaml`: unclosed character class; missing ']'",
            ),
        ];
        for (path, expected) in table {
            let error = expanded(&files, path).unwrap_err();
            assert_eq!(error, format!("input `manifests`: {expected}"), "{path}");
        }
    }
}
