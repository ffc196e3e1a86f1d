//! Tools from the Python package index, each in its own virtual environment.

use std::path::PathBuf;

use super::command::{command, run};
use crate::{paths, progress};

/// zizmor, which finds security mistakes in workflows and actions: a wheel with the program in it.
pub(crate) const ZIZMOR: Package = Package {
    name: "zizmor",
    version: "1.32.0",
    extra: &[],
};

/// typos, which knows the misspellings that people make: a wheel with the program in it.
pub(crate) const TYPOS: Package = Package {
    name: "typos",
    version: "1.52.0",
    extra: &[],
};

/// The Azure CLI, whose parser reads the commands of `docs/azure-setup.md`.
pub(crate) const AZURE_CLI: Package = Package {
    name: "azure-cli",
    version: "2.91.0",
    extra: &[],
};

/// The schemas of Kubernetes' objects, of many versions.
pub(crate) const KUBERNETES_VALIDATE: Package = Package {
    name: "kubernetes-validate",
    version: "1.37.0",
    extra: &[],
};

/// What `tools/sbom/check.py` validates SBOMs with.
pub(crate) const SBOM: Package = Package {
    name: "spdx-tools",
    version: "0.8.5",
    extra: &["cyclonedx-python-lib[json-validation]==11.12.0"],
};

/// A package at the version that is used here.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Package {
    name: &'static str,
    version: &'static str,
    /// Packages in the same environment.
    extra: &'static [&'static str],
}

impl Package {
    /// The directory of its programs, installed into the cache if it is not there.
    ///
    /// # Errors
    /// When Python or the package is unavailable.
    pub(crate) fn provide(self) -> anyhow::Result<PathBuf> {
        let Self {
            name,
            version,
            extra,
        } = self;
        let directory = paths::cache().join("tools").join(name).join(version);
        let installed = directory.join("installed");
        if !installed.is_file() {
            progress::step(&format!("installing {name}"), || {
                // This also clears an interrupted installation.
                run(command("python3", ["-m", "venv", "--clear"]).arg(&directory))?;
                let pip = directory.join("bin/pip");
                let package = format!("{name}=={version}");
                let install = ["install", "--quiet", "--no-compile", &package];
                run(command(&pip.to_string_lossy(), install).args(extra))?;
                Ok(std::fs::write(&installed, "")?)
            })?;
        }
        Ok(directory.join("bin"))
    }
}
