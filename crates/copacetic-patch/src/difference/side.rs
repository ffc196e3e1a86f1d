//! One of the two reports.

use std::collections::{BTreeMap, BTreeSet};

use trivy::Report;
use trivy::report::{Package, Vulnerability};

use crate::plan::PYTHON;
use crate::python::{Place, normalized};

/// Package, id, file: what makes two findings the same one.
type Key<'r> = (&'r str, &'r str, &'r str);

/// What one report says.
pub(super) struct Side<'r> {
    /// The findings, each with whether it is about a package of the distribution.
    pub(super) findings: BTreeMap<Key<'r>, (&'r Vulnerability, bool)>,
    /// The packages by the names that a patch is told of: of the distribution, and of Python by their
    /// folders.
    pub(super) packages: BTreeMap<(&'r str, String), &'r Package>,
    all: BTreeSet<(&'r str, &'r str)>,
}

impl<'r> Side<'r> {
    /// Read `report` without the findings of `suppressed` (package and id).
    pub(super) fn of(report: &'r Report, suppressed: &BTreeSet<(String, String)>) -> Self {
        let mut side = Self {
            findings: BTreeMap::new(),
            packages: BTreeMap::new(),
            all: BTreeSet::new(),
        };
        for result in &report.results {
            let system = result.class == "os-pkgs";
            let python = result.r#type == PYTHON;
            for package in &result.packages {
                side.all.insert((&package.id, &package.file_path));
                if system {
                    let key = ("", package.name.clone());
                    side.packages.insert(key, package);
                } else if let Some(place) = Place::of(&package.file_path).filter(|_| python) {
                    let key = (place.folder, normalized(&package.name));
                    side.packages.insert(key, package);
                }
            }
            for v in &result.vulnerabilities {
                // What is said of a package that is not installed is nothing that a patch could mend.
                let installed = !system || side.packages.contains_key(&("", v.package.clone()));
                if installed && !suppressed.contains(&(v.package.clone(), v.id.clone())) {
                    // The file of a package of Python has the version in its name.
                    let place = Place::of(&v.package_path).filter(|_| python);
                    let place = place.map_or(v.package_path.as_str(), |place| place.folder);
                    let key = (v.package.as_str(), v.id.as_str(), place);
                    side.findings.insert(key, (v, system));
                }
            }
        }
        side
    }

    /// Whether the package that `finding` is about is here too, in that very version.
    pub(super) fn has_package_of(&self, finding: &Vulnerability) -> bool {
        self.all
            .contains(&(&finding.package_id, &finding.package_path))
    }
}

/// The whole version, with epoch and release: it stands in the id, `name@version`.
pub(super) fn version(package: &Package) -> &str {
    let whole = package.id.split_once('@');
    whole.map_or(&package.version, |(_, version)| version)
}
