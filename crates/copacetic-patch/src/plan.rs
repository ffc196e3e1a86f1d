//! What can be mended: the installed packages that have an update.

mod library;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::{BTreeMap, BTreeSet};

use docker::ImageInfo;
use serde_json::{Value, json};
use trivy::Report;
use trivy::report::Vulnerability;

pub(crate) use library::{Library, PYTHON};

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
    libraries: Vec<Library>,
}

/// A finding that an update mends.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Fix {
    id: String,
    installed: String,
    fixed: String,
}

impl Plan {
    /// The updates that `report` knows of, of packages that are installed; those of Python are among them
    /// if `libraries` are wanted.
    ///
    /// # Errors
    /// When there are some, of a distribution that Copa can't update.
    pub(crate) fn of(report: &Report, image: &ImageInfo, libraries: bool) -> anyhow::Result<Self> {
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
            libraries: if libraries {
                Library::all(report)
            } else {
                Vec::new()
            },
        })
    }

    /// Whether there is nothing to mend.
    pub(crate) fn is_empty(&self) -> bool {
        self.packages.is_empty() && self.libraries.is_empty()
    }

    /// The names of the packages, those of the distribution first.
    pub(crate) fn packages(&self) -> impl Iterator<Item = &str> {
        let libraries = self.libraries.iter().map(|library| library.name.as_str());
        self.packages.keys().map(String::as_str).chain(libraries)
    }

    /// The packages of Python.
    pub(crate) fn libraries(&self) -> &[Library] {
        &self.libraries
    }

    /// Whether this is to mend `finding`, of a package of Python.
    pub(crate) fn has_library(&self, finding: &Vulnerability) -> bool {
        self.libraries.iter().any(|library| library.mends(finding))
    }

    /// The same without packages of Python; `None` if that leaves nothing, or changes nothing.
    pub(crate) fn without_libraries(&self) -> Option<Self> {
        let changes = !self.libraries.is_empty() && !self.packages.is_empty();
        changes.then(|| Self {
            libraries: Vec::new(),
            ..self.clone()
        })
    }

    /// Whether `package` of the distribution is one of them.
    pub(crate) fn has(&self, package: &str) -> bool {
        self.packages.contains_key(package)
    }

    /// The same without `left_out`; `None` if that leaves nothing, or changes nothing.
    pub(crate) fn without<'p>(&self, left_out: impl IntoIterator<Item = &'p str>) -> Option<Self> {
        let mut rest = self.clone();
        for package in left_out {
            rest.packages.remove(package);
        }
        (!rest.packages.is_empty() && rest.packages.len() < self.packages.len()).then_some(rest)
    }

    /// The report that Copa gets: ours, with these packages and nothing else.
    pub(crate) fn report(&self, image: &str) -> Value {
        let findings = self.packages.iter().flat_map(|(name, fixes)| {
            fixes.iter().map(move |fix| {
                json!({"VulnerabilityID": fix.id, "PkgName": name, "InstalledVersion": fix.installed, "FixedVersion": fix.fixed, "Status": "fixed"})
            })
        });
        let system = json!({"Target": image, "Class": "os-pkgs", "Type": self.family, "Vulnerabilities": findings.collect::<Vec<_>>()});
        let libraries = self.libraries.iter().flat_map(Library::findings);
        let libraries: Vec<_> = libraries.collect();
        let mut results = vec![system];
        if !libraries.is_empty() {
            results.push(json!({"Target": "Python", "Class": "lang-pkgs", "Type": PYTHON, "Vulnerabilities": libraries}));
        }
        json!({
            "SchemaVersion": 2,
            "ArtifactName": image,
            "ArtifactType": "container_image",
            "Metadata": {"OS": {"Family": self.family, "Name": self.release}, "ImageConfig": {"architecture": self.architecture, "os": "linux"}},
            "Results": results,
        })
    }
}
