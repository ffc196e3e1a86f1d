//! Tools from crates.io, compiled once and kept.

use std::path::PathBuf;

use super::command::{command, run};
use crate::{paths, progress};

/// cargo-deny, which checks the dependencies against `deny.toml`.
pub(crate) const CARGO_DENY: Tool = Tool {
    name: "cargo-deny",
    version: "0.20.2",
    options: &[],
};

/// cargo-shear, which finds dependencies that no code uses. Newer ones need a newer compiler than `rust-toolchain.toml` has.
pub(crate) const CARGO_SHEAR: Tool = Tool {
    name: "cargo-shear",
    version: "1.12.4",
    options: &[],
};

/// mdBook, which builds the documentation site. It has a server and a watcher, which are not used here.
pub(crate) const MDBOOK: Tool = Tool {
    name: "mdbook",
    version: "0.5.4",
    options: &["--no-default-features", "--features=search"],
};

/// A tool at the version that is used here.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tool {
    name: &'static str,
    version: &'static str,
    /// Of `cargo install`.
    options: &'static [&'static str],
}

impl Tool {
    /// The program, compiled with the crates of its lock file if it is not in the cache.
    ///
    /// # Errors
    /// When it can't be compiled.
    pub(crate) fn provide(self) -> anyhow::Result<PathBuf> {
        let Self {
            name,
            version,
            options,
        } = self;
        let directory = paths::cache().join("tools").join(name).join(version);
        let program = directory.join("bin").join(name);
        if !program.is_file() {
            progress::step(&format!("compiling {name}"), || {
                let target = directory.join("target");
                // It runs for seconds: an optimized build would take longer than it saves.
                run(
                    command("cargo", ["install", "--locked", "--debug", "--quiet"])
                        .args(options)
                        .arg("--root")
                        .arg(&directory)
                        .arg("--target-dir")
                        .arg(&target)
                        .arg(format!("{name}@{version}")),
                )?;
                Ok(std::fs::remove_dir_all(target)?)
            })?;
        }
        Ok(program)
    }
}
