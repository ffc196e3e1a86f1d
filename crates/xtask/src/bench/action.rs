//! The release binary of an action, started as the runner starts it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Context as _;

use crate::setup::command::{command, output, run as run_command};
use crate::stack::Stack;
use crate::{paths, say};

/// An action, and a folder for its runs.
pub(super) struct Action {
    pub(super) program: PathBuf,
    /// Its workspace is the folder `workspace` in here.
    pub(super) folder: PathBuf,
}

impl Action {
    /// Build the action `name`, and empty its folder.
    ///
    /// # Errors
    /// When it can't be built.
    pub(super) fn build(name: &str) -> anyhow::Result<Self> {
        let folder = paths::state().join(format!("bench-{name}"));
        if folder.is_dir() {
            std::fs::remove_dir_all(&folder).context("while removing the last run's files")?;
        }
        std::fs::create_dir_all(folder.join("workspace"))?;
        say::step("building the release binary", || {
            let build = ["build", "--release", "--locked", "--quiet", "--package"];
            let mut build = command("cargo", build);
            run_command(build.arg(name).current_dir(paths::root()))
        })?;
        // Where cargo puts it may be set outside.
        let metadata = output(
            command("cargo", ["metadata", "--format-version", "1", "--no-deps"])
                .current_dir(paths::root()),
        )?;
        let metadata: serde_json::Value = serde_json::from_str(&metadata)?;
        let target = metadata["target_directory"]
            .as_str()
            .context("while finding the target folder")?;
        Ok(Self {
            program: Path::new(target).join("release").join(name),
            folder,
        })
    }

    /// The folder of Trivy's database and of what it knows of layers.
    pub(super) fn cache(&self) -> PathBuf {
        self.folder.join("cache")
    }

    /// Write the local vulnerability database there.
    ///
    /// # Errors
    /// When that can't be done.
    pub(super) fn database(&self, stack: &Stack) -> anyhow::Result<()> {
        let writer = stack.builds.wait("trivy-db")?.join("trivy-db");
        let advisories = paths::root().join("tools/trivy-db/advisories.yaml");
        run_command(&mut command(
            &writer.to_string_lossy(),
            [&advisories, &self.cache().join("db")],
        ))
    }

    /// A step of it that finds its tools in `path`.
    pub(super) fn step(&self, path: &str) -> Command {
        let file = |name: &str| {
            let path = self.folder.join(name);
            // A step finds its files empty.
            let _ = std::fs::write(&path, "");
            path
        };
        let mut step = Command::new(&self.program);
        step.env_clear()
            .env("PATH", path)
            .env("HOME", &self.folder)
            .env("GITHUB_ACTIONS", "true")
            .env("GITHUB_WORKSPACE", self.folder.join("workspace"))
            .env("GITHUB_OUTPUT", file("output"))
            .env("GITHUB_STEP_SUMMARY", file("summary"))
            .env("GITHUB_REPOSITORY", "octo-org/bench")
            .env("GITHUB_SHA", "0123456789abcdef0123456789abcdef01234567")
            .env("GITHUB_REF", "refs/heads/bench")
            .current_dir(self.folder.join("workspace"))
            .stdin(Stdio::null());
        step
    }
}
