//! The release binary of an action, started as the runner starts it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Context as _;

use crate::setup::command::{command, output, run as run_command};
use crate::stack::Stack;
use crate::{paths, progress};

/// An action, and a directory for its runs.
pub(super) struct Action {
    pub(super) program: PathBuf,
    /// Its workspace is the directory `workspace` in here.
    pub(super) directory: PathBuf,
}

impl Action {
    /// Build the action `name`, and empty its directory.
    ///
    /// # Errors
    /// When it can't be built.
    pub(super) fn build(name: &str) -> anyhow::Result<Self> {
        let directory = paths::state().join(format!("bench-{name}"));
        if directory.is_dir() {
            std::fs::remove_dir_all(&directory).context("failed to remove the last run's files")?;
        }
        std::fs::create_dir_all(directory.join("workspace"))?;
        progress::step("building the release binary", || {
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
            .context("failed to find the target directory")?;
        Ok(Self {
            program: Path::new(target).join("release").join(name),
            directory,
        })
    }

    /// The directory of Trivy's database and its cache of layers.
    pub(super) fn cache(&self) -> PathBuf {
        self.directory.join("cache")
    }

    /// Write the local vulnerability database there.
    ///
    /// # Errors
    /// When the tool fails.
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
            let path = self.directory.join(name);
            // A step finds its files empty.
            let _ = std::fs::write(&path, "");
            path
        };
        let mut step = Command::new(&self.program);
        step.env_clear()
            .env("PATH", path)
            .env("HOME", &self.directory)
            .env("GITHUB_ACTIONS", "true")
            .env("GITHUB_WORKSPACE", self.directory.join("workspace"))
            .env("GITHUB_OUTPUT", file("output"))
            .env("GITHUB_STEP_SUMMARY", file("summary"))
            .env("GITHUB_REPOSITORY", "octo-org/bench")
            .env("GITHUB_SHA", "0123456789abcdef0123456789abcdef01234567")
            .env("GITHUB_REF", "refs/heads/bench")
            .current_dir(self.directory.join("workspace"))
            .stdin(Stdio::null());
        step
    }
}
