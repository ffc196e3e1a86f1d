//! The packages of a report, for the dependency graph.

use std::collections::{BTreeMap, HashMap, HashSet};

use github::{Dependency, Manifest};
use trivy::Report;

use super::ScanOutcome;
use crate::request::{ScanType, TargetRequest};

/// The packages of all `outcomes`, each image under its own key.
pub(crate) fn merged(outcomes: &[ScanOutcome]) -> BTreeMap<String, Manifest> {
    let parts = outcomes
        .iter()
        .map(|outcome| (outcome.target.scan_type, &outcome.manifests));
    merge(parts)
}

fn merge<'a>(
    parts: impl Iterator<Item = (ScanType, &'a BTreeMap<String, Manifest>)> + Clone,
) -> BTreeMap<String, Manifest> {
    let mut scan_types: HashMap<&str, ScanType> = HashMap::new();
    let mut ambiguous: HashSet<&str> = HashSet::new();
    // The same file in two scans is one file; an image and a saved one of the same name are two images.
    let images = parts
        .clone()
        .filter(|(scan_type, _)| matches!(scan_type, ScanType::Image | ScanType::Archive));
    for (scan_type, manifests) in images {
        for key in manifests.keys() {
            if *scan_types.entry(key).or_insert(scan_type) != scan_type {
                ambiguous.insert(key);
            }
        }
    }
    let mut merged: BTreeMap<String, Manifest> = BTreeMap::new();
    for (scan_type, manifests) in parts {
        for (key, manifest) in manifests {
            let key = if ambiguous.contains(key.as_str()) {
                format!("{scan_type} {key}")
            } else {
                key.clone()
            };
            let known = merged.entry(key.clone()).or_insert_with(|| Manifest {
                name: key,
                ..Manifest::default()
            });
            known.resolved.extend(manifest.resolved.clone());
        }
    }
    merged
}

/// The packages by file or image, each under its package URL, so that two versions of one package are two. `name` is the
/// target's.
pub(super) fn manifests(
    report: &Report,
    target: &TargetRequest,
    name: &str,
) -> BTreeMap<String, Manifest> {
    let mut manifests: BTreeMap<String, Manifest> = BTreeMap::new();
    for result in report.results.iter().filter(|r| !r.packages.is_empty()) {
        let key = if target.is_image() {
            // Trivy's target contains the tag of the image.
            format!("{} ({})", target.title(name), result.r#type)
        } else {
            let path = [target.prefix.as_str(), result.target.as_str()].join("/");
            path.trim_matches('/').to_owned()
        };
        let manifest = manifests.entry(key.clone()).or_insert_with(|| Manifest {
            name: key,
            ..Manifest::default()
        });
        for package in &result.packages {
            let purl = &package.identifier.purl;
            if purl.is_empty() {
                continue;
            }
            let relationship = match package.relationship.as_str() {
                "root" | "direct" => Some("direct"),
                "indirect" => Some("indirect"),
                _ => None,
            };
            let dependency = Dependency {
                package_url: purl.clone(),
                relationship,
            };
            manifest.resolved.insert(purl.clone(), dependency);
        }
    }
    manifests
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn two_versions_of_a_package_are_two() {
        let package = |purl: &str, relationship: &str| json!({"Identifier": {"PURL": purl}, "Relationship": relationship});
        let report = json!({"SchemaVersion": 2, "Results": [{"Target": "uv.lock", "Type": "uv", "Packages": [
            package("pkg:pypi/a@1", "direct"), package("pkg:pypi/a@2", "indirect"), package("", ""), package("pkg:pypi/b@1", ""),
        ]}]});
        let report: Report = serde_json::from_value(report).unwrap();
        let target = TargetRequest {
            scan_type: ScanType::Fs,
            input: "app".into(),
            target: trivy::Target::Filesystem("app".into()),
            name: "app".into(),
            prefix: "app".into(),
            platform: None,
            checkout: None,
            listed: None,
        };
        let found = manifests(&report, &target, "app");
        let resolved: Vec<_> = found["app/uv.lock"]
            .resolved
            .values()
            .map(|d| (d.package_url.as_str(), d.relationship))
            .collect();
        assert_eq!(
            resolved,
            [
                ("pkg:pypi/a@1", Some("direct")),
                ("pkg:pypi/a@2", Some("indirect")),
                ("pkg:pypi/b@1", None),
            ]
        );
    }
    #[test]
    fn an_image_and_a_saved_one_of_the_same_name_are_two() {
        let of = |key: &str, purl: &str| {
            let dependency = Dependency {
                package_url: purl.to_owned(),
                relationship: None,
            };
            let manifest = Manifest {
                name: key.to_owned(),
                resolved: BTreeMap::from([(purl.to_owned(), dependency)]),
            };
            BTreeMap::from([(key.to_owned(), manifest)])
        };
        let parts = [
            (ScanType::Image, of("app (debian)", "pkg:deb/a@1")),
            (ScanType::Archive, of("app (debian)", "pkg:deb/a@2")),
            (ScanType::Image, of("web (debian)", "pkg:deb/a@3")),
            (ScanType::Fs, of("app/uv.lock", "pkg:pypi/a@1")),
            (ScanType::Fs, of("app/uv.lock", "pkg:pypi/a@2")),
        ];
        let merged = merge(parts.iter().map(|(scan_type, part)| (*scan_type, part)));
        let found: Vec<_> = merged
            .iter()
            .map(|(key, manifest)| {
                (
                    key.as_str(),
                    manifest.name.as_str(),
                    manifest.resolved.len(),
                )
            })
            .collect();
        assert_eq!(
            found,
            [
                ("app/uv.lock", "app/uv.lock", 2),
                ("archive app (debian)", "archive app (debian)", 1),
                ("image app (debian)", "image app (debian)", 1),
                ("web (debian)", "web (debian)", 1),
            ]
        );
    }
}
