//! A report by what two reports are compared by.

use std::collections::{BTreeMap, BTreeSet};

use trivy::Report;
use trivy::report::{Package, Vulnerability};

use crate::patch::plan::PYTHON;
use crate::patch::python::{Location, normalized};

/// Package, id, file: what makes two findings the same one.
type Key<'r> = (&'r str, &'r str, &'r str);

/// The findings and packages of one report.
pub(super) struct ReportIndex<'r> {
    /// The findings, each with whether its package is of the distribution.
    pub(super) findings: BTreeMap<Key<'r>, (&'r Vulnerability, bool)>,
    /// The packages that a patch can update, by site-packages directory, empty for the distribution's, and name.
    pub(super) packages: BTreeMap<(&'r str, String), &'r Package>,
    /// Ids and files of all packages.
    ids: BTreeSet<(&'r str, &'r str)>,
}

impl<'r> ReportIndex<'r> {
    /// `report` without the findings of `suppressed` (package and id).
    pub(super) fn new(report: &'r Report, suppressed: &BTreeSet<(String, String)>) -> Self {
        let mut index = Self {
            findings: BTreeMap::new(),
            packages: BTreeMap::new(),
            ids: BTreeSet::new(),
        };
        for result in &report.results {
            let system = result.class == "os-pkgs";
            let python = result.r#type == PYTHON;
            for package in &result.packages {
                index.ids.insert((&package.id, &package.file_path));
                if system {
                    let key = ("", package.name.clone());
                    index.packages.insert(key, package);
                } else if let Some(location) =
                    Location::parse(&package.file_path).filter(|_| python)
                {
                    let key = (location.site_packages, normalized(&package.name));
                    index.packages.insert(key, package);
                }
            }
            for v in &result.vulnerabilities {
                // No patch fixes a finding about a package that is not installed.
                let installed = !system || index.packages.contains_key(&("", v.package.clone()));
                if installed && !suppressed.contains(&(v.package.clone(), v.id.clone())) {
                    // The file of a Python package has the version in its name.
                    let location = Location::parse(&v.package_path).filter(|_| python);
                    let path = location.map_or(v.package_path.as_str(), |l| l.site_packages);
                    let key = (v.package.as_str(), v.id.as_str(), path);
                    index.findings.insert(key, (v, system));
                }
            }
        }
        index
    }

    /// Whether the package of `finding` is here too, in the same version.
    pub(super) fn has_package_of(&self, finding: &Vulnerability) -> bool {
        self.ids
            .contains(&(&finding.package_id, &finding.package_path))
    }
}

/// The whole version, with epoch and release, from the id `name@version`.
pub(super) fn version(package: &Package) -> &str {
    let whole = package.id.split_once('@');
    whole.map_or(&package.version, |(_, version)| version)
}
