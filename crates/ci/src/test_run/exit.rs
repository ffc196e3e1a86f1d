//! How the test command exited, and what that and the report say together.

use actions_toolkit::{PolicyFailure, text};
use anyhow::bail;
use docker::Throttling;

use super::junit::Junit;
use super::reports::JUNIT;
use crate::request::Tests;
use crate::request::cpus::Cpus;

/// Percent of the time in which a limit of the processors may be the cause of a failure.
const SLOWED: u64 = 20;

/// How the test command exited.
#[derive(Debug, Clone, Copy)]
pub(super) struct Exit {
    pub(super) code: i64,
    /// That the kernel killed a process of it for lack of memory.
    pub(super) out_of_memory: Option<OutOfMemory>,
}

/// The megabytes that the tests had; `None` if they had no limit.
#[derive(Debug, Clone, Copy)]
pub(super) struct OutOfMemory(pub(super) Option<u16>);

impl std::fmt::Display for OutOfMemory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Some(megabytes) => write!(f, "they had {megabytes} MB, as `test-memory` says"),
            None => f.write_str("they had all of the runner; let fewer of them run at a time"),
        }
    }
}

/// What the limit of `cpus` did to a run that failed; `None` if that was little.
pub(super) fn slowed(cpus: Cpus, throttling: Throttling) -> Option<String> {
    let percent = (throttling.throttled * 100).checked_div(throttling.periods)?;
    (percent >= SLOWED).then(|| {
        format!(
            "`test-cpus: {cpus}` held the tests back in {percent} % of the time that they ran: what has a timeout may have failed by that"
        )
    })
}

/// The tests left no report.
pub(super) fn no_report(tests: &Tests, exit: Exit) -> String {
    let path = tests.junit_paths.first().map_or(JUNIT, String::as_str);
    let place = match &tests.junit_paths[..] {
        [_, _, ..] => "any of `junit-path`".to_owned(),
        _ => format!("`{path}`"),
    };
    format!(
        "the tests exited with code {}{} and left no JUnit report at {place}; let the command of \
         {} write one there (pytest: `--junitxml={path}`), or set `junit-path`",
        exit.code,
        exit.out_of_memory(),
        tests.target,
    )
}

impl Exit {
    fn out_of_memory(self) -> String {
        match self.out_of_memory {
            Some(memory) => format!(" for lack of memory ({memory})"),
            None => String::new(),
        }
    }

    // What the exit code says where the report has failed tests; nothing if it says the same.
    fn objection(self) -> String {
        match (self.code, self.out_of_memory) {
            (0, _) => "; the test command exited with code 0 all the same".to_owned(),
            (code, Some(memory)) => {
                format!(
                    "; tests were killed for lack of memory (exit code {code}), so others may not have run: {memory}"
                )
            }
            (137, None) => {
                "; the test command was killed (exit code 137), so others may not have run"
                    .to_owned()
            }
            _ => String::new(),
        }
    }
}

/// The verdict on a run that exited with `code` and reported `junit`.
///
/// # Errors
/// A [`PolicyFailure`] when a test failed, or the command failed for another reason; another error when nothing was
/// tested, or the run was killed.
pub(super) fn verdict(junit: &Junit, exit: Exit) -> anyhow::Result<()> {
    let (counts, code) = (junit.counts(), exit.code);
    if counts.failed > 0 {
        let names: Vec<_> = junit
            .failed()
            .take(3)
            .map(|(test, ..)| test.full_name())
            .collect();
        let more = if counts.failed > names.len() {
            ", …"
        } else {
            ""
        };
        let total = text::plural(counts.total, "test");
        return Err(PolicyFailure(format!(
            "{} of {total} failed: {}{more}{}",
            counts.failed,
            names.join(", "),
            exit.objection()
        ))
        .into());
    }
    if let Some(memory) = exit.out_of_memory {
        bail!(
            "the tests were killed for lack of memory (exit code {code}), though none of the {} that are reported failed: {memory}",
            counts.total
        );
    }
    if code > 128 {
        bail!(
            "the test run was killed (exit code {code}): out of memory, or a crash of the test command"
        );
    }
    if counts.total == counts.skipped {
        let what = if counts.total == 0 {
            "no test was found"
        } else {
            "every test was skipped"
        };
        bail!(
            "{what} (exit code {code}), so nothing is verified; check the directory in which the test command looks"
        );
    }
    if code != 0 {
        let tests = text::plural(counts.total, "test");
        return Err(PolicyFailure(format!(
            "the test command exited with code {code}, though none of {tests} failed; see the last lines of its log (a \
             linter, a coverage threshold, or an error outside of the tests)"
        ))
        .into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use actions_toolkit::{ExitStatus, Log, Scope, Value as _, Workspace};

    #[test]
    fn only_tests_that_ran_and_passed_are_a_success() {
        let (pass, skip, fail) = (
            "<testcase name='a'/>",
            "<testcase name='s'><skipped/></testcase>",
            "<testcase classname='m' name='f'><failure/></testcase>",
        );
        let table = [
            (format!("{pass}{skip}"), 0, None),
            (fail.to_owned(), 1, Some((1, "1 of 1 test failed: m::f"))),
            // The report decides, not the exit code.
            (
                format!("{pass}{fail}"),
                0,
                Some((
                    1,
                    "1 of 2 tests failed: m::f; the test command exited with code 0 all the same",
                )),
            ),
            (
                fail.repeat(5),
                137,
                Some((
                    1,
                    "5 of 5 tests failed: m::f, m::f, m::f, …; the test command was killed (exit code 137), so others may not have run",
                )),
            ),
            (
                String::new(),
                5,
                Some((
                    2,
                    "no test was found (exit code 5), so nothing is verified; check the directory in which the test command looks",
                )),
            ),
            (
                skip.to_owned(),
                0,
                Some((
                    2,
                    "every test was skipped (exit code 0), so nothing is verified; check the directory in which the test command looks",
                )),
            ),
            (
                pass.to_owned(),
                137,
                Some((
                    2,
                    "the test run was killed (exit code 137): out of memory, or a crash of the test command",
                )),
            ),
            (
                pass.to_owned(),
                1,
                Some((
                    1,
                    "the test command exited with code 1, though none of 1 test failed; see the last lines of its log (a linter, a coverage threshold, or an error outside of the tests)",
                )),
            ),
        ];
        for (cases, code, expected) in table {
            let junit = Junit::parse(&format!("<testsuite>{cases}</testsuite>")).unwrap();
            let exit = Exit {
                code,
                out_of_memory: None,
            };
            let verdict = verdict(&junit, exit).err();
            let actual = verdict.map(|e| (ExitStatus::from_error(&e).code(), e.to_string()));
            assert_eq!(
                actual.as_ref().map(|(code, text)| (*code, text.as_str())),
                expected,
                "{cases}"
            );
        }
    }

    #[test]
    fn a_limit_of_processors_is_named_where_it_held_the_tests_back() {
        let (log, workspace) = (Log::sink(), Workspace::new("."));
        let cpus = Cpus::parse("0.5", &Scope::new(&log, &workspace)).unwrap();
        let table = [
            (0, 0, None),
            (100, 19, None),
            (
                100,
                96,
                Some(
                    "`test-cpus: 0.5` held the tests back in 96 % of the time that they ran: what has a timeout may have failed by that",
                ),
            ),
        ];
        for (periods, throttled, expected) in table {
            let throttling = Throttling { periods, throttled };
            assert_eq!(slowed(cpus, throttling).as_deref(), expected);
        }
    }

    #[test]
    fn lack_of_memory_is_named_with_its_limit() {
        let verdict = |case: &str, memory| {
            let exit = Exit {
                code: 137,
                out_of_memory: Some(OutOfMemory(memory)),
            };
            let junit = Junit::parse(&format!("<testsuite>{case}</testsuite>")).unwrap();
            verdict(&junit, exit).unwrap_err().to_string()
        };
        assert_eq!(
            verdict("<testcase name='a'/>", Some(512)),
            "the tests were killed for lack of memory (exit code 137), though none of the 1 that are reported failed: they had 512 MB, as `test-memory` says"
        );
        assert_eq!(
            verdict("<testcase name='a'><failure/></testcase>", None),
            "1 of 1 test failed: a; tests were killed for lack of memory (exit code 137), so others may not have run: they had all of the runner; let fewer of them run at a time"
        );
    }
}
