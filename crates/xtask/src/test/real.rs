//! The tests with the real tools: those that are marked `ignore`, a row for each program of tests.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context as _, anyhow, bail};
use serde::Deserialize;

use super::passed::Passed;
use super::{Extent, Outcome, check};
use crate::setup::command::{command, output};
use crate::setup::{go_tools, npm, pypi};
use crate::stack::Stack;
use crate::{browser, paths, progress};

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
/// How far the tests go in that tier: deployments under load, and sequences of the property test of the fields of a live object.
const FURTHER: &[(&str, &str)] = &[("DEPLOYMENTS", "20"), ("SEQUENCES", "100")];

/// The crate whose tests take longest: most of that is the work of Copa and Trivy, and others wait for pods meanwhile.
const LONGEST: &str = "copacetic-patch";
/// How many tests of a crate run at a time, where each has its own names: those of `azure-deploy` wait for pods.
const AT_A_TIME: &[(&str, usize)] = &[("copacetic-patch", 2), ("azure-deploy", 3)];
/// The crate whose tests use the machine as a whole: the pipeline, and the release.
const ALONE: &str = "tests";

/// A row of the table: its name, and the program of tests.
type Row = (String, Command);

/// Run them in two lanes: one begins with the longest, the other one with `checks`, and both take what is left. A program
/// that passed today with all that is here is not repeated. Within a program one test comes after the other, as they share
/// Docker and a cluster, or some at a time where each has its own names; what a crate makes there has its own.
///
/// # Errors
/// When a tool is unavailable, or the tests don't compile.
pub(super) fn run(
    outcomes: &mut Vec<Outcome>,
    stack: &Stack,
    extent: Extent,
    checks: impl FnOnce(&mut Vec<Outcome>),
) -> anyhow::Result<()> {
    let wait = |names: &[&str]| -> anyhow::Result<Vec<PathBuf>> {
        names.iter().map(|name| stack.builds.wait(name)).collect()
    };
    let tools = wait(TOOLS)?;
    let passed = Mutex::new(Passed::load(&tools, extent.again)?);
    let tools = [tools, wait(extent.judges())?].concat();
    let environment = environment(stack, &tools)?;
    let (mut alone, mut longest, mut others) = (Vec::new(), Vec::new(), VecDeque::new());
    for program in programs()? {
        let list = ["--ignored", "--list"];
        let listed = output(&mut command(&program.executable.to_string_lossy(), list))?;
        if !listed.lines().any(|line| line.ends_with(": test")) {
            continue;
        }
        let name = format!("real: {}", program.name()?);
        // What the judges judge may have passed without them.
        let is_judged = extent.judges && listed.contains(JUDGED);
        if !is_judged && let Some(tests) = locked(&passed).tests_of(&name) {
            outcomes.push(Outcome::before(name, tests));
            continue;
        }
        let row = (name, program.test(&environment, extent.judges)?);
        match &*program.crate_name()? {
            ALONE => alone.push(row),
            LONGEST => longest.push(row),
            _ => others.push_back(row),
        }
    }
    let others = Mutex::new(others);
    let next = || locked(&others).pop_front();
    let second = std::thread::scope(|scope| {
        let first = longest.into_iter().chain(std::iter::from_fn(next));
        let second = scope.spawn(|| lane(Vec::new(), first, &passed));
        checks(outcomes);
        *outcomes = lane(std::mem::take(outcomes), std::iter::from_fn(next), &passed);
        second.join()
    });
    outcomes.extend(second.map_err(|_| anyhow!("a lane of tests panicked"))?);
    *outcomes = lane(std::mem::take(outcomes), alone, &passed);
    Ok(())
}

// One row after the other.
fn lane(
    mut outcomes: Vec<Outcome>,
    rows: impl IntoIterator<Item = Row>,
    passed: &Mutex<Passed>,
) -> Vec<Outcome> {
    for (name, mut test) in rows {
        check(&mut outcomes, &name, &mut test);
        if let Some(outcome) = outcomes.last()
            && !outcome.failed
            && let Err(e) = locked(passed).record(&name, outcome.passed)
        {
            progress::line(format!("  {e:#}"));
        }
    }
    outcomes
}

// A lane that panicked leaves records and rows that are whole.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn environment(stack: &Stack, tools: &[PathBuf]) -> anyhow::Result<Vec<(&'static str, OsString)>> {
    let mut path = std::env::var("PATH").unwrap_or_default();
    for tool in tools {
        path = format!("{}:{path}", tool.display());
    }
    let validator = npm::provide(
        "sarif-multitool",
        "node_modules/@microsoft/sarif-multitool-linux/Sarif.Multitool",
    )?;
    let directory = validator.parent().context("a program is in a directory")?;
    path = format!("{}:{path}", directory.display());
    let sbom = pypi::SBOM.provide()?.join("python");
    let browser = browser::python()?;
    let azure_cli = pypi::AZURE_CLI.provide()?.join("az");
    let trivy = go_tools::sources("trivy", "github.com/aquasecurity/trivy")?;
    Ok(vec![
        ("PATH", path.into()),
        ("SEAWORTHY_STATE", paths::state().into()),
        ("SEAWORTHY_SBOM_PYTHON", sbom.into()),
        ("SEAWORTHY_BROWSER_PYTHON", browser.into()),
        ("SEAWORTHY_AZ", azure_cli.into()),
        ("SEAWORTHY_TRIVY_GOLDENS", trivy.join("integration").into()),
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
        let own = self.crate_name()?;
        let threads = AT_A_TIME.iter().find(|(name, _)| *name == own);
        let threads = threads.map_or(1, |(_, threads)| *threads);
        let args = ["--ignored".to_owned(), format!("--test-threads={threads}")];
        let mut test = command(&self.executable.to_string_lossy(), args);
        if judged {
            test.envs(FURTHER.iter().copied());
        } else {
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
