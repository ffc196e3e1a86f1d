//! The `JUnit` report of a test run.

use std::collections::HashSet;

use roxmltree::{Document, Node};

/// The most bytes of a report that are read.
pub(crate) const SIZE_LIMIT: usize = 32 * 1024 * 1024;

/// What a report says, in its order.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Junit {
    /// Every test.
    pub(crate) tests: Vec<Test>,
}

/// One test.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Test {
    /// The class or module, `tests.test_app.TestHealth`; empty if the report has none.
    pub(crate) class: String,
    /// The name.
    pub(crate) name: String,
    /// The file that the report names.
    pub(crate) file: Option<String>,
    /// The line that the report names, counted from 1.
    pub(crate) line: Option<u32>,
    /// How long it took, in seconds.
    pub(crate) seconds: f64,
    /// How it ended.
    pub(crate) outcome: Outcome,
}

/// How a test ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Well.
    Passed,
    /// Well, after it had failed at first.
    Flaky,
    /// It was not run.
    Skipped,
    /// Not well: its assertion did not hold, or it ended in an error.
    Failed {
        /// One line on why.
        message: String,
        /// The whole story, such as a traceback.
        text: String,
    },
}

/// How many tests ended how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// All of them.
    pub(crate) total: usize,
    /// Those that passed, at once or in the end.
    pub(crate) passed: usize,
    /// Those among the passed that failed at first.
    pub(crate) flaky: usize,
    /// Those that failed or ended in an error.
    pub(crate) failed: usize,
    /// Those that were not run.
    pub(crate) skipped: usize,
}

impl Test {
    /// Class and name, as a reader looks for it.
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
    fn again(&mut self, last: Self) {
        self.seconds += last.seconds;
        self.outcome = match last.outcome {
            Outcome::Passed => Outcome::Flaky,
            outcome => outcome,
        };
    }
}

impl Junit {
    /// Read a report. Both roots in use (`testsuites`, `testsuite`) and nested suites are
    /// understood; a document type, which a report has no need of, is refused by the parser.
    ///
    /// # Errors
    /// When the text is no `JUnit` report, or claims failures that it does not name.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let document = Document::parse(text).map_err(|e| format!("it is no valid XML: {e}"))?;
        let root = document.root_element();
        if !matches!(root.tag_name().name(), "testsuites" | "testsuite") {
            return Err(format!(
                "its root is `{}`, not `testsuites` or `testsuite`",
                root.tag_name().name()
            ));
        }
        for suite in root
            .descendants()
            .filter(|node| node.has_tag_name("testsuite"))
        {
            let claims = claimed(suite, "failures") + claimed(suite, "errors");
            if claims > 0
                && !suite
                    .descendants()
                    .any(|node| is_problem(node) || is_flaky(node) || is_rerun(node))
            {
                let name = suite.attribute("name").unwrap_or_default();
                return Err(format!(
                    "its suite `{name}` counts {claims} failures and names none"
                ));
            }
        }
        let mut tests: Vec<Test> = Vec::new();
        for case in root
            .descendants()
            .filter(|node| node.has_tag_name("testcase"))
        {
            let read = test(case);
            match tests.last_mut() {
                Some(earlier) if is_of_pytest(case) && earlier.is_run_of(&read) => {
                    earlier.again(read);
                }
                _ => tests.push(read),
            }
        }
        Ok(Self { tests })
    }

    /// The slowest tests of a tenth of a second or more, the slowest first, `count` at most.
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
            .filter(|test| test.outcome == Outcome::Flaky)
    }

    /// The failed tests that did not fail in `base`, by their full names: what passed there, and what is new.
    pub(crate) fn new_failures(&self, base: &Self) -> Vec<String> {
        let known: HashSet<_> = base.failed().map(|(test, ..)| test.full_name()).collect();
        let names = self.failed().map(|(test, ..)| test.full_name());
        names.filter(|name| !known.contains(name)).collect()
    }

    /// How many tests ended how.
    pub(crate) fn counts(&self) -> Counts {
        let mut counts = Counts {
            total: self.tests.len(),
            ..Counts::default()
        };
        for test in &self.tests {
            match test.outcome {
                Outcome::Passed => counts.passed += 1,
                Outcome::Flaky => {
                    counts.passed += 1;
                    counts.flaky += 1;
                }
                Outcome::Skipped => counts.skipped += 1,
                Outcome::Failed { .. } => counts.failed += 1,
            }
        }
        counts
    }

    /// The tests that failed, with message and text.
    pub(crate) fn failed(&self) -> impl Iterator<Item = (&Test, &str, &str)> {
        self.tests.iter().filter_map(|test| match &test.outcome {
            Outcome::Failed { message, text } => Some((test, message.as_str(), text.as_str())),
            _ => None,
        })
    }
}

fn claimed(suite: Node, attribute: &str) -> u64 {
    suite
        .attribute(attribute)
        .and_then(|count| count.trim().parse().ok())
        .unwrap_or(0)
}

fn is_problem(node: Node) -> bool {
    matches!(node.tag_name().name(), "failure" | "error")
}

// Runs before the last one, as Maven Surefire and its followers write them: `flaky…` when a rerun
// passed; `rerun…`, beside a `failure`, when none did.
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
    let child = |wanted: fn(Node) -> bool| case.children().find(|node| wanted(*node));
    let outcome = if let Some(problem) = child(is_problem).or_else(|| child(is_rerun)) {
        failure(problem)
    } else if child(|node| node.has_tag_name("skipped")).is_some() {
        Outcome::Skipped
    } else if child(is_flaky).is_some() {
        Outcome::Flaky
    } else {
        Outcome::Passed
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
        outcome,
    }
}

// pytest counts lines from 0 (`_pytest/junitxml.py` writes `location[1]`); the others from 1.
fn counts_from_zero(case: Node) -> bool {
    is_of_pytest(case) || case.attribute("line") == Some("0")
}

// With pytest-rerunfailures, a report of pytest has one `testcase` for each run of a test, one after the other, and
// only the last one says how it ended.
fn is_of_pytest(case: Node) -> bool {
    let suite = case.ancestors().find(|node| node.has_tag_name("testsuite"));
    suite
        .and_then(|suite| suite.attribute("name"))
        .is_some_and(|name| name.starts_with("pytest"))
}

fn failure(problem: Node) -> Outcome {
    // More than one text node stands where CDATA was split.
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
    Outcome::Failed { message, text }
}

#[cfg(test)]
mod tests;
