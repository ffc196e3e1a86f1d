//! Rust packages (doc.rust-lang.org/cargo/reference/manifest.html). Trivy's report has the lines of the lock file.

use std::collections::BTreeMap;

use super::{Directories, Ecosystem, FileName, PackageFile, toml_entries};

pub(super) const RUST: Ecosystem = Ecosystem {
    installed: None,
    normalize: ToOwned::to_owned,
    files: &[
        PackageFile::lock("Cargo.lock", "cargo"),
        PackageFile::new(FileName::Exact("Cargo.toml"))
            .without_lock_file_above(declares_packages, is_locked_above),
    ],
};

// What is needed to build or test it is not delivered, and a crate of the same repository is not a package.
fn declares_packages(text: &str) -> bool {
    // `[dependencies.a]` is about one package, with a line for each of its keys: whether that is local.
    let mut tables: BTreeMap<&str, bool> = BTreeMap::new();
    for (table, key, value) in toml_entries(text) {
        if is_dependencies(table) {
            if !is_local(key, value) {
                return true;
            }
        } else if let Some((parent, _)) = table.rsplit_once('.')
            && is_dependencies(parent)
        {
            *tables.entry(table).or_default() |= key == "path";
        }
    }
    tables.values().any(|is_local| !is_local)
}

// `[dependencies]`, or `[target.'cfg(unix)'.dependencies]`.
fn is_dependencies(table: &str) -> bool {
    table == "dependencies" || (table.starts_with("target.") && table.ends_with(".dependencies"))
}

// `a = { path = "../a" }`, `a.path = "../a"`.
fn is_local(key: &str, value: &str) -> bool {
    let is_path = |part: &str| {
        let rest = part.trim_start().strip_prefix("path");
        rest.is_some_and(|rest| rest.trim_start().starts_with('='))
    };
    key.strip_suffix(".path").is_some()
        || (value.starts_with('{') && value.split(['{', ',']).any(is_path))
}

// The lock file of a workspace has its members by their names.
fn is_locked_above(text: &str, directories: &dyn Directories) -> bool {
    let is_name = |(table, key, _): &(&str, &str, &str)| *table == "package" && *key == "name";
    let Some((_, _, name)) = toml_entries(text).find(is_name) else {
        return false;
    };
    let name = name.split('"').nth(1).unwrap_or_default();
    let member = format!("name = \"{name}\"");
    let locks = directories.above("Cargo.lock");
    let has_member = |lock: &str| lock.lines().any(|line| line == member);
    locks.iter().any(|(lock, _)| has_member(lock))
}
