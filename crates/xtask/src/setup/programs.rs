//! The programs of this workspace that a run starts, compiled by Cargo.

use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use anyhow::Context as _;
use serde::Deserialize;

use super::command::{command, measured};
use super::timings::{self, Cost};
use crate::{paths, progress};

/// All of them: the actions, and the local services.
pub(crate) const PROGRAMS: &str = "programs";

/// Below this, in seconds on the processor, Cargo only looked.
const COMPILED: f64 = 3.0;

/// Their directory, compiled as far as they are not up to date. All in one build, which is that of the tests: a build of
/// some of them would select other features of the dependencies, and compile those again.
///
/// # Errors
/// With the end of what Cargo printed.
pub(super) fn build(part: &str) -> anyhow::Result<PathBuf> {
    let started = Instant::now();
    measured(&mut cargo(&["fetch", "--locked", "--quiet"]))?;
    let network = started.elapsed().as_secs_f64();
    let mut build = cargo(&["build", "--workspace", "--bins", "--locked", "--quiet"]);
    let (messages, cpu) = measured(build.arg("--message-format=json-render-diagnostics"))?;
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
    directory(&messages).context("Cargo reported no program")
}

fn cargo(args: &[&str]) -> Command {
    let mut cargo = command("cargo", args);
    cargo.current_dir(paths::root());
    cargo
}

// Where the programs are that Cargo's `messages` name (doc.rust-lang.org/cargo/reference/external-tools.html).
fn directory(messages: &str) -> Option<PathBuf> {
    #[derive(Deserialize)]
    struct Artifact {
        executable: PathBuf,
    }
    let artifact = |line: &str| serde_json::from_str::<Artifact>(line).ok();
    let program = messages.lines().find_map(artifact)?.executable;
    program.parent().map(ToOwned::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_directory_is_that_of_the_programs_that_cargo_names() {
        let messages = "{\"reason\":\"compiler-artifact\",\"executable\":null}\n{\"executable\":\"/target/debug/ci\"}\n";
        assert_eq!(directory(messages), Some("/target/debug".into()));
        assert_eq!(directory("{}"), None);
    }
}
