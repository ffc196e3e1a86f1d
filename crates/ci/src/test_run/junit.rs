//! The `JUnit` report of a test run.

mod reader;

use std::collections::HashSet;

use super::xml;
use reader::JunitReader;

/// Maximum size of a report in bytes.
pub(crate) const SIZE_LIMIT: usize = 32 * 1024 * 1024;
/// Failed tests that are kept, flaky tests, and others; all of them are counted.
const KEPT: usize = 10_000;
/// Bytes of later failures of one test after which no other is added.
const LATER: usize = 32 * 1024;

/// A report.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Junit {
    /// In the order of the report. Of more than 10,000 failed or flaky tests the first ones, of more than 10,000 others the
    /// slowest.
    pub(crate) tests: Vec<Test>,
    counts: Counts,
    /// The full names of all failed tests.
    failed_names: Vec<String>,
    /// Where the report counts more failures than it names.
    pub(crate) difference: Option<String>,
    /// Whether it has another attempt at a test that had passed, as `go test -count=2` has.
    repeats_what_passed: bool,
}

/// Which test cases with the same class, name, file and line are attempts at one test.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Attempts {
    /// Those of pytest: other producers give one name to several tests, such as those with parameters.
    #[default]
    Pytest,
    /// Those of pytest, and of producers for Go.
    Go,
    /// Those of every producer.
    Any,
}

/// A test, with the result of its last run.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Test {
    /// The class or module, `tests.test_app.TestHealth`; empty if the report has none.
    pub(crate) class: String,
    pub(crate) name: String,
    /// As the report has it: a path in the container.
    pub(crate) file: Option<String>,
    /// The file of its suite, as the report has it: a test of it may be in another one.
    pub(crate) suite_file: Option<String>,
    /// Counted from 1.
    pub(crate) line: Option<u32>,
    /// Of all its runs.
    pub(crate) seconds: f64,
    pub(crate) status: Status,
    /// What failed after the first failure, such as the teardown, if that is something else.
    pub(crate) later: String,
}

/// The result of a test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Status {
    Passed,
    /// Passed only after a rerun.
    Flaky {
        /// Of the first run that failed; empty if the report does not have it.
        message: String,
        text: String,
    },
    Skipped,
    /// An assertion failed, or an error occurred.
    Failed {
        /// One line.
        message: String,
        /// The full report, such as a traceback.
        text: String,
    },
}

/// The number of tests by status.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) total: usize,
    /// With the flaky ones.
    pub(crate) passed: usize,
    pub(crate) flaky: usize,
    pub(crate) failed: usize,
    pub(crate) skipped: usize,
}

impl Test {
    /// `class::name`.
    pub(crate) fn full_name(&self) -> String {
        if self.class.is_empty() {
            self.name.clone()
        } else {
            format!("{}::{}", self.class, self.name)
        }
    }

    fn is_unremarkable(&self) -> bool {
        matches!(self.status, Status::Passed | Status::Skipped)
    }

    // The last attempt decides, and the first failure is what is reported.
    fn add_attempt(&mut self, last: Self) {
        self.seconds += last.seconds;
        let before = std::mem::replace(&mut self.status, Status::Passed);
        self.status = match (before, last.status) {
            (
                Status::Failed { message, text } | Status::Flaky { message, text },
                Status::Failed {
                    message: last,
                    text: last_text,
                },
            ) if !message.is_empty() => {
                if last != message && self.later.len() < LATER {
                    let text = if last_text.is_empty() {
                        &last
                    } else {
                        &last_text
                    };
                    self.later.push_str(&format!("\n\n{text}"));
                }
                Status::Failed { message, text }
            }
            (
                Status::Failed { message, text } | Status::Flaky { message, text },
                Status::Passed | Status::Flaky { .. },
            ) => Status::Flaky { message, text },
            // pytest-rerunfailures reports an attempt that failed without its failure.
            (Status::Passed, Status::Passed) => Status::Flaky {
                message: String::new(),
                text: String::new(),
            },
            (_, last) => last,
        };
        if self.later.len() < LATER {
            self.later.push_str(&last.later);
        }
    }
}

impl Junit {
    /// Parse a report with either root element in use (`testsuites`, `testsuite`), nested suites included. A document
    /// type, which a report does not need, is rejected by the parser.
    ///
    /// # Errors
    /// When the text is not a `JUnit` report, or counts failures that it does not name.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        Self::parse_with(text, Attempts::Pytest)
    }

    /// [`parse`](Self::parse) the report of a command that exited with `code`. A test that failed and later passed,
    /// and a command that takes that for a success (`gotestsum --rerun-fails`), is flaky. If the command failed because of
    /// other tests, that is so for Go only.
    ///
    /// # Errors
    /// As for [`parse`](Self::parse).
    pub(crate) fn of_run(text: &str, code: i64) -> Result<Self, String> {
        let junit = Self::parse(text)?;
        if junit.counts.failed == 0 {
            return Ok(junit);
        }
        let attempts = match code {
            0 => Attempts::Any,
            _ => Attempts::Go,
        };
        let merged = Self::parse_with(text, attempts)?;
        // A command fails because of a test that has failed in its last attempt.
        let is_rerun = code == 0 || !merged.repeats_what_passed;
        let is_consistent = is_rerun && (merged.counts.failed == 0) == (code == 0);
        Ok(if is_consistent { merged } else { junit })
    }

    fn parse_with(text: &str, attempts: Attempts) -> Result<Self, String> {
        let mut reader = JunitReader::new(attempts);
        xml::read(text, false, &mut reader)?;
        reader.finish()
    }

    /// Add the tests of another report of the same run.
    pub(crate) fn append(&mut self, other: Self) {
        let Counts {
            total,
            passed,
            flaky,
            failed,
            skipped,
        } = other.counts;
        let counts = &mut self.counts;
        counts.total += total;
        counts.passed += passed;
        counts.flaky += flaky;
        counts.failed += failed;
        counts.skipped += skipped;
        self.failed_names.extend(other.failed_names);
        self.difference = self.difference.take().or(other.difference);
        let (mut failed, mut flaky) = (self.failed().count(), self.flaky().count());
        for test in other.tests {
            let of_kind = match test.status {
                Status::Failed { .. } => Some(&mut failed),
                Status::Flaky { .. } => Some(&mut flaky),
                Status::Passed | Status::Skipped => None,
            };
            match of_kind {
                None => {
                    self.tests.push(test);
                    self.keep_slowest();
                }
                Some(count) => {
                    *count += 1;
                    if *count <= KEPT {
                        self.tests.push(test);
                    }
                }
            }
        }
    }

    // Count `test`, and keep it if there is room.
    fn add(&mut self, test: Test) {
        let counts = &mut self.counts;
        counts.total += 1;
        let of_kind = match test.status {
            Status::Failed { .. } => {
                self.failed_names.push(test.full_name());
                &mut counts.failed
            }
            Status::Flaky { .. } => {
                counts.passed += 1;
                &mut counts.flaky
            }
            Status::Skipped => &mut counts.skipped,
            Status::Passed => &mut counts.passed,
        };
        *of_kind += 1;
        let of_kind = *of_kind;
        if test.is_unremarkable() {
            self.tests.push(test);
            self.keep_slowest();
        } else if of_kind <= KEPT {
            self.tests.push(test);
        }
    }

    // Once there are twice as many as are kept, so that each test is looked at a constant number of times.
    fn keep_slowest(&mut self) {
        // Failed and flaky tests are at most half of them.
        if self.tests.len() < 4 * KEPT {
            return;
        }
        let others = self.tests.iter().filter(|test| test.is_unremarkable());
        let mut times: Vec<_> = others.map(|test| test.seconds).collect();
        let (slower, least, _) = times.select_nth_unstable_by(KEPT, |a, b| b.total_cmp(a));
        let least = *least;
        let mut equal = KEPT - slower.iter().filter(|time| **time > least).count();
        self.tests.retain(|test| {
            let is_equal = test.seconds.total_cmp(&least).is_eq();
            let is_kept = !test.is_unremarkable() || test.seconds > least || is_equal && equal > 0;
            if is_kept && is_equal && test.is_unremarkable() {
                equal -= 1;
            }
            is_kept
        });
    }

    /// The slowest tests that took 0.1 s or more, the slowest first, at most `count`.
    pub(crate) fn slowest(&self, count: usize) -> Vec<&Test> {
        let mut tests: Vec<_> = self
            .tests
            .iter()
            .filter(|test| test.seconds >= 0.1)
            .collect();
        tests.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
        tests.truncate(count);
        tests
    }

    /// The tests that passed only after a rerun.
    pub(crate) fn flaky(&self) -> impl Iterator<Item = &Test> {
        self.tests
            .iter()
            .filter(|test| matches!(test.status, Status::Flaky { .. }))
    }

    /// The full names of the failed tests that did not fail in `base`, because they passed or did not exist.
    pub(crate) fn new_failures(&self, base: &Self) -> Vec<String> {
        let known: HashSet<_> = base.failed_names.iter().collect();
        let names = self.failed_names.iter();
        names
            .filter(|name| !known.contains(name))
            .cloned()
            .collect()
    }

    /// The number of tests by status.
    pub(crate) fn counts(&self) -> Counts {
        self.counts
    }

    /// The tests that failed, with message and text.
    pub(crate) fn failed(&self) -> impl Iterator<Item = (&Test, &str, &str)> {
        self.tests.iter().filter_map(|test| match &test.status {
            Status::Failed { message, text } => Some((test, message.as_str(), text.as_str())),
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests;
