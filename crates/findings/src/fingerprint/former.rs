//! Hashes of an earlier version, by which a stored analysis of that version is still compared. They are uploaded only for
//! what the newest analysis has by them.
//!
//! | finding | hashed |
//! |---|---|
//! | vulnerable package | the same, with the path as it is; in an image without a path of the package, where it is shown |
//! | failed check | the line, as GitHub's own uploader hashes it; without the file: check, path, resource, message |
//! | secret | the line; without the file: rule, path, name of the target |

use trivy::report::{Misconfiguration, SecretFinding, Vulnerability};

use super::hash;
use crate::{Location, Locator};

/// The place of a package in the hash.
pub(super) fn place<'a>(v: &'a Vulnerability, class: &str, location: &'a Location) -> &'a str {
    if class == "os-pkgs" {
        ""
    } else if v.package_path.is_empty() {
        &location.path
    } else {
        &v.package_path
    }
}

pub(super) fn check(m: &Misconfiguration, location: &Location, locator: &Locator<'_>) -> String {
    let parts = [
        &m.id,
        &location.path,
        &m.cause_metadata.resource,
        &m.message,
    ];
    line_or(location, locator, &parts.map(String::as_str))
}

pub(super) fn secret(s: &SecretFinding, location: &Location, locator: &Locator<'_>) -> String {
    line_or(
        location,
        locator,
        &[&s.rule, &location.path, locator.name()],
    )
}

fn line_or(location: &Location, locator: &Locator<'_>, parts: &[&str]) -> String {
    let line = locator.line_hash(location);
    line.map_or_else(
        || hash(parts),
        |line| line.split(':').next().unwrap_or_default().to_owned(),
    )
}
