//! Julia packages (pkgdocs.julialang.org/v1/toml-files).

use super::{Directories, Ecosystem, FileName, PackageFile, toml_entries};

/// Bytes of a UUID.
const UUID: usize = 36;

pub(super) const JULIA: Ecosystem = Ecosystem {
    installed: None,
    normalize: ToOwned::to_owned,
    files: &[
        PackageFile::lock("Manifest.toml", "julia"),
        PackageFile::new(FileName::Exact("Project.toml"))
            .without_lock_file_above(declares_packages, is_locked_above),
    ],
};

// `JSON = "682c06a0-de6a-54ab-a142-c8b1cf79cde6"` in `[deps]`. Files of this name that are not Julia's have no UUIDs.
fn declares_packages(text: &str) -> bool {
    toml_entries(text).any(|(table, _, value)| {
        let uuid = value.split('"').nth(1).unwrap_or_default();
        table == "deps" && uuid.len() == UUID
    })
}

// The projects of a workspace have one lock file. What tests and documentation use is not delivered.
fn is_locked_above(_: &str, directories: &dyn Directories) -> bool {
    let projects = directories.above("Project.toml");
    let is_workspace = projects
        .iter()
        .any(|(project, _)| toml_entries(project).any(|(table, ..)| table == "workspace"));
    let is_for_development = |member: &str| ["test", "docs"].contains(&member);
    (is_workspace && !directories.above("Manifest.toml").is_empty())
        || projects
            .iter()
            .any(|(_, member)| is_for_development(member))
}
