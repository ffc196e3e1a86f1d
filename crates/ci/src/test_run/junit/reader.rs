//! From the elements of a report to its tests.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};

use super::super::xml::{Element, Reader};
use super::{Attempts, Junit, Status, Test};

/// Bytes of a name, a class or a path that are kept.
const NAME: usize = 4096;
/// Bytes of a failure's message that are kept.
const MESSAGE: usize = 4096;
/// Bytes that are kept of the start of a failure's text, and as many of its end.
const EXCERPT: usize = 32 * 1024;

/// Reads a report.
#[derive(Default)]
pub(super) struct JunitReader {
    junit: Junit,
    attempts: Attempts,
    /// The open elements, the root first.
    open: Vec<Open>,
    /// Whether the root says so; a suite of pytest may have any name (`junit_suite_name`).
    is_of_pytest: bool,
    hasher: RandomState,
    /// Of the first suite that does not name its failures.
    problem: Option<String>,
}

enum Open {
    Suite(Suite),
    Case(Box<Case>),
    Failure(Box<Failure>),
    Other,
}

struct Suite {
    name: String,
    is_of_pytest: bool,
    /// Failures and errors, as it counts them.
    claims: u64,
    /// Failures and errors that are in it.
    named: u64,
    merged: Option<Merged>,
}

/// The tests of a suite whose test cases may be attempts at one test.
#[derive(Default)]
struct Merged {
    /// In the order of their first attempts.
    tests: Vec<Test>,
    /// The index of each by its identity. With several workers (pytest-xdist), other tests are between two attempts.
    index: HashMap<u64, usize>,
}

struct Case {
    test: Test,
    /// A hash of what two runs of one test have in common.
    identity: u64,
    /// The first one.
    failure: Option<Text>,
    /// The first one of a run before the last one.
    rerun: Option<Text>,
    /// The first one of a run before one that passed.
    flaky: Option<Text>,
    is_skipped: bool,
}

/// Message and text of a failure.
#[derive(Default)]
struct Text {
    message: String,
    text: String,
}

#[derive(Clone, Copy)]
enum FailureKind {
    Last,
    Rerun,
    Flaky,
}

struct Failure {
    of: FailureKind,
    message: Option<String>,
    kind: Option<String>,
    text: Excerpt,
}

impl JunitReader {
    pub(super) fn new(attempts: Attempts) -> Self {
        Self {
            attempts,
            ..Self::default()
        }
    }

    /// The report, after its end.
    pub(super) fn finish(self) -> Result<Junit, String> {
        self.problem.map_or(Ok(self.junit), Err)
    }

    fn suite(&mut self) -> Option<&mut Suite> {
        self.open.iter_mut().rev().find_map(|open| match open {
            Open::Suite(suite) => Some(suite),
            _ => None,
        })
    }

    fn open_suite(&self, element: &Element<'_>) -> Result<Suite, String> {
        let count = |name| -> Result<u64, String> {
            let count = element.attribute(name)?;
            Ok(count
                .and_then(|count| count.trim().parse().ok())
                .unwrap_or(0))
        };
        let name = element.attribute("name")?.unwrap_or_default();
        let is_of_pytest = self.is_of_pytest || name.starts_with("pytest");
        let is_merged = is_of_pytest || self.attempts == Attempts::OfAny;
        Ok(Suite {
            is_of_pytest,
            name: cut(&name, NAME),
            claims: count("failures")?.saturating_add(count("errors")?),
            named: 0,
            merged: is_merged.then(Merged::default),
        })
    }

    fn open_case(&mut self, element: &Element<'_>) -> Result<Case, String> {
        let text = |name| -> Result<Option<String>, String> {
            let value = element.attribute(name)?;
            let value = value.as_deref().map(str::trim);
            Ok(value.filter(|value| !value.is_empty()).map(str::to_owned))
        };
        let is_of_pytest = self.suite().is_some_and(|suite| suite.is_of_pytest);
        let (class, name, file) = (text("classname")?, text("name")?, text("file")?);
        let line: Option<u32> = text("line")?.and_then(|line| line.parse().ok());
        let seconds: Option<f64> = text("time")?.and_then(|time| time.parse().ok());
        // pytest counts lines from 0 (`_pytest/junitxml.py` writes `location[1]`); the others from 1.
        let counts_from_zero = is_of_pytest || line == Some(0);
        Ok(Case {
            identity: self.hasher.hash_one((&class, &name, &file, line)),
            test: Test {
                class: class.map(|class| cut(&class, NAME)).unwrap_or_default(),
                name: name.map_or_else(|| "(unnamed)".to_owned(), |name| cut(&name, NAME)),
                file: file.map(|file| cut(&file, NAME)),
                line: line.and_then(|line| line.checked_add(u32::from(counts_from_zero))),
                seconds: seconds.filter(|s| s.is_finite()).unwrap_or(0.0),
                status: Status::Passed,
                later: String::new(),
            },
            failure: None,
            rerun: None,
            flaky: None,
            is_skipped: text("status")?.is_some_and(|status| is_skipped(&status)),
        })
    }

    // An element in a suite or a test.
    fn open_other(&mut self, element: &Element<'_>) -> Result<Open, String> {
        let name = element.name();
        // Runs before the last one, in the format of Maven Surefire: `flaky…` when a rerun passed; `rerun…`, next to a
        // `failure`, when none did.
        let of = match name {
            "failure" | "error" => Some(FailureKind::Last),
            "rerunFailure" | "rerunError" => Some(FailureKind::Rerun),
            "flakyFailure" | "flakyError" => Some(FailureKind::Flaky),
            _ => None,
        };
        if of.is_some()
            && let Some(suite) = self.suite()
        {
            suite.named += 1;
        }
        let Some(Open::Case(case)) = self.open.last_mut() else {
            return Ok(Open::Other);
        };
        case.is_skipped |= name == "skipped";
        let Some(of) = of else {
            return Ok(Open::Other);
        };
        let text = |name| -> Result<Option<String>, String> {
            Ok(element.attribute(name)?.as_deref().and_then(first_line))
        };
        Ok(Open::Failure(Box::new(Failure {
            of,
            message: text("message")?,
            kind: text("type")?,
            text: Excerpt::default(),
        })))
    }

    fn end_suite(&mut self, suite: Suite) {
        let Suite {
            name,
            claims,
            named,
            merged,
            ..
        } = suite;
        for test in merged.into_iter().flat_map(|merged| merged.tests) {
            self.junit.add(test);
        }
        if claims > 0 && named == 0 {
            let problem = || format!("suite `{name}` counts {claims} failures but names none");
            self.problem.get_or_insert_with(problem);
        } else if claims > named {
            let note = || format!("suite `{name}` counts {claims} failures and names {named}");
            self.junit.difference.get_or_insert_with(note);
        }
        if let Some(outer) = self.suite() {
            outer.named += named;
        }
    }

    // With pytest-rerunfailures, a report of pytest has a `testcase` for each run of a test; without a plugin it has a
    // second one for a test that fails and whose teardown fails, too.
    fn end_case(&mut self, case: Case) {
        let identity = case.identity;
        let test = case.finish();
        let suite = self.suite();
        let Some(merged) = suite.and_then(|suite| suite.merged.as_mut()) else {
            self.junit.add(test);
            return;
        };
        let count = merged.tests.len();
        let at = *merged.index.entry(identity).or_insert(count);
        match merged.tests.get_mut(at) {
            Some(first) => first.add_attempt(test),
            None => merged.tests.push(test),
        }
    }
}

impl Reader for JunitReader {
    fn start(&mut self, element: &Element<'_>) -> Result<(), String> {
        let name = element.name();
        if self.open.is_empty() && !matches!(name, "testsuites" | "testsuite") {
            return Err(format!(
                "the root element is `{}`, not `testsuites` or `testsuite`",
                cut(name, NAME)
            ));
        }
        if self.open.is_empty() {
            let name = element.attribute("name")?;
            self.is_of_pytest = name.is_some_and(|name| name == "pytest tests");
        }
        let open = match name {
            "testsuite" => Open::Suite(self.open_suite(element)?),
            "testcase" => Open::Case(Box::new(self.open_case(element)?)),
            _ => self.open_other(element)?,
        };
        self.open.push(open);
        Ok(())
    }

    fn text(&mut self, text: &str) {
        if let Some(Open::Failure(failure)) = self.open.last_mut() {
            failure.text.push(text);
        }
    }

    fn end(&mut self) -> Result<(), String> {
        match self.open.pop() {
            Some(Open::Suite(suite)) => self.end_suite(suite),
            Some(Open::Case(case)) => self.end_case(*case),
            Some(Open::Failure(failure)) => {
                if let Some(Open::Case(case)) = self.open.last_mut() {
                    let first = match failure.of {
                        FailureKind::Last => &mut case.failure,
                        FailureKind::Rerun => &mut case.rerun,
                        FailureKind::Flaky => &mut case.flaky,
                    };
                    first.get_or_insert_with(|| failure.finish());
                }
            }
            Some(Open::Other) | None => {}
        }
        Ok(())
    }
}

impl Case {
    fn finish(self) -> Test {
        let status = match (self.failure.or(self.rerun), self.flaky) {
            (Some(Text { message, text }), _) => Status::Failed { message, text },
            (None, _) if self.is_skipped => Status::Skipped,
            (None, Some(Text { message, text })) => Status::Flaky { message, text },
            (None, None) => Status::Passed,
        };
        Test {
            status,
            ..self.test
        }
    }
}

// As GoogleTest, MSTest's converters and others write it.
fn is_skipped(status: &str) -> bool {
    let values = ["disabled", "ignored", "notrun", "skipped"];
    values
        .iter()
        .any(|value| status.eq_ignore_ascii_case(value))
}

impl Failure {
    fn finish(self) -> Text {
        let text = self.text.finish();
        let text = text.trim_matches('\n').trim_end().to_owned();
        let message = self
            .message
            .or_else(|| first_line(&text))
            .or(self.kind)
            .unwrap_or_else(|| match self.of {
                FailureKind::Flaky => String::new(),
                FailureKind::Last | FailureKind::Rerun => "no message".to_owned(),
            });
        Text { message, text }
    }
}

fn first_line(text: &str) -> Option<String> {
    let mut lines = text.lines().map(str::trim);
    let line = lines.find(|line| !line.is_empty())?;
    Some(cut(line, MESSAGE))
}

fn cut(text: &str, max: usize) -> String {
    if text.len() <= max {
        return text.to_owned();
    }
    format!("{}…", &text[..text.floor_char_boundary(max)])
}

/// The start and the end of a text: a traceback ends with what failed.
#[derive(Default)]
struct Excerpt {
    start: String,
    end: String,
    omitted: usize,
}

impl Excerpt {
    fn push(&mut self, text: &str) {
        let room = match self.end.as_str() {
            "" => EXCERPT.saturating_sub(self.start.len()),
            _ => 0,
        };
        let (start, end) = text.split_at(text.floor_char_boundary(room));
        self.start.push_str(start);
        self.end.push_str(end);
        // Not for every part: each byte is moved a constant number of times.
        if self.end.len() > 2 * EXCERPT {
            self.shorten();
        }
    }

    fn shorten(&mut self) {
        let cut = self.end.len().saturating_sub(EXCERPT);
        let cut = self.end.ceil_char_boundary(cut);
        self.end.drain(..cut);
        self.omitted += cut;
    }

    fn finish(mut self) -> String {
        self.shorten();
        if self.omitted > 0 {
            self.start
                .push_str(&format!("\n… {} bytes are left out …\n", self.omitted));
        }
        self.start + &self.end
    }
}
