//! As what a finding is known from one run to the next.
//!
//! GitHub distinguishes alerts by `partialFingerprints.primaryLocationLineHash` alone; the value is opaque to it.

use std::collections::HashMap;

use oci::Digest;

/// The identity of what `parts` name: 16 hex digits.
pub(crate) fn of(parts: &[&str]) -> String {
    let digest = Digest::sha256(parts.join("\n").as_bytes());
    digest.hex().chars().take(16).collect()
}

/// A package URL without its version, qualifiers and subpath: the same package in the next build.
///
/// The purl specification: `scheme:type/namespace/name@version?qualifiers#subpath`, where an `@` in a
/// namespace is written `%40`.
pub(crate) fn package_of(purl: &str) -> &str {
    purl.split(['@', '?', '#']).next().unwrap_or_default()
}

/// Numbers those that are alike: the first `h` becomes `h:1`, the second `h:2`.
#[derive(Default)]
pub(crate) struct Occurrences(HashMap<(String, String), u32>);

impl Occurrences {
    /// The next number of `hash` under `rule`.
    pub(crate) fn number(&mut self, rule: &str, hash: &str) -> String {
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
    fn a_package_is_known_without_its_version() {
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
            assert_eq!(package_of(purl), expected);
        }
    }

    #[test]
    fn what_is_alike_is_numbered_within_its_rule() {
        let mut seen = Occurrences::default();
        let numbers = [("a", "h"), ("a", "h"), ("b", "h")].map(|(rule, h)| seen.number(rule, h));
        assert_eq!(numbers, ["h:1", "h:2", "h:1"]);
    }
}
