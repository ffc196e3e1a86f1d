//! What can be mended: the installed packages that have an update.

use std::collections::{BTreeMap, BTreeSet};

use container::ImageInfo;
use serde_json::{Value, json};
use trivy::Report;

/// Words in the names of the distributions whose packages Copa can update
/// (project-copacetic/copacetic, pkg/utils/os.go).
const FAMILIES: &[&str] = &[
    "alpine",
    "debian",
    "ubuntu",
    "redhat",
    "rocky",
    "oracle",
    "centos",
    "amazon",
    "alma",
    "azurelinux",
    "cbl-mariner",
    "suse linux enterprise server",
    "opensuse",
];

/// Packages to update, each with the findings that this mends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plan {
    family: String,
    release: String,
    architecture: String,
    packages: BTreeMap<String, Vec<Fix>>,
}

/// A finding that an update mends.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Fix {
    id: String,
    installed: String,
    fixed: String,
}

impl Plan {
    /// The updates that `report` knows of, of packages that are installed.
    ///
    /// # Errors
    /// When there are some, of a distribution that Copa can't update.
    pub(crate) fn of(report: &Report, image: &ImageInfo) -> anyhow::Result<Self> {
        let mut packages: BTreeMap<String, Vec<Fix>> = BTreeMap::new();
        let systems = report.results.iter().filter(|r| r.class == "os-pkgs");
        for result in systems {
            let installed: BTreeSet<_> = result
                .packages
                .iter()
                .map(|package| package.name.as_str())
                .collect();
            let fixable = result
                .vulnerabilities
                .iter()
                .filter(|v| !v.fixed_version.is_empty() && installed.contains(v.package.as_str()));
            for v in fixable {
                let fix = Fix {
                    id: v.id.clone(),
                    installed: v.installed_version.clone(),
                    fixed: v.fixed_version.clone(),
                };
                packages.entry(v.package.clone()).or_default().push(fix);
            }
        }
        let os = report.metadata.os.clone().unwrap_or_default();
        let known = FAMILIES.iter().any(|family| os.family.contains(family));
        if !packages.is_empty() && os.family.is_empty() {
            anyhow::bail!(
                "the report does not say of which distribution the packages are (`Metadata.OS`); leave `report` empty, and the image is scanned"
            );
        }
        if !packages.is_empty() && !known {
            anyhow::bail!(
                "Copa can't update packages of {} {}: rebuild the image on a newer base",
                os.family,
                os.name
            );
        }
        // Copa compares the release as text, and would take the tools of another one for `12.15`.
        let release = match os.family.as_str() {
            "debian" => os.name.split('.').next().unwrap_or_default().to_owned(),
            _ => os.name,
        };
        Ok(Self {
            family: os.family,
            release,
            architecture: image.architecture.clone(),
            packages,
        })
    }

    /// Whether there is nothing to mend.
    pub(crate) fn is_empty(&self) -> bool {
        self.packages.is_empty()
    }

    /// The packages, in the order of their names.
    pub(crate) fn packages(&self) -> impl Iterator<Item = &str> {
        self.packages.keys().map(String::as_str)
    }

    /// Whether `package` is one of them.
    pub(crate) fn has(&self, package: &str) -> bool {
        self.packages.contains_key(package)
    }

    /// The same without `left_out`; `None` if that leaves nothing, or changes nothing.
    pub(crate) fn without<'p>(&self, left_out: impl IntoIterator<Item = &'p str>) -> Option<Self> {
        let mut rest = self.clone();
        for package in left_out {
            rest.packages.remove(package);
        }
        (!rest.is_empty() && rest.packages.len() < self.packages.len()).then_some(rest)
    }

    /// The report that Copa gets: ours, with these packages and nothing else.
    pub(crate) fn report(&self, image: &str) -> Value {
        let findings = self.packages.iter().flat_map(|(name, fixes)| {
            fixes.iter().map(move |fix| {
                json!({"VulnerabilityID": fix.id, "PkgName": name, "InstalledVersion": fix.installed, "FixedVersion": fix.fixed, "Status": "fixed"})
            })
        });
        json!({
            "SchemaVersion": 2,
            "ArtifactName": image,
            "ArtifactType": "container_image",
            "Metadata": {"OS": {"Family": self.family, "Name": self.release}, "ImageConfig": {"architecture": self.architecture, "os": "linux"}},
            "Results": [{"Target": image, "Class": "os-pkgs", "Type": self.family, "Vulnerabilities": findings.collect::<Vec<_>>()}],
        })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A report of an image with `packages`: name, installed version, and the version that mends
    /// `CVE-<name>`; an empty one if there is none yet, `-` if nothing is known against it.
    pub(crate) fn report(packages: &[(&str, &str, &str)]) -> Report {
        let installed: Vec<_> = packages
            .iter()
            .map(|(name, version, _)| {
                json!({
                    "ID": format!("{name}@{version}"), "Name": name,
                    "Identifier": {"PURL": format!("pkg:deb/debian/{name}@{version}?arch=amd64")},
                })
            })
            .collect();
        let found: Vec<_> = packages
            .iter()
            .filter(|(_, _, fixed)| *fixed != "-")
            .map(|(name, version, fixed)| json!({"VulnerabilityID": format!("CVE-{name}"), "PkgID": format!("{name}@{version}"), "PkgName": name, "InstalledVersion": version, "FixedVersion": fixed, "Severity": "HIGH"}))
            .collect();
        let value = json!({
            "SchemaVersion": 2, "ArtifactName": "app:1", "ArtifactType": "container_image",
            "Metadata": {"OS": {"Family": "debian", "Name": "13.8"}, "DiffIDs": ["sha256:a"], "ImageConfig": {"architecture": "amd64"}},
            "Results": [{"Target": "app:1", "Class": "os-pkgs", "Type": "debian", "Packages": installed, "Vulnerabilities": found}],
        });
        serde_json::from_value(value).unwrap()
    }

    /// The image that [`report`] is of.
    pub(crate) fn image() -> ImageInfo {
        ImageInfo {
            architecture: "amd64".into(),
            diff_ids: vec!["sha256:a".into()],
            ..ImageInfo::default()
        }
    }

    #[test]
    fn only_installed_packages_with_an_update_are_planned() {
        let mut found = report(&[
            ("openssl", "1", "2"),
            ("zlib1g", "1", ""),
            ("bash", "5", "-"),
        ]);
        found.results[0]
            .vulnerabilities
            .push(trivy::report::Vulnerability {
                package: "curl".into(),
                fixed_version: "9".into(),
                ..Default::default()
            });
        let plan = Plan::of(&found, &image()).unwrap();
        assert_eq!(plan.packages().collect::<Vec<_>>(), ["openssl"]);
    }

    #[test]
    fn a_package_of_a_language_is_not_the_distributions() {
        let mut found = report(&[("openssl", "1", "2")]);
        found.results[0].class = "lang-pkgs".into();
        assert!(Plan::of(&found, &image()).unwrap().is_empty());
    }

    #[test]
    fn leaving_out_must_leave_something_and_change_something() {
        let both = report(&[("openssl", "1", "2"), ("perl", "1", "2")]);
        let plan = Plan::of(&both, &image()).unwrap();
        let rest = |out: &[&str]| {
            let rest = plan.without(out.iter().copied())?;
            Some(rest.packages().collect::<Vec<_>>().join(" "))
        };
        assert_eq!(rest(&["perl"]).as_deref(), Some("openssl"));
        assert_eq!(rest(&["curl"]), None);
        assert_eq!(rest(&["perl", "openssl"]), None);
    }

    #[test]
    fn the_report_that_copa_gets() {
        let plan = Plan::of(&report(&[("openssl", "1", "2")]), &image()).unwrap();
        insta::assert_json_snapshot!(plan.report("127.0.0.1:5000/x/app:1"), @r#"
        {
          "ArtifactName": "127.0.0.1:5000/x/app:1",
          "ArtifactType": "container_image",
          "Metadata": {
            "ImageConfig": {
              "architecture": "amd64",
              "os": "linux"
            },
            "OS": {
              "Family": "debian",
              "Name": "13"
            }
          },
          "Results": [
            {
              "Class": "os-pkgs",
              "Target": "127.0.0.1:5000/x/app:1",
              "Type": "debian",
              "Vulnerabilities": [
                {
                  "FixedVersion": "2",
                  "InstalledVersion": "1",
                  "PkgName": "openssl",
                  "Status": "fixed",
                  "VulnerabilityID": "CVE-openssl"
                }
              ]
            }
          ],
          "SchemaVersion": 2
        }
        "#);
    }

    #[test]
    fn a_distribution_that_copa_does_not_know_matters_only_where_there_is_an_update() {
        let photon = |packages| {
            let mut found = report(packages);
            found.metadata.os = Some(trivy::report::Os {
                family: "photon".into(),
                name: "5".into(),
                ..Default::default()
            });
            Plan::of(&found, &image())
        };
        assert!(photon(&[("openssl", "1", "-")]).unwrap().is_empty());
        assert_eq!(
            photon(&[("openssl", "1", "2")]).unwrap_err().to_string(),
            "Copa can't update packages of photon 5: rebuild the image on a newer base"
        );
        let unknown = |packages| {
            let mut found = report(packages);
            found.metadata.os = None;
            Plan::of(&found, &image())
        };
        assert!(unknown(&[]).unwrap().is_empty());
        let error = unknown(&[("openssl", "1", "2")]).unwrap_err().to_string();
        assert!(error.contains("`Metadata.OS`"), "{error}");
    }
}
