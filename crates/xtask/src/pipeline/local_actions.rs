//! Actions of GitHub that need its services: in a local run, artifacts and caches are in directories of the state.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::Context as _;

use crate::paths;

/// Those that are replaced, by their directories.
const REPLACED: [&str; 3] = ["upload-artifact", "download-artifact", "cache"];
/// Where a job has the directories.
const MOUNTED: &str = "/local-run";

/// The arguments of `act` for the workflows in `checkout`. What an earlier run uploaded is removed; its caches stay.
///
/// # Errors
/// When a workflow can't be read, or a directory can't be made.
pub(super) fn arguments(checkout: &Path) -> anyhow::Result<Vec<String>> {
    let directory = paths::state().join("act/local-run");
    let artifacts = directory.join("artifacts");
    if artifacts.is_dir() {
        std::fs::remove_dir_all(&artifacts).context("failed to remove the last artifacts")?;
    }
    std::fs::create_dir_all(&artifacts)?;
    std::fs::create_dir_all(directory.join("caches"))?;
    let mount = format!("--volume {}:{MOUNTED}", directory.display());
    let mut arguments = vec!["--container-options".to_owned(), mount];
    let actions = paths::root().join("crates/xtask/local-actions");
    for name in references(checkout)? {
        let action = name.split(['/', '@']).nth(1).unwrap_or_default();
        let path = actions.join(action);
        arguments.push(format!("--local-repository={name}={}", path.display()));
    }
    Ok(arguments)
}

// `actions/cache@…` for each version that a workflow names.
fn references(checkout: &Path) -> anyhow::Result<BTreeSet<String>> {
    let mut references = BTreeSet::new();
    for directory in [".github/workflows", "examples"] {
        let files = std::fs::read_dir(checkout.join(directory)).into_iter();
        for file in files.flatten() {
            let path = file?.path();
            if path.extension().is_some_and(|extension| extension == "yml") {
                let text = std::fs::read_to_string(&path)
                    .with_context(|| format!("failed to read `{}`", path.display()))?;
                references.extend(text.lines().filter_map(reference));
            }
        }
    }
    Ok(references)
}

fn reference(line: &str) -> Option<String> {
    let uses = line.trim().trim_start_matches("- ").strip_prefix("uses:")?;
    let (action, version) = uses.split_whitespace().next()?.split_once('@')?;
    let name = action.strip_prefix("actions/")?.split('/').next()?;
    REPLACED
        .contains(&name)
        .then(|| format!("actions/{name}@{version}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_is_to_the_repository_of_the_action() {
        for (line, expected) in [
            (
                "        uses: actions/upload-artifact@b7c566a # v6.0.0",
                Some("actions/upload-artifact@b7c566a"),
            ),
            ("- uses: actions/cache/restore@v5", Some("actions/cache@v5")),
            ("uses: actions/checkout@v6", None),
            ("uses: ./actions/ci", None),
            ("run: actions/cache@v5", None),
        ] {
            assert_eq!(reference(line).as_deref(), expected, "{line}");
        }
    }
}
