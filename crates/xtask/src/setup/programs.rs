//! The programs of this workspace that a run starts, compiled by Cargo.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, bail};
use serde::Deserialize;

use super::command::{command, measured};
use super::timings::{self, Cost};
use crate::actions::ACTIONS;
use crate::{paths, progress};

/// The program of the local services.
pub(crate) const LOCAL_SERVICES: &str = "local-services";
/// The programs of the actions, static as in their images.
pub(crate) const STATIC_ACTIONS: &str = "actions";

/// Below this, in seconds, Cargo only looked.
const COMPILED: f64 = 3.0;

/// The directory of [`LOCAL_SERVICES`] or of [`STATIC_ACTIONS`], compiled if it is not up to date.
///
/// # Errors
/// With the end of what Cargo printed.
pub(super) fn build(part: &str) -> anyhow::Result<PathBuf> {
    let started = Instant::now();
    measured(&mut cargo(&["fetch", "--locked", "--quiet"]))?;
    let network = started.elapsed().as_secs_f64();
    let (directory, cpu) = match part {
        LOCAL_SERVICES => {
            let (program, cpu) = compile(&["build", "--package", part], &[])?;
            let directory = program.parent().context("a program is in a directory")?;
            (directory.to_owned(), cpu)
        }
        STATIC_ACTIONS => static_actions()?,
        _ => bail!("`{part}` is not a program of this workspace"),
    };
    let wall = started.elapsed().as_secs_f64();
    if cpu >= COMPILED {
        timings::record(
            part,
            Cost {
                wall,
                cpu: Some(cpu),
                network,
            },
        );
        progress::line(format!("✓ {part} compiled ({wall:.0} s)"));
    }
    Ok(directory)
}

// With the profile of the tests, so that everything but the last step is shared with them: what an image has of a
// release is built from the Dockerfile. The images have no C library, so the last step links it in.
fn static_actions() -> anyhow::Result<(PathBuf, f64)> {
    let mut directory = PathBuf::new();
    let mut total = 0.0;
    for action in ACTIONS.iter() {
        let name = action.name;
        let build = ["rustc", "--package", name, "--bin", name];
        let flags = ["--", "-Ctarget-feature=+crt-static", "-Cstrip=symbols"];
        let (program, cpu) = compile(&build, &flags)?;
        total += cpu;
        let parent = program.parent().context("a program is in a directory")?;
        // The tests link the same name in another way.
        directory = parent.join("static");
        std::fs::create_dir_all(&directory)?;
        copy(&program, &directory.join(name))?;
    }
    Ok((directory, total))
}

// Whole or not at all, and only if it changed: the time of a file decides on what is made from it.
fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    let new =
        std::fs::read(from).with_context(|| format!("failed to read `{}`", from.display()))?;
    if std::fs::read(to).is_ok_and(|old| old == new) {
        return Ok(());
    }
    let part = to.with_extension("part");
    std::fs::copy(from, &part).with_context(|| format!("failed to copy `{}`", from.display()))?;
    Ok(std::fs::rename(part, to)?)
}

fn cargo(args: &[&str]) -> Command {
    let mut cargo = command("cargo", args);
    cargo.current_dir(paths::root());
    cargo
}

// The program that `build` makes, and the seconds on the processor; `flags` are the compiler's.
fn compile(build: &[&str], flags: &[&str]) -> anyhow::Result<(PathBuf, f64)> {
    #[derive(Deserialize)]
    struct Artifact {
        executable: PathBuf,
    }
    let mut build = cargo(build);
    build
        .args([
            "--locked",
            "--quiet",
            "--message-format=json-render-diagnostics",
        ])
        .args(flags);
    let (messages, cpu) = measured(&mut build)?;
    let executable = |line: &str| serde_json::from_str::<Artifact>(line).ok();
    let artifact = messages.lines().filter_map(executable).next_back();
    let artifact = artifact.context("Cargo reported no program")?;
    Ok((artifact.executable, cpu))
}
