//! The fingerprint of a finding: how GitHub recognizes an alert from one run to the next.
//!
//! GitHub compares `partialFingerprints.primaryLocationLineHash` of the SARIF file and nothing else; the value is opaque to
//! it. An alert whose fingerprint changes is closed and opened again, and its discussion and dismissal are lost. So
//! **what is hashed here must never change**, and must be the same for the next build of the same thing: no tag, digest,
//! image id or installed version is in it.
//!
//! | finding | hashed |
//! |---|---|
//! | vulnerable package | advisory, package URL without version, file (of language packages), class, name of the target |
//! | failed check | the line, as GitHub's own uploader hashes it; without the file: check, path, resource, message |
//! | secret | the line; without the file: rule, path, name of the target |
//!
//! Findings of one rule with the same hash are numbered in the order of the report: `h:1`, `h:2`.

mod line_hash;

use std::collections::HashMap;

use oci::Digest;
use trivy::report::{Misconfiguration, SecretFinding, Vulnerability};

use crate::{Location, Locator};

pub(crate) use line_hash::hash_lines;

/// The hash of a vulnerable package, to be numbered by [`Occurrences`]. `class` is that of Trivy's result.
pub(crate) fn package(
    v: &Vulnerability,
    class: &str,
    location: &Location,
    locator: &Locator<'_>,
) -> String {
    let purl = without_version(&v.identifier.purl);
    let package = if purl.is_empty() { &v.package } else { purl };
    // One package may be in two lock files. The distribution's packages have no file.
    let file = if class == "os-pkgs" {
        ""
    } else if v.package_path.is_empty() {
        &location.path
    } else {
        &v.package_path
    };
    hash(&[&v.id, package, file, class, locator.name()])
}

/// The hash of a failed check, to be numbered.
pub(crate) fn check(m: &Misconfiguration, location: &Location, locator: &Locator<'_>) -> String {
    let parts = [
        &m.id,
        &location.path,
        &m.cause_metadata.resource,
        &m.message,
    ];
    line_or(location, locator, &parts.map(String::as_str))
}

/// The hash of a secret, to be numbered: of its line where the file is in the workspace, as GitHub's own uploader hashes
/// it. Without the file, the secret is not part of it.
pub(crate) fn secret(s: &SecretFinding, location: &Location, locator: &Locator<'_>) -> String {
    line_or(
        location,
        locator,
        &[&s.rule, &location.path, locator.name()],
    )
}

// The line's hash where the file is in the workspace, so that the alert moves with the line.
fn line_or(location: &Location, locator: &Locator<'_>, parts: &[&str]) -> String {
    let line = locator.line_hash(location);
    line.map_or_else(
        || hash(parts),
        |line| line.split(':').next().unwrap_or_default().to_owned(),
    )
}

// 16 hexadecimal digits.
fn hash(parts: &[&str]) -> String {
    let digest = Digest::sha256(parts.join("\n").as_bytes());
    digest.hex().chars().take(16).collect()
}

// A package URL without version, qualifiers and subpath: `scheme:type/namespace/name@version?qualifiers#subpath`, where
// an `@` in a namespace is written `%40` (github.com/package-url/purl-spec).
fn without_version(purl: &str) -> &str {
    purl.split(['@', '?', '#']).next().unwrap_or_default()
}

/// Numbers findings with the same hash.
#[derive(Debug, Default)]
pub struct Occurrences(HashMap<(String, String), u32>);

impl Occurrences {
    /// The fingerprint: `hash` with its number under `rule`, from 1.
    pub fn number(&mut self, rule: &str, hash: &str) -> String {
        let times = self
            .0
            .entry((rule.to_owned(), hash.to_owned()))
            .or_insert(0);
        *times += 1;
        format!("{hash}:{times}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_is_recognized_without_its_version() {
        let table = [
            (
                "pkg:deb/debian/openssl@3.5.7-1?arch=amd64&distro=debian-13",
                "pkg:deb/debian/openssl",
            ),
            ("pkg:pypi/flask@3.1.2", "pkg:pypi/flask"),
            ("pkg:npm/%40angular/core@1", "pkg:npm/%40angular/core"),
            ("", ""),
        ];
        for (purl, expected) in table {
            assert_eq!(without_version(purl), expected);
        }
    }

    #[test]
    fn equal_hashes_are_numbered_within_their_rule() {
        let mut occurrences = Occurrences::default();
        let numbers =
            [("a", "h"), ("a", "h"), ("b", "h")].map(|(rule, h)| occurrences.number(rule, h));
        assert_eq!(numbers, ["h:1", "h:2", "h:1"]);
    }
}
