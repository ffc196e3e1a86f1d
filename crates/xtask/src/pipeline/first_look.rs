//! The build and the tests of the application, before the rest is there: they need Docker alone.

use std::io::BufRead as _;
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context as _, ensure};
use serde_json::Value;

use super::{DEPLOYMENT, REPOSITORY};
use crate::setup::command::{command, output};
use crate::setup::programs::PROGRAMS;
use crate::stack::Stack;
use crate::{paths, progress};

/// Run the action `ci` in `checkout` with the inputs of the deployment, and show what it prints and its summary. The
/// workflow does the same later and finds the layers in Docker.
///
/// # Errors
/// When it fails, as the workflow would.
pub(super) fn run(checkout: &Path, stack: &Stack) -> anyhow::Result<()> {
    let program = stack.builds.wait(PROGRAMS)?.join("ci");
    let mut head = command("git", ["rev-parse", "HEAD"]);
    let commit = output(head.current_dir(checkout))?.trim().to_owned();
    let services = stack.services()?;
    let mut inputs = command(
        &services.to_string_lossy(),
        ["inputs", DEPLOYMENT.workflow, "ci"],
    );
    let inputs = output(inputs.current_dir(checkout))?;
    let inputs: Value = serde_json::from_str(&inputs).context("invalid inputs of the step")?;
    let directory = paths::state().join("first-look");
    std::fs::create_dir_all(&directory)?;
    let file = |name: &str| directory.join(name);
    for name in ["output", "summary"] {
        std::fs::write(file(name), "")?;
    }
    progress::line("▸ Build and test the application, while the rest is built");
    let mut ci = command::<&str>(&program.to_string_lossy(), []);
    ci.envs([
        ("GITHUB_ACTIONS", "true"),
        ("GITHUB_REPOSITORY", REPOSITORY),
        ("GITHUB_SHA", &commit),
        ("GITHUB_REF", "refs/heads/main"),
        // The workflow publishes.
        ("INPUT_UPLOAD", "false"),
        ("INPUT_COMMENT", "false"),
    ])
    .env("GITHUB_WORKSPACE", checkout)
    .env("GITHUB_OUTPUT", file("output"))
    .env("GITHUB_STEP_SUMMARY", file("summary"))
    .current_dir(checkout)
    .stdout(Stdio::piped());
    for (name, value) in inputs.as_object().into_iter().flatten() {
        let value = value
            .as_str()
            .map_or_else(|| value.to_string(), ToOwned::to_owned);
        let value = value
            .replace("${{ github.sha }}", &commit)
            .replace("${{ github.run_number }}", "1");
        ci.env(format!("INPUT_{}", name.to_uppercase()), value);
    }
    let mut child = ci.spawn().context("failed to start the action `ci`")?;
    let lines = child.stdout.take().context("failed to read from it")?;
    let mut log = super::log::Log::new();
    for line in std::io::BufReader::new(lines).lines() {
        log.plain(&line.context("failed to read from it")?);
    }
    let status = child.wait()?;
    let summary = std::fs::read_to_string(file("summary")).unwrap_or_default();
    // What is folded there is too long here.
    let shown = summary.split("<details>").next().unwrap_or_default();
    progress::line(format!("\n{}\n", shown.trim()));
    std::fs::remove_dir_all(&directory).context("failed to remove the step's files")?;
    ensure!(
        status.success(),
        "the application's build or tests failed ({status})"
    );
    Ok(())
}
