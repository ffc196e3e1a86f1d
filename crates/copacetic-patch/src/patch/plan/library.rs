//! Python packages to update.

use pep440_rs::Version;
use serde_json::{Value, json};
use trivy::Report;
use trivy::report::Vulnerability;

use super::Update;
use crate::patch::python::{self, Location};

/// Trivy's name for packages that pip installed.
pub(crate) const PYTHON: &str = "python-pkg";

/// A Python package to update.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Library {
    pub(crate) name: String,
    /// The directory of its virtual environment, without the leading `/`; empty for the image's own Python.
    pub(crate) environment: String,
    /// Its metadata file.
    path: String,
    installed: String,
    version: Version,
    /// The findings that this fixes.
    ids: Vec<String>,
}

impl Library {
    /// Those of `report`: each gets the lowest version that fixes all that any version of the same major one fixes.
    pub(super) fn in_report(report: &Report) -> Vec<Self> {
        let mut libraries: Vec<Self> = Vec::new();
        let results = report
            .results
            .iter()
            .filter(|result| result.r#type == PYTHON);
        for v in results.flat_map(|result| &result.vulnerabilities) {
            let Some(location) = Location::parse(&v.package_path) else {
                continue;
            };
            let Some(version) = python::minor_update(&v.installed_version, &v.fixed_version) else {
                continue;
            };
            let known = libraries
                .iter_mut()
                .find(|library| library.name == v.package && library.path == v.package_path);
            if let Some(library) = known {
                library.version = version.max(library.version.clone());
                library.ids.push(v.id.clone());
            } else {
                libraries.push(Self {
                    name: v.package.clone(),
                    environment: location.environment.to_owned(),
                    path: v.package_path.clone(),
                    installed: v.installed_version.clone(),
                    version,
                    ids: vec![v.id.clone()],
                });
            }
        }
        libraries
    }

    /// What is updated.
    pub(super) fn update(&self) -> Update {
        Update {
            package: self.name.clone(),
            installed: self.installed.clone(),
            fixed: vec![self.version.to_string()],
            findings: self.ids.len(),
        }
    }

    /// Whether the update fixes `finding`.
    pub(super) fn fixes(&self, finding: &Vulnerability) -> bool {
        self.name == finding.package
            && self.ids.contains(&finding.id)
            && Location::parse(&self.path) == Location::parse(&finding.package_path)
    }

    /// Its findings, in the form of a report.
    pub(super) fn findings(&self) -> impl Iterator<Item = Value> {
        // Without a path Copa runs the image's `pip`, which leaves no old metadata behind; with one, outside of a
        // virtual environment, it copies files.
        let path = if self.environment.is_empty() {
            ""
        } else {
            &self.path
        };
        self.ids.iter().map(move |id| {
            json!({"VulnerabilityID": id, "PkgName": self.name, "PkgPath": path, "InstalledVersion": self.installed, "FixedVersion": self.version.to_string(), "Status": "fixed"})
        })
    }
}
