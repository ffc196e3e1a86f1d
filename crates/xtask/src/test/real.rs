//! The tests with the real tools: those that are marked `ignore`, a row for each program of tests.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, anyhow, bail};
use serde::Deserialize;

use super::{Outcome, check};
use crate::paths;
use crate::setup::command::{command, output};
use crate::setup::{npm, pypi};
use crate::stack::Stack;

/// Tools that the tests find in `PATH`.
const TOOLS: &[&str] = &[
    "trivy",
    "trivy-db",
    "copa",
    "buildkit",
    "kubernetes",
    "helm-template",
    "kustomize",
];

/// A part of the name of every test that one of the judges is needed for.
const JUDGED: &str = "judged_by";

/// The crate whose tests take as long as those of all others: most of that is the work of Copa and Trivy, and the others
/// wait for pods meanwhile.
const IN_PARALLEL: &str = "copacetic-patch";
/// The crate whose tests use the machine as a whole: the pipeline, and the release.
const ALONE: &str = "tests";

/// Run them, and `checks` before those that wait. Within a program one test comes after the other, as they share Docker
/// and a cluster, or two at a time where each has its own names; what a crate makes there has its own.
///
/// # Errors
/// When a tool is unavailable, or the tests don't compile.
pub(super) fn run(
    outcomes: &mut Vec<Outcome>,
    stack: &Stack,
    judges: &[&str],
    checks: impl FnOnce(&mut Vec<Outcome>),
) -> anyhow::Result<()> {
    let environment = environment(stack, judges)?;
    let (mut alone, mut parallel, mut others) = (Vec::new(), Vec::new(), Vec::new());
    for program in programs()? {
        let list = ["--ignored", "--list"];
        let listed = output(&mut command(&program.executable.to_string_lossy(), list))?;
        if !listed.lines().any(|line| line.ends_with(": test")) {
            continue;
        }
        let row = (
            format!("real: {}", program.name()?),
            program.test(&environment, !judges.is_empty())?,
        );
        match &*program.crate_name()? {
            ALONE => alone.push(row),
            IN_PARALLEL => parallel.push(row),
            _ => others.push(row),
        }
    }
    let parallel = std::thread::scope(|scope| {
        let lane_of_one = scope.spawn(|| lane(Vec::new(), parallel));
        checks(outcomes);
        *outcomes = lane(std::mem::take(outcomes), others);
        lane_of_one.join()
    });
    outcomes.extend(parallel.map_err(|_| anyhow!("a lane of tests panicked"))?);
    *outcomes = lane(std::mem::take(outcomes), alone);
    Ok(())
}

// One row after the other.
fn lane(mut outcomes: Vec<Outcome>, rows: Vec<(String, Command)>) -> Vec<Outcome> {
    for (name, mut test) in rows {
        check(&mut outcomes, &name, &mut test);
    }
    outcomes
}

fn environment(stack: &Stack, judges: &[&str]) -> anyhow::Result<Vec<(&'static str, OsString)>> {
    let mut path = std::env::var("PATH").unwrap_or_default();
    for tool in TOOLS.iter().chain(judges) {
        path = format!("{}:{path}", stack.builds.wait(tool)?.display());
    }
    let validator = npm::provide(
        "sarif-multitool",
        "node_modules/@microsoft/sarif-multitool-linux/Sarif.Multitool",
    )?;
    let directory = validator.parent().context("a program is in a directory")?;
    path = format!("{}:{path}", directory.display());
    let sbom = pypi::SBOM.provide()?.join("python");
    let azure_cli = pypi::AZURE_CLI.provide()?.join("az");
    Ok(vec![
        ("PATH", path.into()),
        ("SEAWORTHY_STATE", paths::state().into()),
        ("SEAWORTHY_SBOM_PYTHON", sbom.into()),
        ("SEAWORTHY_AZ", azure_cli.into()),
        ("SEAWORTHY_KUBECONFIG", stack.kubeconfig.clone().into()),
    ])
}

/// A program of tests, as cargo describes it (doc.rust-lang.org/cargo/reference/external-tools.html).
#[derive(Deserialize)]
struct Program {
    manifest_path: PathBuf,
    executable: PathBuf,
    target: Target,
}

#[derive(Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
}

impl Program {
    fn directory(&self) -> anyhow::Result<&Path> {
        self.manifest_path
            .parent()
            .context("a manifest is in a directory")
    }

    fn crate_name(&self) -> anyhow::Result<String> {
        let name = self.directory()?.file_name().unwrap_or_default();
        Ok(name.to_string_lossy().into_owned())
    }

    // The crate, and the file of its tests if there are several.
    fn name(&self) -> anyhow::Result<String> {
        let name = self.crate_name()?;
        Ok(if self.target.kind == ["test"] {
            format!("{name}, {}", self.target.name)
        } else {
            name
        })
    }

    // Its tests with the real tools.
    fn test(&self, environment: &[(&str, OsString)], judged: bool) -> anyhow::Result<Command> {
        let threads = if self.crate_name()? == IN_PARALLEL {
            2
        } else {
            1
        };
        let args = ["--ignored".to_owned(), format!("--test-threads={threads}")];
        let mut test = command(&self.executable.to_string_lossy(), args);
        if !judged {
            test.args(["--skip", JUDGED]);
        }
        // As cargo does.
        test.current_dir(self.directory()?);
        test.envs(environment.iter().map(|(name, value)| (name, value)));
        Ok(test)
    }
}

fn programs() -> anyhow::Result<Vec<Program>> {
    #[derive(Deserialize)]
    struct Message {
        #[serde(default)]
        profile: Profile,
    }
    #[derive(Deserialize, Default)]
    struct Profile {
        test: bool,
    }
    let args = ["test", "--workspace", "--locked", "--no-run", "--quiet"];
    let mut build = command("cargo", args);
    build
        .arg("--message-format=json")
        .current_dir(paths::root());
    let messages = output(&mut build)?;
    let mut programs = Vec::new();
    for line in messages.lines() {
        let is_test = serde_json::from_str::<Message>(line).is_ok_and(|m| m.profile.test);
        if is_test && let Ok(program) = serde_json::from_str::<Program>(line) {
            programs.push(program);
        }
    }
    if programs.is_empty() {
        bail!("`cargo test --no-run` listed no program of tests");
    }
    programs.sort_by(|a, b| a.manifest_path.cmp(&b.manifest_path));
    Ok(programs)
}
