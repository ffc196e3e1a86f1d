//! The fingerprint of a finding: how GitHub and a baseline recognize it from one run to the next.
//!
//! GitHub compares `partialFingerprints.primaryLocationLineHash` of the SARIF file and nothing else; the value is opaque to
//! it (docs.github.com/code-security/reference/code-scanning/sarif-support-for-code-scanning, "result object"). An alert
//! whose fingerprint changes is closed and opened again, and its discussion and dismissal are lost. So **what is hashed
//! here must not change**, and is the same for the next build of the same thing: no tag, digest, image id or installed
//! version is in it.
//!
//! | finding | hashed |
//! |---|---|
//! | vulnerable package | advisory, package URL without version, place, class, name of the target |
//! | failed check | check, path, resource, message without tags, versions and counts |
//! | secret | rule, path and its lines; of a file that is not in the workspace: rule, path, name of the target |
//! | license | license, package, place, class, name of the target |
//!
//! The place of a distribution's package is empty; of any other package in an image, its file there without the versions
//! that the path spells out; in a directory, the lock file.
//!
//! Findings with the same hash are numbered, `h:1`, `h:2`, in the order of what else identifies them: file and version of
//! a package, lines of a check. Version 10.0 follows 9.5, so that an update which does not pass another version moves no
//! number. No other finding changes that order, and the path is in every hash, so that no other file
//! changes a number.
//!
//! A finding that a stored analysis has by the hash of an earlier version is uploaded with that one: `stored`, `former`.
//!
//! docs/fingerprints.md has the same for users, and what has changed.

mod former;
mod line_hash;
mod stored;
mod versions;

use std::collections::HashMap;

use sha2::{Digest as _, Sha256};
use trivy::report::{License, Misconfiguration, ScanResult, SecretFinding, Vulnerability};

use crate::{Location, Locator};
use versions::{compare, path_without_versions, stable_message};

pub(crate) use line_hash::hash_lines;
pub use stored::{ResultKey, StoredResults, result_key, stored_keys};

/// What a finding is recognized by, before it is numbered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    /// 16 hexadecimal digits.
    pub(crate) hash: String,
    /// The order of findings with one hash: first the text, in which numbers count as such, then the line.
    pub(crate) order: (String, u32),
    /// The hash by an earlier version, if that was another one.
    pub(crate) former: Option<String>,
}

impl Identity {
    /// The hash by an earlier version.
    pub(crate) fn former(&self) -> &str {
        self.former.as_deref().unwrap_or(&self.hash)
    }

    /// Of a vulnerable package in `result`, shown at `location`; `in_image` is whether an image was scanned.
    pub(crate) fn of_package(
        v: &Vulnerability,
        result: &ScanResult,
        location: &Location,
        locator: &Locator<'_>,
        in_image: bool,
    ) -> Self {
        let purl = without_version(&v.identifier.purl);
        let package = if purl.is_empty() { &v.package } else { purl };
        let place = if result.class == "os-pkgs" {
            String::new()
        } else if !v.package_path.is_empty() {
            path_without_versions(&v.package_path, &v.installed_version)
        } else if in_image {
            path_without_versions(&locator.path(&result.target), &v.installed_version)
        } else {
            // One package may be in two lock files.
            locator.path(&result.target)
        };
        let hash_at = |place: &str| hash(&[&v.id, package, place, &result.class, locator.name()]);
        let former_place = former::place(v, &result.class, location);
        let order = [&*v.package_path, &*v.installed_version, &*v.identifier.purl];
        Self {
            hash: hash_at(&place),
            order: (order.join("\n"), 0),
            former: (former_place != place).then(|| hash_at(former_place)),
        }
    }

    /// Of a failed check.
    pub(crate) fn of_check(
        m: &Misconfiguration,
        location: &Location,
        locator: &Locator<'_>,
    ) -> Self {
        let parts = [
            &m.id,
            &location.path,
            &m.cause_metadata.resource,
            &stable_message(&m.message),
        ];
        Self {
            hash: hash(&parts.map(String::as_str)),
            order: (String::new(), location.line),
            former: Some(former::check(m, location, locator)),
        }
    }

    /// Of a license of a package or file in `result`.
    pub(crate) fn of_license(l: &License, result: &ScanResult, locator: &Locator<'_>) -> Self {
        let place = path_without_versions(&locator.path(&l.file_path), "");
        let place = if l.file_path.is_empty() { "" } else { &place };
        Self {
            hash: hash(&[&l.name, &l.package, place, &result.class, locator.name()]),
            order: (l.file_path.clone(), 0),
            former: None,
        }
    }

    /// Of a secret. Of a file that is not in the workspace, the secret itself is not part of it.
    pub(crate) fn of_secret(s: &SecretFinding, location: &Location, locator: &Locator<'_>) -> Self {
        let lines = locator.text(s.start_line, location);
        let last = lines.as_deref().unwrap_or(locator.name());
        Self {
            hash: hash(&[&s.rule, &location.path, last]),
            order: (String::new(), location.line),
            former: Some(former::secret(s, location, locator)),
        }
    }
}

// 16 hexadecimal digits.
pub(crate) fn hash(parts: &[&str]) -> String {
    let mut text = Sha256::new();
    for (at, part) in parts.iter().enumerate() {
        if at > 0 {
            text.update("\n");
        }
        text.update(part);
    }
    let start = text.finalize().into_iter().take(8);
    let start = start.fold(0_u64, |start, byte| (start << 8) | u64::from(byte));
    format!("{start:016x}")
}

// A package URL without version, qualifiers and subpath: `scheme:type/namespace/name@version?qualifiers#subpath`, where
// an `@` in a namespace is written `%40` (github.com/package-url/purl-spec).
fn without_version(purl: &str) -> &str {
    purl.split(['@', '?', '#']).next().unwrap_or_default()
}

/// The fingerprints of findings with these identities, in the same order.
pub(crate) fn number(identities: &[&Identity]) -> Vec<String> {
    let mut sorted: Vec<usize> = (0..identities.len()).collect();
    sorted.sort_by(|a, b| {
        let (a, b) = (identities[*a], identities[*b]);
        let by_text = || compare(&a.order.0, &b.order.0);
        let by_line = || a.order.1.cmp(&b.order.1);
        let by_hash = a.hash.cmp(&b.hash);
        by_hash.then_with(by_text).then_with(by_line)
    });
    let mut fingerprints = vec![String::new(); identities.len()];
    let mut previous = ("", 0);
    for at in sorted {
        let hash = identities[at].hash.as_str();
        let number = if previous.0 == hash {
            previous.1 + 1
        } else {
            1
        };
        fingerprints[at] = format!("{hash}:{number}");
        previous = (hash, number);
    }
    fingerprints
}

/// Numbers findings with the same hash in the order in which they come.
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
mod tests;
