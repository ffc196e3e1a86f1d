//! Tools from the Python package index, each in a virtual environment of its own.

use std::path::PathBuf;

use super::command::{command, run};
use crate::{paths, say};

/// zizmor, which looks for mistakes of security in workflows and actions: a wheel with the program in it.
pub(crate) const ZIZMOR: Package = Package {
    name: "zizmor",
    version: "1.32.0",
    beside: &[],
};

/// typos, which knows the misspellings that people make: a wheel with the program in it.
pub(crate) const TYPOS: Package = Package {
    name: "typos",
    version: "1.52.0",
    beside: &[],
};

/// The Azure CLI, whose parser reads the commands of `docs/azure-setup.md`.
pub(crate) const AZURE_CLI: Package = Package {
    name: "azure-cli",
    version: "2.91.0",
    beside: &[],
};

/// The schemas of Kubernetes' objects, of many versions.
pub(crate) const KUBERNETES_VALIDATE: Package = Package {
    name: "kubernetes-validate",
    version: "1.37.0",
    beside: &[],
};

/// What `tools/sbom/check.py` holds bills of materials against their formats with.
pub(crate) const SBOM: Package = Package {
    name: "spdx-tools",
    version: "0.8.5",
    beside: &["cyclonedx-python-lib[json-validation]==11.12.0"],
};

/// A package at the version that is used here.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Package {
    name: &'static str,
    version: &'static str,
    /// Packages in the same environment.
    beside: &'static [&'static str],
}

impl Package {
    /// The folder of its programs, installed into the cache if it is not there.
    ///
    /// # Errors
    /// When Python or the package can't be had.
    pub(crate) fn provide(self) -> anyhow::Result<PathBuf> {
        let Self {
            name,
            version,
            beside,
        } = self;
        let folder = paths::cache().join("tools").join(name).join(version);
        let installed = folder.join("installed");
        if !installed.is_file() {
            say::step(&format!("installing {name}"), || {
                // What an interrupted installation left is made anew.
                run(command("python3", ["-m", "venv", "--clear"]).arg(&folder))?;
                let pip = folder.join("bin/pip");
                let package = format!("{name}=={version}");
                let install = ["install", "--quiet", "--no-compile", &package];
                run(command(&pip.to_string_lossy(), install).args(beside))?;
                Ok(std::fs::write(&installed, "")?)
            })?;
        }
        Ok(folder.join("bin"))
    }
}
