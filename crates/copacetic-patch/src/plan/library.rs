//! Packages of Python to update.

use pep440_rs::Version;
use serde_json::{Value, json};
use trivy::Report;
use trivy::report::Vulnerability;

use crate::python::{self, Place};

/// Trivy's name for what is installed by pip.
pub(crate) const PYTHON: &str = "python-pkg";

/// A package of Python to update.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Library {
    pub(crate) name: String,
    /// The folder of its virtual environment; empty for the image's own Python.
    pub(crate) environment: String,
    /// The file that names it.
    path: String,
    installed: String,
    version: Version,
    /// The findings that this mends.
    ids: Vec<String>,
}

impl Library {
    /// Those of `report`: each gets the lowest version that mends all that a step within its major version can.
    pub(super) fn all(report: &Report) -> Vec<Self> {
        let mut libraries: Vec<Self> = Vec::new();
        let found = report
            .results
            .iter()
            .filter(|result| result.r#type == PYTHON);
        for v in found.flat_map(|result| &result.vulnerabilities) {
            let Some(place) = Place::of(&v.package_path) else {
                continue;
            };
            let Some(version) = python::step(&v.installed_version, &v.fixed_version) else {
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
                    environment: place.environment.to_owned(),
                    path: v.package_path.clone(),
                    installed: v.installed_version.clone(),
                    version,
                    ids: vec![v.id.clone()],
                });
            }
        }
        libraries
    }

    /// Whether this is to mend `finding`.
    pub(super) fn mends(&self, finding: &Vulnerability) -> bool {
        self.name == finding.package
            && self.ids.contains(&finding.id)
            && Place::of(&self.path) == Place::of(&finding.package_path)
    }

    /// Its findings, as a report has them.
    pub(super) fn findings(&self) -> impl Iterator<Item = Value> {
        // Without a path Copa takes the `pip` of the image, which leaves no old metadata behind; with one, outside
        // of a virtual environment, it copies files.
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
