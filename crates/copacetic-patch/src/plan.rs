//! What can be mended: a report held against its image, and the packages that have an update.

use std::collections::{BTreeMap, BTreeSet};

use actions_toolkit::BadInput;
use container::ImageInfo;
use serde_json::{Value, json};
use trivy::Report;

/// The distributions whose packages Copa can update (project-copacetic/copacetic, pkg/pkgmgr).
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

/// Refuse a report of another image: Copa would not, and would install what it names.
pub(crate) fn bind(report: &Report, image: &ImageInfo) -> Result<(), BadInput> {
    let refuse = |problem: String| {
        Err(BadInput::of(
            "report",
            format!("{problem}; scan this image again, or leave the input empty"),
        ))
    };
    if report.artifact_type != "container_image" {
        return refuse(format!(
            "it is the report of a {}, not of an image",
            report.artifact_type
        ));
    }
    if report.metadata.diff_ids != image.diff_ids {
        return refuse(format!(
            "it is the report of `{}` with other layers than the image has",
            report.artifact_name
        ));
    }
    let architecture = report.metadata.image_config["architecture"]
        .as_str()
        .unwrap_or_default();
    if !architecture.is_empty() && architecture != image.architecture {
        return refuse(format!(
            "it is for {architecture}, and the image for {}",
            image.architecture
        ));
    }
    Ok(())
}

impl Plan {
    /// The updates that `report` knows of, of packages that are installed.
    pub(crate) fn of(report: &Report, image: &ImageInfo) -> anyhow::Result<Self> {
        let Some(os) = &report.metadata.os else {
            anyhow::bail!(
                "the image has no distribution that Trivy knows, so there are no packages to update"
            );
        };
        if !FAMILIES.contains(&os.family.as_str()) {
            anyhow::bail!("Copa cannot update packages of {} {}", os.family, os.name);
        }
        let mut packages: BTreeMap<String, Vec<Fix>> = BTreeMap::new();
        for result in report
            .results
            .iter()
            .filter(|result| result.class == "os-pkgs")
        {
            let installed: BTreeSet<_> = result
                .packages
                .iter()
                .map(|package| package.name.as_str())
                .collect();
            for v in result
                .vulnerabilities
                .iter()
                .filter(|v| !v.fixed_version.is_empty() && installed.contains(v.package.as_str()))
            {
                let fix = Fix {
                    id: v.id.clone(),
                    installed: v.installed_version.clone(),
                    fixed: v.fixed_version.clone(),
                };
                packages.entry(v.package.clone()).or_default().push(fix);
            }
        }
        // Copa compares the release as text, and would take the tools of another one for `12.15`.
        let release = match os.family.as_str() {
            "debian" => os.name.split('.').next().unwrap_or_default().to_owned(),
            _ => os.name.clone(),
        };
        Ok(Self {
            family: os.family.clone(),
            release,
            architecture: image.architecture.clone(),
            packages,
        })
    }

    /// Whether there is nothing to mend.
    pub(crate) fn is_empty(&self) -> bool {
        self.packages.is_empty()
    }

    /// The packages.
    pub(crate) fn packages(&self) -> impl Iterator<Item = &str> {
        self.packages.keys().map(String::as_str)
    }

    /// The same without `package`; `None` if it is not in it, or the last one.
    pub(crate) fn without(&self, package: &str) -> Option<Self> {
        let mut rest = self.clone();
        rest.packages.remove(package)?;
        (!rest.is_empty()).then_some(rest)
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

    /// A report of an image with `packages` (name, installed, fixed).
    pub(crate) fn report(packages: &[(&str, &str, &str)]) -> Report {
        let installed: Vec<_> = packages
            .iter()
            .map(|(name, version, _)| json!({"ID": format!("{name}@{version}"), "Name": name}))
            .collect();
        let found: Vec<_> = packages
            .iter()
            .filter(|(_, _, fixed)| *fixed != "-")
            .map(|(name, version, fixed)| json!({"VulnerabilityID": format!("CVE-{name}"), "PkgName": name, "InstalledVersion": version, "FixedVersion": fixed, "Severity": "HIGH"}))
            .collect();
        let value = json!({
            "SchemaVersion": 2, "ArtifactName": "app:1", "ArtifactType": "container_image",
            "Metadata": {"OS": {"Family": "debian", "Name": "13.8"}, "DiffIDs": ["sha256:a"], "ImageConfig": {"architecture": "amd64"}},
            "Results": [{"Target": "app:1", "Class": "os-pkgs", "Type": "debian", "Packages": installed, "Vulnerabilities": found}],
        });
        serde_json::from_value(value).unwrap()
    }

    fn image() -> ImageInfo {
        ImageInfo {
            architecture: "amd64".into(),
            diff_ids: vec!["sha256:a".into()],
            ..ImageInfo::default()
        }
    }

    #[test]
    fn a_report_of_another_image_is_refused() {
        let mut other = image();
        assert!(bind(&report(&[]), &other).is_ok());
        other.diff_ids = vec!["sha256:b".into()];
        let error = bind(&report(&[]), &other).unwrap_err().to_string();
        assert_eq!(
            error,
            "input `report`: it is the report of `app:1` with other layers than the image has; scan this image again, or leave the input empty"
        );
        let arm = ImageInfo {
            architecture: "arm64".into(),
            ..image()
        };
        assert!(
            bind(&report(&[]), &arm)
                .unwrap_err()
                .to_string()
                .contains("it is for amd64, and the image for arm64")
        );
    }

    #[test]
    fn only_installed_packages_with_an_update_are_planned() {
        let mut found = report(&[("openssl", "1", "2"), ("zlib1g", "1", "")]);
        found.results[0]
            .vulnerabilities
            .push(trivy::report::Vulnerability {
                package: "curl".into(),
                fixed_version: "9".into(),
                ..Default::default()
            });
        let plan = Plan::of(&found, &image()).unwrap();
        assert_eq!(plan.packages().collect::<Vec<_>>(), ["openssl"]);
        assert_eq!(plan.without("openssl"), None);
        assert_eq!(plan.report("i")["Metadata"]["OS"]["Name"], "13");
    }

    #[test]
    fn a_distribution_that_copa_does_not_know_is_named() {
        let mut found = report(&[]);
        found.metadata.os = Some(trivy::report::Os {
            family: "photon".into(),
            name: "5".into(),
            ..Default::default()
        });
        assert_eq!(
            Plan::of(&found, &image()).unwrap_err().to_string(),
            "Copa cannot update packages of photon 5"
        );
    }
}
