//! Every check and test, in one table.

mod checks;
mod passed;
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

/// How many lines of a failed check's output are printed.
const SHOWN: usize = 300;
/// How many of them are repeated after the table, at the end of the log.
const REPEATED: usize = 80;
/// How long all fuzz targets run together.
const FUZZED: Duration = Duration::from_secs(30);

/// One check: its name, whether it failed, how long it took, how many tests it ran.
struct Outcome {
    name: String,
    failed: bool,
    seconds: f64,
    passed: u64,
    failures: u64,
    /// Whether it is the result of an earlier run, with all that is here.
    before: bool,
    /// Why it failed: what its failing tests printed, or its last lines.
    reason: String,
}

impl Outcome {
    /// A check without tests, which took so long.
    fn new(name: impl Into<String>, failed: bool, took: Duration) -> Self {
        Self {
            name: name.into(),
            failed,
            seconds: took.as_secs_f64(),
            passed: 0,
            failures: 0,
            before: false,
            reason: String::new(),
        }
    }

    /// It failed.
    fn failed(name: impl Into<String>, error: &anyhow::Error, took: Duration) -> Self {
        progress::failed(error);
        Self {
            reason: format!("{error:#}"),
            ..Self::new(name, true, took)
        }
    }

    /// The `tests` of `name` passed in an earlier run, and nothing changed.
    fn before(name: String, tests: u64) -> Self {
        Self {
            passed: tests,
            before: true,
            ..Self::new(name, false, Duration::ZERO)
        }
    }
}

/// Which of them run.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Tests {
    /// The lints and the tests of one crate that need nothing else.
    OfCrate(String),
    /// What does not need Docker.
    Fast,
    /// What every change must pass.
    Every(Extent),
}

/// How far every check and test goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Extent {
    /// Also what other projects' programs judge that take long to build.
    pub(crate) judges: bool,
    /// Also the tests with the real tools that passed today, with nothing changed since.
    pub(crate) again: bool,
}

impl Extent {
    fn judges(self) -> &'static [&'static str] {
        if self.judges { JUDGES } else { &[] }
    }
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
        Tests::Every(extent) => all(&mut outcomes, *extent),
    }
    progress::line("\ncheck                              result   seconds   tests");
    for o in &outcomes {
        let result = match (o.failed, o.before) {
            (true, _) => "FAILED",
            (false, true) => "before",
            (false, false) => "ok",
        };
        progress::line(format!(
            "{:<34} {result:<8} {:>7.1} {:>7}",
            o.name,
            o.seconds,
            o.passed + o.failures
        ));
    }
    for outcome in outcomes.iter().filter(|outcome| outcome.failed) {
        let reason = end(&outcome.reason, REPEATED);
        progress::line(format!("\n{} FAILED:\n{reason}", outcome.name));
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
    if outcomes.iter().any(|outcome| outcome.before) {
        progress::line(
            "before: passed in an earlier run of today, and nothing changed; `--again` repeats it",
        );
    }
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
    let name = "words of STYLE.md";
    let words = progress::step(name, || words::check(&[]));
    outcomes.push(match words {
        Ok(()) => Outcome::new(name, false, started.elapsed()),
        Err(e) => Outcome::failed(name, &e, started.elapsed()),
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
fn all(outcomes: &mut Vec<Outcome>, extent: Extent) {
    let judges = extent.judges();
    let builds = stack::build(&[PIPELINE, CHECKS, judges].concat());
    if !judges.is_empty() {
        progress::line(format!("  builds as well: {}", judges.join(", ")));
    }
    text_checks(outcomes);
    cargo_checks(outcomes, &["--workspace"]);
    fuzzing(outcomes);
    real(outcomes, builds, extent);
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
    let name = "fuzz targets";
    let outcome = progress::step(name, || fuzz::run(None, FUZZED));
    outcomes.push(match outcome {
        Ok(passed) => Outcome {
            passed,
            ..Outcome::new(name, false, started.elapsed())
        },
        Err(e) => Outcome::failed(name, &e, started.elapsed()),
    });
}

fn real(outcomes: &mut Vec<Outcome>, builds: anyhow::Result<Builds>, mut extent: Extent) {
    // On a CI service, everything is repeated, stopped and restored: from a machine on which nothing of it runs.
    let ci = std::env::var_os("CI").is_some_and(|ci| !ci.is_empty() && ci != "false");
    extent.again |= ci;
    let inventory = || {
        if stack::is_up() {
            stack::down(false)?;
        }
        Ok(Inventory::take())
    };
    // The packages stay.
    let before = apt::install().and_then(|()| ci.then(inventory).transpose());
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
            if let Err(e) = real::run(outcomes, &stack, extent, checks) {
                broken(outcomes, "the real tools", &e);
            }
        }
        Err(e) => broken(outcomes, "the local services", &e),
    }
    match before {
        Ok(Some(before)) => stopped(outcomes, &before, extent.judges),
        Ok(None) => {}
        Err(e) => broken(outcomes, "system packages", &e),
    }
}

// Stop everything, and `purge` what was made; what was there `before` is there as it was, and nothing else.
fn stopped(outcomes: &mut Vec<Outcome>, before: &Inventory, purge: bool) {
    let started = Instant::now();
    let outcome = stack::down(purge).and_then(|()| {
        let left = before.differences(&Inventory::take());
        ensure!(left.is_empty(), "left behind:\n  {}", left.join("\n  "));
        Ok(())
    });
    let name = "down leaves nothing behind";
    outcomes.push(match outcome {
        Ok(()) => Outcome::new(name, false, started.elapsed()),
        Err(e) => Outcome::failed(name, &e, started.elapsed()),
    });
}

fn broken(outcomes: &mut Vec<Outcome>, name: &str, error: &anyhow::Error) {
    outcomes.push(Outcome::failed(name, error, Duration::ZERO));
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
    let outcome = match outcome {
        Ok(()) => Outcome::new(name, false, started.elapsed()),
        Err(e) => {
            let tests = failing_tests(&text);
            progress::line(end(&text, SHOWN));
            progress::line(end(&tests, SHOWN));
            let reason = if tests.is_empty() { text } else { tests };
            Outcome {
                reason,
                ..Outcome::failed(name, &e, started.elapsed())
            }
        }
    };
    outcomes.push(Outcome {
        passed,
        failures,
        ..outcome
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

// What failing tests printed, where many programs of tests ran: that of one in the middle is not at the end. Without the
// values that an action masks, and without the backtrace that follows its log: both are longer than the log itself.
fn failing_tests(text: &str) -> String {
    let mut shown = Vec::new();
    let mut is_shown = false;
    let mut is_backtrace = false;
    for line in text.lines() {
        if line.starts_with("---- ") && line.ends_with(" ----") {
            (is_shown, is_backtrace) = (true, false);
        } else if line == "failures:" {
            is_shown = false;
        } else if line == "stack backtrace:" {
            is_backtrace = true;
        }
        if is_shown && !is_backtrace && !line.starts_with("::add-mask::") {
            shown.push(line);
        }
        if line.starts_with("note: ") {
            is_backtrace = false;
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
        let text = "---- a stdout ----\n::add-mask::s\n1 is not 2\nstack backtrace:\n   0: a\nnote: Some details are omitted\nin b";
        assert_eq!(
            super::failing_tests(text),
            "---- a stdout ----\n1 is not 2\nin b"
        );
    }

    #[test]
    fn a_long_text_says_what_is_omitted() {
        assert_eq!(super::end("a\nb", 2), "a\nb");
        assert_eq!(super::end("a\nb\nc", 2), "… 1 lines are omitted …\nb\nc");
    }
}
