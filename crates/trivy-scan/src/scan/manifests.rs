//! The packages of a report, for the dependency graph.

use std::collections::BTreeMap;

use github::{Dependency, Manifest};
use trivy::Report;

use crate::request::TargetRequest;

/// The packages by file or image, each under its package URL, so that two versions of one package are two.
pub(super) fn manifests(
    report: &Report,
    target: &TargetRequest,
    name: &str,
) -> BTreeMap<String, Manifest> {
    let mut manifests: BTreeMap<String, Manifest> = BTreeMap::new();
    for result in report.results.iter().filter(|r| !r.packages.is_empty()) {
        let key = if target.is_image() {
            // Trivy's target contains the tag of the image.
            format!("{name} ({})", result.r#type)
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
    use crate::request::ScanType;
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
}
