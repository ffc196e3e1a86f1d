//! Every check and test, in one table.

use std::process::{Command, ExitCode};
use std::time::Instant;

use crate::setup::command::command;
use crate::setup::go_tools::Builds;
use crate::setup::zizmor;
use crate::stack::{self, Stack};
use crate::{paths, say};

/// One check: its name, how it ended, how long it took, how many tests it ran.
struct Outcome {
    name: String,
    failed: bool,
    seconds: f64,
    passed: u64,
    failures: u64,
}

/// Run them; `fast` leaves out what needs a container engine.
pub(crate) fn run(fast: bool) -> ExitCode {
    let mut outcomes = Vec::new();
    let builds = fast.then(|| Builds::start(Some(&["actionlint"])));
    cargo_checks(&mut outcomes);
    match builds {
        Some(builds) => yaml(&mut outcomes, &builds),
        None => real(&mut outcomes),
    }
    say::line("\ncheck                              result   seconds   tests");
    for o in &outcomes {
        let result = if o.failed { "FAILED" } else { "ok" };
        say::line(format!(
            "{:<34} {result:<8} {:>7.1} {:>7}",
            o.name,
            o.seconds,
            o.passed + o.failures
        ));
    }
    // A check without tests of its own counts as one.
    let counts = |o: &Outcome| match (o.passed + o.failures, o.failed) {
        (0, failed) => (u64::from(!failed), u64::from(failed)),
        (_, failed) => (o.passed, o.failures.max(u64::from(failed))),
    };
    let (passed, failed) = outcomes
        .iter()
        .map(counts)
        .fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    say::line(format!("\n{passed} passed, {failed} failed"));
    if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn cargo_checks(outcomes: &mut Vec<Outcome>) {
    let cargo = |args: &[&str]| {
        let mut cargo = command("cargo", args);
        cargo.current_dir(paths::root());
        cargo
    };
    check(outcomes, "format", &mut cargo(&["fmt", "--all", "--check"]));
    check(
        outcomes,
        "clippy",
        cargo(&[
            "clippy",
            "--quiet",
            "--workspace",
            "--all-targets",
            "--locked",
        ])
        .env("CARGO_BUILD_WARNINGS", "deny")
        .env("RUSTFLAGS", "-D warnings"),
    );
    check(
        outcomes,
        "unit, contract and process tests",
        &mut cargo(&["test", "--workspace", "--locked", "--no-fail-fast"]),
    );
}

fn yaml(outcomes: &mut Vec<Outcome>, builds: &Builds) {
    match builds.wait("actionlint") {
        Ok(folder) => {
            let mut lint = command(&folder.join("actionlint").to_string_lossy(), ["-no-color"]);
            check(outcomes, "actionlint", lint.current_dir(paths::root()));
        }
        Err(e) => broken(outcomes, "actionlint", &e),
    }
    match zizmor::provide() {
        Ok(program) => {
            let mut audit = command(
                &program.to_string_lossy(),
                ["--offline", "--no-progress", "--quiet", "."],
            );
            check(outcomes, "zizmor", audit.current_dir(paths::root()));
        }
        Err(e) => broken(outcomes, "zizmor", &e),
    }
}

fn real(outcomes: &mut Vec<Outcome>) {
    let stack = match stack::up() {
        Ok(stack) => stack,
        Err(e) => return broken(outcomes, "the local stand-ins", &e),
    };
    yaml(outcomes, &stack.builds);
    if let Err(e) = real_tools(outcomes, &stack) {
        broken(outcomes, "the real tools", &e);
    }
    if std::env::var_os("CI").is_some() {
        if let Err(e) = stack::down(false) {
            broken(outcomes, "down", &e);
        }
    }
}

fn real_tools(outcomes: &mut Vec<Outcome>, stack: &Stack) -> anyhow::Result<()> {
    let mut path = std::env::var("PATH").unwrap_or_default();
    for tool in ["trivy", "copa", "buildkit", "kubernetes"] {
        path = format!("{}:{path}", stack.builds.wait(tool)?.display());
    }
    let mut test = command(
        "cargo",
        [
            "test",
            "--workspace",
            "--locked",
            "--no-fail-fast",
            "--",
            "--ignored",
            "--test-threads=1",
        ],
    );
    test.current_dir(paths::root())
        .env("PATH", path)
        .env("DRYDOCK_STATE", paths::state())
        .env("DRYDOCK_KUBECONFIG", &stack.kubeconfig);
    check(outcomes, "tests with the real tools", &mut test);
    Ok(())
}

fn broken(outcomes: &mut Vec<Outcome>, name: &str, error: &anyhow::Error) {
    say::failed(error);
    outcomes.push(Outcome {
        name: name.into(),
        failed: true,
        seconds: 0.0,
        passed: 0,
        failures: 0,
    });
}

fn check(outcomes: &mut Vec<Outcome>, name: &str, run: &mut Command) {
    say::line(format!("▸ {name}"));
    let begun = Instant::now();
    let (text, failed) = match run.output() {
        Ok(done) => {
            let text = format!(
                "{}{}",
                String::from_utf8_lossy(&done.stderr),
                String::from_utf8_lossy(&done.stdout)
            );
            (text, !done.status.success())
        }
        Err(e) => (format!("could not be started: {e}"), true),
    };
    let (passed, failures) = counts(&text);
    if failed {
        say::line(text);
    }
    outcomes.push(Outcome {
        name: name.into(),
        failed,
        seconds: begun.elapsed().as_secs_f64(),
        passed,
        failures,
    });
}

// The closing lines of cargo's test runs: `test result: ok. 3 passed; 0 failed; …`.
fn counts(text: &str) -> (u64, u64) {
    let number = |line: &str, word: &str| -> Option<u64> {
        let words: Vec<_> = line
            .split([' ', ';'])
            .filter(|word| !word.is_empty())
            .collect();
        let at = words.iter().position(|found| *found == word)?;
        words.get(at.checked_sub(1)?)?.parse().ok()
    };
    let results = text.lines().filter(|line| line.starts_with("test result:"));
    results.fold((0, 0), |(passed, failed), line| {
        (
            passed + number(line, "passed").unwrap_or_default(),
            failed + number(line, "failed").unwrap_or_default(),
        )
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_closing_lines_add_up() {
        let text = "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured\nrunning 2 tests\ntest result: FAILED. 1 passed; 1 failed; 0 ignored";
        assert_eq!(super::counts(text), (4, 1));
    }
}
