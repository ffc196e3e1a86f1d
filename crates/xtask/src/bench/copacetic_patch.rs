//! The copacetic-patch action compared with Trivy, Copa and Trivy in sequence.

use std::process::Command;
use std::time::Duration;

use super::action::Action;
use super::process::measure;
use super::{median, timed};
use crate::setup::base_images;
use crate::setup::builds::PIPELINE;
use crate::setup::command::{command, run as run_command};
use crate::stack::{self, Stack};
use crate::{browser, paths, progress};

const ROUNDS: usize = 5;
const IMAGE: &str = "seaworthy/flask-app:bench-patch";
const PATCHED: &str = "seaworthy/flask-app:bench-patch-patched";

/// Print every figure.
///
/// # Errors
/// When a part of it fails.
pub(super) fn run() -> anyhow::Result<()> {
    let stack = stack::up(PIPELINE)?;
    let action = Action::build("copacetic-patch")?;
    progress::step("building the image that is patched", || {
        browser::build(IMAGE)
    })?;
    action.database(&stack)?;
    let path = path(&stack)?;
    let mut first = Vec::new();
    let mut second = Vec::new();
    let mut bare = Vec::new();
    let mut memory = 0;
    for round in 0..=ROUNDS {
        forget()?;
        let one = measure(&mut step(&action, &path))?;
        let repeated = measure(&mut step(&action, &path))?;
        let row = timed(|| run_command(&mut script(&action, &path)))?;
        memory = memory.max(one.memory);
        // The first round fills the caches.
        if round > 0 {
            first.push(one.wall);
            second.push(repeated.wall);
            bare.push(row);
        }
    }
    forget()?;
    let [first, second, bare] =
        [first, second, bare].map(|times: Vec<Duration>| median(times).as_secs_f64());
    progress::line(format!(
        "\none step: {first:.2} s; nothing new: {second:.2} s; trivy, copa, trivy in sequence: {bare:.2} s"
    ));
    progress::line(format!("  ÷ the sequence: {:.2} (goal 1.05)", first / bare));
    progress::line(format!(
        "  nothing new ÷ first: {:.2} (goal 0.15)",
        second / first
    ));
    progress::line(format!(
        "  peak of memory: {} MB (goal 50)",
        memory / 1_000_000
    ));
    Ok(())
}

fn path(stack: &Stack) -> anyhow::Result<String> {
    let (trivy, copa) = (stack.builds.wait("trivy")?, stack.builds.wait("copa")?);
    Ok(format!(
        "{}:{}:/usr/bin:/bin",
        trivy.display(),
        copa.display()
    ))
}

fn step(action: &Action, path: &str) -> Command {
    let mut step = action.step(path);
    step.env("INPUT_IMAGE", IMAGE)
        .env("INPUT_CACHE-DIRECTORY", action.cache())
        .env("INPUT_OFFLINE", "true")
        .env("INPUT_TOOLING-IMAGE", base_images::DEBIAN)
        .env("INPUT_BUILDKIT-IMAGE", base_images::BUILDKIT)
        .env("INPUT_UPLOAD", "false");
    step
}

// What the step does, without its verification: scan, patch in its own BuildKit, scan.
fn script(action: &Action, path: &str) -> Command {
    let mut script = command("bash", [&paths::root().join("tools/bench/patch.sh")]);
    script
        .env("PATH", path)
        .env("IMAGE", IMAGE)
        .env("WORK", &action.directory)
        .env("MIRROR", stack::MIRROR)
        .env("TOOLING", base_images::DEBIAN)
        .env("BUILDKIT", base_images::BUILDKIT);
    script
}

// The patched image of the last round: with it the step has nothing to do.
fn forget() -> anyhow::Result<()> {
    let names =
        crate::setup::command::output(&mut command("docker", ["images", "--quiet", PATCHED]))?;
    if names.trim().is_empty() {
        return Ok(());
    }
    run_command(&mut command("docker", ["rmi", "--force", PATCHED]))
}
