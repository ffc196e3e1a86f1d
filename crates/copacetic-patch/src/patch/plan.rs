//! What can be fixed: the installed packages that have an update.

mod library;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use actions_toolkit::text::plural;
use docker::ImageInfo;
use serde_json::{Value, json};
use trivy::Report;
use trivy::report::Vulnerability;

pub(crate) use library::{Library, PYTHON};

/// Parts of the names that Trivy has for the distributions whose packages Copa can update (project-copacetic/copacetic 0.14.2,
/// `CanonicalOSType` in pkg/utils/os.go).
///
/// Not Oracle Linux, which Copa knows: with a report it always fails (`InstallUpdates` in pkg/pkgmgr/rpm.go). Trivy does not know the
/// packages of Arch Linux (aquasecurity/trivy, pkg/fanal/types/const.go), so that there is nothing to update in its images.
const FAMILIES: &[&str] = &[
    "alpine",
    "debian",
    "ubuntu",
    "redhat",
    "rocky",
    "centos",
    "amazon",
    "alma",
    "azurelinux",
    "cbl-mariner",
    "suse linux enterprise server",
    "sles",
    "opensuse-leap",
    "opensuse.leap",
    "opensuse-tumbleweed",
    "opensuse.tumbleweed",
];

/// Copa can't update the packages of this distribution, and no later run can.
#[derive(Debug, thiserror::Error)]
#[error("Copa does not support packages of {0}; rebuild the image on a newer base")]
pub(crate) struct Unsupported(String);

/// Packages to update, each with the findings that this fixes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plan {
    family: String,
    release: String,
    architecture: String,
    packages: BTreeMap<String, Vec<Fix>>,
    libraries: Vec<Library>,
}

/// The update of one package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Update {
    pub(crate) package: String,
    pub(crate) installed: String,
    /// The versions that fix its findings. Copa installs the newest one that the archive has.
    pub(crate) fixed: Vec<String>,
    /// Number of findings that it fixes.
    pub(crate) findings: usize,
}

impl fmt::Display for Update {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {} → {} ({})",
            self.package,
            self.installed,
            self.fixed.join(", "),
            plural(self.findings, "finding")
        )
    }
}

/// A finding that an update fixes.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Fix {
    id: String,
    installed: String,
    fixed: String,
}

impl Plan {
    /// The updates in `report` of packages that `image` has installed, with `libraries` those of Python as well.
    ///
    /// # Errors
    /// [`Unsupported`] when there are some, of a distribution that Copa does not support.
    pub(crate) fn new(report: &Report, image: &ImageInfo, libraries: bool) -> anyhow::Result<Self> {
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
                "the report does not name the distribution of the packages (`Metadata.OS`); leave `report` empty to scan the image"
            );
        }
        if !packages.is_empty() && !known {
            return Err(Unsupported(format!("{} {}", os.family, os.name)).into());
        }
        // Copa compares the release as text, and would use another release's tools for `12.15`.
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
                Library::in_report(report)
            } else {
                Vec::new()
            },
        })
    }

    /// Whether there is nothing to update.
    pub(crate) fn is_empty(&self) -> bool {
        self.packages.is_empty() && self.libraries.is_empty()
    }

    /// The names of the packages, those of the distribution first.
    pub(crate) fn packages(&self) -> impl Iterator<Item = &str> {
        let libraries = self.libraries.iter().map(|library| library.name.as_str());
        self.packages.keys().map(String::as_str).chain(libraries)
    }

    /// The update of each package, those of the distribution first.
    pub(crate) fn updates(&self) -> Vec<Update> {
        let packages = self.packages.iter().map(|(name, fixes)| {
            let installed = fixes.first().map(|fix| fix.installed.clone());
            let fixed: BTreeSet<_> = fixes.iter().map(|fix| fix.fixed.clone()).collect();
            Update {
                package: name.clone(),
                installed: installed.unwrap_or_default(),
                fixed: fixed.into_iter().collect(),
                findings: fixes.len(),
            }
        });
        let libraries = self.libraries.iter().map(Library::update);
        packages.chain(libraries).collect()
    }

    /// The Python packages.
    pub(crate) fn libraries(&self) -> &[Library] {
        &self.libraries
    }

    /// Whether this has an update that fixes `finding`, of a Python package.
    pub(crate) fn has_library(&self, finding: &Vulnerability) -> bool {
        self.libraries.iter().any(|library| library.fixes(finding))
    }

    /// The same without Python packages; `None` if that leaves nothing, or changes nothing.
    pub(crate) fn without_libraries(&self) -> Option<Self> {
        let changes = !self.libraries.is_empty() && !self.packages.is_empty();
        changes.then(|| Self {
            libraries: Vec::new(),
            ..self.clone()
        })
    }

    /// Whether the distribution's `package` is one of them.
    pub(crate) fn has(&self, package: &str) -> bool {
        self.packages.contains_key(package)
    }

    /// The same without the packages `skipped`; `None` if that leaves nothing, or changes nothing.
    pub(crate) fn without<'p>(&self, skipped: impl IntoIterator<Item = &'p str>) -> Option<Self> {
        let mut rest = self.clone();
        for package in skipped {
            rest.packages.remove(package);
        }
        (!rest.packages.is_empty() && rest.packages.len() < self.packages.len()).then_some(rest)
    }

    /// The report that Copa gets: these packages and nothing else; `variant` is that of the image's platform.
    pub(crate) fn report(&self, image: &str, variant: Option<&str>) -> Value {
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
        let mut config = json!({"architecture": self.architecture, "os": "linux"});
        if let Some(variant) = variant {
            config["variant"] = variant.into();
        }
        json!({
            "SchemaVersion": 2,
            "ArtifactName": image,
            "ArtifactType": "container_image",
            "Metadata": {"OS": {"Family": self.family, "Name": self.release}, "ImageConfig": config},
            "Results": results,
        })
    }
}
