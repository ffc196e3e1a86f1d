//! The `JUnit` report of a test run.

use std::collections::HashSet;

use roxmltree::{Document, Node};

/// Maximum size of a report in bytes.
pub(crate) const SIZE_LIMIT: usize = 32 * 1024 * 1024;

/// A report.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Junit {
    /// In the order of the report.
    pub(crate) tests: Vec<Test>,
}

/// A test, with the result of its last run.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Test {
    /// The class or module, `tests.test_app.TestHealth`; empty if the report has none.
    pub(crate) class: String,
    pub(crate) name: String,
    /// As the report has it: a path in the container.
    pub(crate) file: Option<String>,
    /// Counted from 1.
    pub(crate) line: Option<u32>,
    /// Of all its runs.
    pub(crate) seconds: f64,
    pub(crate) status: Status,
}

/// The result of a test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Status {
    Passed,
    /// Passed only after a rerun.
    Flaky,
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

    fn is_run_of(&self, other: &Self) -> bool {
        let identity = |test: &Self| {
            (
                test.class.clone(),
                test.name.clone(),
                test.file.clone(),
                test.line,
            )
        };
        identity(self) == identity(other)
    }

    // The last run counts; one that passes after others is flaky.
    fn add_rerun(&mut self, last: Self) {
        self.seconds += last.seconds;
        self.status = match last.status {
            Status::Passed => Status::Flaky,
            status => status,
        };
    }
}

impl Junit {
    /// Parse a report with either root element in use (`testsuites`, `testsuite`), nested suites included. A document
    /// type, which a report does not need, is rejected by the parser.
    ///
    /// # Errors
    /// When the text is not a `JUnit` report, or counts failures that it does not name.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let document = Document::parse(text).map_err(|e| format!("not valid XML: {e}"))?;
        let root = document.root_element();
        if !matches!(root.tag_name().name(), "testsuites" | "testsuite") {
            return Err(format!(
                "the root element is `{}`, not `testsuites` or `testsuite`",
                root.tag_name().name()
            ));
        }
        for suite in root
            .descendants()
            .filter(|node| node.has_tag_name("testsuite"))
        {
            let claims = count(suite, "failures") + count(suite, "errors");
            if claims > 0
                && !suite
                    .descendants()
                    .any(|node| is_problem(node) || is_flaky(node) || is_rerun(node))
            {
                let name = suite.attribute("name").unwrap_or_default();
                return Err(format!(
                    "suite `{name}` counts {claims} failures but names none"
                ));
            }
        }
        let mut tests: Vec<Test> = Vec::new();
        for case in root
            .descendants()
            .filter(|node| node.has_tag_name("testcase"))
        {
            let run = test(case);
            match tests.last_mut() {
                Some(earlier) if is_of_pytest(case) && earlier.is_run_of(&run) => {
                    earlier.add_rerun(run);
                }
                _ => tests.push(run),
            }
        }
        Ok(Self { tests })
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
            .filter(|test| test.status == Status::Flaky)
    }

    /// The full names of the failed tests that did not fail in `base`, because they passed or did not exist.
    pub(crate) fn new_failures(&self, base: &Self) -> Vec<String> {
        let known: HashSet<_> = base.failed().map(|(test, ..)| test.full_name()).collect();
        let names = self.failed().map(|(test, ..)| test.full_name());
        names.filter(|name| !known.contains(name)).collect()
    }

    /// The number of tests by status.
    pub(crate) fn counts(&self) -> Counts {
        let mut counts = Counts {
            total: self.tests.len(),
            ..Counts::default()
        };
        for test in &self.tests {
            match test.status {
                Status::Passed => counts.passed += 1,
                Status::Flaky => {
                    counts.passed += 1;
                    counts.flaky += 1;
                }
                Status::Skipped => counts.skipped += 1,
                Status::Failed { .. } => counts.failed += 1,
            }
        }
        counts
    }

    /// The tests that failed, with message and text.
    pub(crate) fn failed(&self) -> impl Iterator<Item = (&Test, &str, &str)> {
        self.tests.iter().filter_map(|test| match &test.status {
            Status::Failed { message, text } => Some((test, message.as_str(), text.as_str())),
            _ => None,
        })
    }
}

fn count(suite: Node, attribute: &str) -> u64 {
    suite
        .attribute(attribute)
        .and_then(|count| count.trim().parse().ok())
        .unwrap_or(0)
}

fn is_problem(node: Node) -> bool {
    matches!(node.tag_name().name(), "failure" | "error")
}

// Runs before the last one, in the format of Maven Surefire: `flaky…` when a rerun passed; `rerun…`, next to a
// `failure`, when none did.
fn is_flaky(node: Node) -> bool {
    matches!(node.tag_name().name(), "flakyFailure" | "flakyError")
}

fn is_rerun(node: Node) -> bool {
    matches!(node.tag_name().name(), "rerunFailure" | "rerunError")
}

fn test(case: Node) -> Test {
    let text = |name| {
        case.attribute(name)
            .map(str::trim)
            .filter(|value| !value.is_empty())
    };
    let child = |matches: fn(Node) -> bool| case.children().find(|node| matches(*node));
    let status = if let Some(problem) = child(is_problem).or_else(|| child(is_rerun)) {
        failure(problem)
    } else if child(|node| node.has_tag_name("skipped")).is_some() {
        Status::Skipped
    } else if child(is_flaky).is_some() {
        Status::Flaky
    } else {
        Status::Passed
    };
    let line: Option<u32> = text("line").and_then(|line| line.parse().ok());
    Test {
        class: text("classname").unwrap_or_default().to_owned(),
        name: text("name").unwrap_or("(unnamed)").to_owned(),
        file: text("file").map(ToOwned::to_owned),
        line: line.and_then(|line| {
            if counts_from_zero(case) {
                line.checked_add(1)
            } else {
                Some(line)
            }
        }),
        seconds: text("time")
            .and_then(|time| time.parse().ok())
            .filter(|s: &f64| s.is_finite())
            .unwrap_or(0.0),
        status,
    }
}

// pytest counts lines from 0 (`_pytest/junitxml.py` writes `location[1]`); the others from 1.
fn counts_from_zero(case: Node) -> bool {
    is_of_pytest(case) || case.attribute("line") == Some("0")
}

// With pytest-rerunfailures, a report of pytest has one `testcase` for each run of a test, one after the other, and
// only the last one counts.
fn is_of_pytest(case: Node) -> bool {
    let suite = case.ancestors().find(|node| node.has_tag_name("testsuite"));
    suite
        .and_then(|suite| suite.attribute("name"))
        .is_some_and(|name| name.starts_with("pytest"))
}

fn failure(problem: Node) -> Status {
    // There is more than one text node where CDATA was split.
    let text: String = problem.children().filter_map(|node| node.text()).collect();
    let text = text.trim_matches('\n').trim_end().to_owned();
    let first = |text: &str| {
        text.lines()
            .map(str::trim)
            .find(|line| !line.is_empty())
            .map(str::to_owned)
    };
    let message = problem
        .attribute("message")
        .and_then(first)
        .or_else(|| first(&text))
        .or_else(|| problem.attribute("type").map(str::to_owned))
        .unwrap_or_else(|| "no message".to_owned());
    Status::Failed { message, text }
}

#[cfg(test)]
mod tests;
