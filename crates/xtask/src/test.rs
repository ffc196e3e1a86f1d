//! Every check and test, in one table.

mod checks;
mod real;
pub(crate) mod words;

use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};

use crate::setup::builds::{Builds, CHECKS, JUDGES, PIPELINE};
use crate::setup::command::command;
use crate::setup::{apt, crates_io, pypi};
use crate::stack::{self, Inventory, Stack};
use crate::{fuzz, paths, progress};

/// How much of a failed check's output is printed.
const SHOWN: usize = 300;
/// How long all fuzz targets run together.
const FUZZED: Duration = Duration::from_secs(60);

/// One check: its name, whether it failed, how long it took, how many tests it ran.
struct Outcome {
    name: String,
    failed: bool,
    seconds: f64,
    passed: u64,
    failures: u64,
}

/// Which of them run.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Tests {
    /// The lints and the tests of one crate that need nothing else.
    OfCrate(String),
    /// What does not need Docker.
    Fast,
    /// What every change must pass.
    Every,
    /// That, and what other projects' programs judge that take long to build.
    Judged,
}

/// Run them.
pub(crate) fn run(tests: &Tests) -> ExitCode {
    let mut outcomes = Vec::new();
    match tests {
        Tests::OfCrate(name) => cargo_checks(&mut outcomes, &["--package", name]),
        Tests::Fast => {
            let builds = Builds::start(CHECKS, &[]);
            if let Err(e) = apt::install_for_checks() {
                broken(&mut outcomes, "system packages", &e);
            }
            text_checks(&mut outcomes);
            cargo_checks(&mut outcomes, &["--workspace"]);
            checks::yaml(&mut outcomes, &builds);
        }
        Tests::Every => all(&mut outcomes, &[]),
        Tests::Judged => all(&mut outcomes, JUDGES),
    }
    progress::line("\ncheck                              result   seconds   tests");
    for o in &outcomes {
        let result = if o.failed { "FAILED" } else { "ok" };
        progress::line(format!(
            "{:<34} {result:<8} {:>7.1} {:>7}",
            o.name,
            o.seconds,
            o.passed + o.failures
        ));
    }
    // A check without tests counts as one.
    let counts = |o: &Outcome| match (o.passed + o.failures, o.failed) {
        (0, failed) => (u64::from(!failed), u64::from(failed)),
        (_, failed) => (o.passed, o.failures.max(u64::from(failed))),
    };
    let (passed, failed) = outcomes
        .iter()
        .map(counts)
        .fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    progress::line(format!("\n{passed} passed, {failed} failed"));
    if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

// What is read, not run.
fn text_checks(outcomes: &mut Vec<Outcome>) {
    match pypi::TYPOS.provide() {
        Ok(programs) => {
            let mut typos = command(
                &programs.join("typos").to_string_lossy(),
                ["--format=brief"],
            );
            check(outcomes, "typos", typos.current_dir(paths::root()));
        }
        Err(e) => broken(outcomes, "typos", &e),
    }
    let started = Instant::now();
    let words = progress::step("words of STYLE.md", || words::check(&[]));
    if let Err(e) = &words {
        progress::failed(e);
    }
    outcomes.push(Outcome {
        name: "words of STYLE.md".into(),
        failed: words.is_err(),
        seconds: started.elapsed().as_secs_f64(),
        passed: 0,
        failures: 0,
    });
    match crates_io::CARGO_SHEAR.provide() {
        Ok(program) => {
            let mut shear = command(&program.to_string_lossy(), ["--locked", "--deny-warnings"]);
            check(outcomes, "cargo shear", shear.current_dir(paths::root()));
        }
        Err(e) => broken(outcomes, "cargo shear", &e),
    }
}

// The tools are built meanwhile: what the services need first, what only the checks need last.
fn all(outcomes: &mut Vec<Outcome>, judges: &[&'static str]) {
    let builds = stack::build(&[PIPELINE, CHECKS, judges].concat());
    if !judges.is_empty() {
        progress::line(format!("  builds as well: {}", judges.join(", ")));
    }
    text_checks(outcomes);
    cargo_checks(outcomes, &["--workspace"]);
    fuzzing(outcomes);
    real(outcomes, builds, judges);
}

// Of some crates, by the options that select them.
fn cargo_checks(outcomes: &mut Vec<Outcome>, crates: &[&str]) {
    let cargo = |args: &[&str]| {
        let mut cargo = command("cargo", args);
        cargo.current_dir(paths::root());
        cargo
    };
    check(outcomes, "format", &mut cargo(&["fmt", "--all", "--check"]));
    let mut clippy = cargo(&["clippy", "--quiet", "--all-targets", "--locked"]);
    check(
        outcomes,
        "clippy",
        clippy.args(crates).args(["--", "-Dwarnings"]),
    );
    let mut tests = cargo(&["test", "--locked", "--no-fail-fast"]);
    check(
        outcomes,
        "unit, contract and process tests",
        tests.args(crates),
    );
}

// Every parser for a moment: what a change breaks shows soon, and hours are run by hand.
fn fuzzing(outcomes: &mut Vec<Outcome>) {
    let started = Instant::now();
    let outcome = progress::step("fuzz targets", || fuzz::run(None, FUZZED));
    if let Err(e) = &outcome {
        progress::failed(e);
    }
    outcomes.push(Outcome {
        name: "fuzz targets".into(),
        failed: outcome.is_err(),
        seconds: started.elapsed().as_secs_f64(),
        passed: outcome.unwrap_or_default(),
        failures: 0,
    });
}

fn real(outcomes: &mut Vec<Outcome>, builds: anyhow::Result<Builds>, judges: &[&'static str]) {
    // On a CI service, everything is stopped and restored.
    let ci = std::env::var_os("CI").is_some_and(|ci| !ci.is_empty() && ci != "false");
    // The packages stay.
    let before = apt::install().map(|()| ci.then(Inventory::take));
    let start = |builds| {
        let stack = Stack::start(builds)?;
        stack.provide_arm64()?;
        anyhow::Ok(stack)
    };
    match builds.and_then(start) {
        Ok(stack) => {
            let checks = |outcomes: &mut Vec<Outcome>| {
                checks::yaml(outcomes, &stack.builds);
                checks::dependencies(outcomes);
                checks::configuration(outcomes, &stack.builds);
                checks::azure_commands(outcomes);
                checks::application(outcomes);
                checks::documentation(outcomes);
            };
            if let Err(e) = real::run(outcomes, &stack, judges, checks) {
                broken(outcomes, "the real tools", &e);
            }
        }
        Err(e) => broken(outcomes, "the local services", &e),
    }
    match before {
        Ok(Some(before)) => stopped(outcomes, &before),
        Ok(None) => {}
        Err(e) => broken(outcomes, "system packages", &e),
    }
}

// Stop everything; what was there `before` is there as it was, and nothing else.
fn stopped(outcomes: &mut Vec<Outcome>, before: &Inventory) {
    let started = Instant::now();
    let outcome = stack::down(false).and_then(|()| {
        let left = before.differences(&Inventory::take());
        ensure!(left.is_empty(), "left behind:\n  {}", left.join("\n  "));
        Ok(())
    });
    if let Err(e) = &outcome {
        progress::failed(e);
    }
    outcomes.push(Outcome {
        name: "down leaves nothing behind".into(),
        failed: outcome.is_err(),
        seconds: started.elapsed().as_secs_f64(),
        passed: 0,
        failures: 0,
    });
}

fn broken(outcomes: &mut Vec<Outcome>, name: &str, error: &anyhow::Error) {
    progress::failed(error);
    outcomes.push(Outcome {
        name: name.into(),
        failed: true,
        seconds: 0.0,
        passed: 0,
        failures: 0,
    });
}

fn check(outcomes: &mut Vec<Outcome>, name: &str, run: &mut Command) {
    let started = Instant::now();
    let mut text = String::new();
    let outcome = progress::step(name, || {
        let done = run.output().context("failed to start; is it installed?")?;
        text = String::from_utf8_lossy(&done.stderr).into_owned();
        text.push_str(&String::from_utf8_lossy(&done.stdout));
        ensure!(done.status.success(), "failed with {}", done.status);
        Ok(())
    });
    let (passed, failures) = counts(&text);
    if let Err(e) = &outcome {
        progress::line(end(&text, SHOWN));
        progress::line(end(&failing_tests(&text), SHOWN));
        progress::failed(e);
    }
    outcomes.push(Outcome {
        name: name.into(),
        failed: outcome.is_err(),
        seconds: started.elapsed().as_secs_f64(),
        passed,
        failures,
    });
}

// The last lines of a text, after a line on how many are omitted.
fn end(text: &str, lines: usize) -> String {
    let all: Vec<_> = text.lines().collect();
    let omitted = all.len().saturating_sub(lines);
    let shown = all[omitted..].join("\n");
    if omitted == 0 {
        return shown;
    }
    format!("… {omitted} lines are omitted …\n{shown}")
}

// What failing tests printed, where many programs of tests ran: that of one in the middle is not at the end.
fn failing_tests(text: &str) -> String {
    let mut shown = Vec::new();
    let mut is_shown = false;
    for line in text.lines() {
        if line.starts_with("---- ") && line.ends_with(" ----") {
            is_shown = true;
        } else if line == "failures:" {
            is_shown = false;
        }
        if is_shown {
            shown.push(line);
        }
    }
    shown.join("\n")
}

// The closing lines of test runs: cargo's `test result: ok. 3 passed; 0 failed; …` and pytest's
// `==== 2 failed, 31 passed in 0.61s ====`.
fn counts(text: &str) -> (u64, u64) {
    let number = |line: &str, word: &str| -> Option<u64> {
        let words: Vec<_> = line
            .split([' ', ';', ',', '='])
            .filter(|word| !word.is_empty())
            .collect();
        let at = words.iter().position(|other| *other == word)?;
        words.get(at.checked_sub(1)?)?.parse().ok()
    };
    let is_pytest = |line: &str| {
        let has = |word: &str| line.contains(word);
        (line.starts_with("===") || line.ends_with('s'))
            && has(" in ")
            && (has(" passed") || has(" failed"))
    };
    let results = text
        .lines()
        .filter(|line| line.starts_with("test result:") || is_pytest(line));
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
        for (text, expected) in [
            (
                "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured\nrunning 2 tests\ntest result: FAILED. 1 passed; 1 failed; 0 ignored",
                (4, 1),
            ),
            (
                "===== 2 failed, 31 passed, 1 warning in 0.61s =====",
                (31, 2),
            ),
            ("31 passed in 0.61s", (31, 0)),
            ("test the_check_passed in_time ... ok", (0, 0)),
            ("", (0, 0)),
        ] {
            assert_eq!(super::counts(text), expected, "{text}");
        }
    }

    #[test]
    fn a_failing_test_in_the_middle_is_shown() {
        let text = "running 1 test\n\nfailures:\n\n---- a stdout ----\n1 is not 2\n\nfailures:\n    a\n\ntest result: FAILED. 0 passed; 1 failed\nrunning 0 tests";
        assert_eq!(
            super::failing_tests(text),
            "---- a stdout ----\n1 is not 2\n"
        );
        assert_eq!(super::failing_tests("running 0 tests"), "");
    }

    #[test]
    fn a_long_text_says_what_is_omitted() {
        assert_eq!(super::end("a\nb", 2), "a\nb");
        assert_eq!(super::end("a\nb\nc", 2), "… 1 lines are omitted …\nb\nc");
    }
}
