//! From the elements of a report to its tests.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};

use super::super::xml::{Element, Reader};
use super::{Attempts, Junit, LATER, Status, Test};

/// Bytes of a name, a class or a path that are kept.
const NAME: usize = 4096;
/// Of a test or a suite without a name.
const UNNAMED: &str = "(unnamed)";
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
    /// An element whose text belongs to the failure around it.
    Detail,
    Other,
}

struct Suite {
    name: String,
    /// Of its tests, where they have none themselves (mocha-junit-reporter).
    file: Option<String>,
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
    /// Whether there is another attempt at a test that had passed: it was run several times, and not again.
    repeats_what_passed: bool,
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
    /// What failed after `failure` in the same run, such as the teardown.
    later: String,
    is_skipped: bool,
    /// The status that says that it failed; not every producer has a `failure` then.
    failed_status: Option<String>,
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
    /// The whole message, if it has several lines: some producers write no text.
    whole_message: Option<String>,
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

    /// The report, after its end. Failures that one suite does not name do not hide those that others name.
    pub(super) fn finish(self) -> Result<Junit, String> {
        let Self {
            mut junit, problem, ..
        } = self;
        if let Some(problem) = problem {
            if junit.counts.failed == 0 {
                return Err(problem);
            }
            junit.difference.get_or_insert(problem);
        }
        Ok(junit)
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
        let file = element.attribute("file")?;
        let file = file.filter(|file| !file.trim().is_empty());
        let is_of_pytest = self.is_of_pytest || name.starts_with("pytest");
        let is_merged = is_of_pytest || self.attempts == Attempts::Any;
        Ok(Suite {
            is_of_pytest,
            name: cut(&name, NAME),
            file: file.map(|file| cut(file.trim(), NAME)),
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
        let suite = self.suite();
        let is_of_pytest = suite.as_ref().is_some_and(|suite| suite.is_of_pytest);
        let of_suite = suite.and_then(|suite| suite.file.clone());
        let (class, name, file) = (text("classname")?, text("name")?, text("file")?);
        let line: Option<u32> = text("line")?.and_then(|line| line.parse().ok());
        // Surefire separates thousands: `1,024.5`. In some languages the comma is that of the fraction.
        let time = text("time")?.map(|time| {
            let fraction = if time.contains('.') { "" } else { "." };
            time.replace(',', fraction)
        });
        let seconds: Option<f64> = time.and_then(|time| time.parse().ok());
        let status = text("status")?;
        // pytest counts lines from 0 (`_pytest/junitxml.py` writes `location[1]`); the others from 1.
        let counts_from_zero = is_of_pytest || line == Some(0);
        Ok(Case {
            identity: self.hasher.hash_one((&class, &name, &file, line)),
            test: Test {
                class: class.map(|class| cut(&class, NAME)).unwrap_or_default(),
                name: name.map_or_else(|| UNNAMED.to_owned(), |name| cut(&name, NAME)),
                file: file.map(|file| cut(&file, NAME)),
                suite_file: of_suite,
                line: line.and_then(|line| line.checked_add(u32::from(counts_from_zero))),
                seconds: seconds.filter(|s| s.is_finite()).unwrap_or(0.0),
                status: Status::Passed,
                later: String::new(),
            },
            failure: None,
            rerun: None,
            flaky: None,
            later: String::new(),
            is_skipped: status.as_deref().is_some_and(is_skipped),
            failed_status: status.filter(|status| is_failed(status)),
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
        match self.open.last_mut() {
            Some(Open::Case(case)) => case.is_skipped |= name == "skipped",
            // In the setup of a suite, or where its tests could not be loaded.
            Some(Open::Suite(_)) if matches!(of, Some(FailureKind::Last)) => {}
            // Surefire's reruns have their trace in an element, others what NUnit has.
            Some(Open::Failure(failure))
                if matches!(name, "stackTrace" | "stack-trace" | "message") =>
            {
                failure.text.forget_blank();
                failure.text.end_line();
                return Ok(Open::Detail);
            }
            _ => {
                self.note_go(element)?;
                return Ok(Open::Other);
            }
        }
        let Some(of) = of else {
            return Ok(Open::Other);
        };
        let text = |name| -> Result<Option<String>, String> {
            Ok(element.attribute(name)?.as_deref().and_then(first_line))
        };
        let whole = element.attribute("message")?;
        let whole = whole.as_deref().map(str::trim);
        Ok(Open::Failure(Box::new(Failure {
            of,
            message: text("message")?,
            whole_message: whole
                .filter(|message| message.contains('\n'))
                .map(Excerpt::of),
            kind: text("type")?,
            text: Excerpt::default(),
        })))
    }

    // gotestsum and go-junit-report name the version of Go, which gives each test of a package its own name.
    fn note_go(&mut self, element: &Element<'_>) -> Result<(), String> {
        let is_considered = self.attempts == Attempts::Go && element.name() == "property";
        if is_considered
            && element.attribute("name")?.as_deref() == Some("go.version")
            && let Some(suite) = self.suite()
        {
            suite.merged.get_or_insert_default();
        }
        Ok(())
    }

    fn end_failure(&mut self, failure: Failure) {
        match self.open.last_mut() {
            Some(Open::Case(case)) => case.fail(failure),
            Some(Open::Suite(suite)) => {
                let Text { message, text } = failure.finish("");
                let name = match suite.name.as_str() {
                    "" => UNNAMED,
                    name => name,
                };
                self.junit.add(Test {
                    class: String::new(),
                    name: name.to_owned(),
                    file: suite.file.clone(),
                    suite_file: None,
                    line: None,
                    seconds: 0.0,
                    status: Status::Failed { message, text },
                    later: String::new(),
                });
            }
            _ => {}
        }
    }

    fn end_suite(&mut self, suite: Suite) {
        let Suite {
            name,
            claims,
            named,
            merged,
            ..
        } = suite;
        let merged = merged.unwrap_or_default();
        self.junit.repeats_what_passed |= merged.repeats_what_passed;
        for test in merged.tests {
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
        let is_unnamed = case.failed_status.is_some() && case.failure.is_none();
        let test = case.finish();
        let mut suite = self.suite();
        if is_unnamed && let Some(suite) = &mut suite {
            // Its status is what the suite has counted.
            suite.named += 1;
        }
        let Some(merged) = suite.and_then(|suite| suite.merged.as_mut()) else {
            self.junit.add(test);
            return;
        };
        let count = merged.tests.len();
        let at = *merged.index.entry(identity).or_insert(count);
        match merged.tests.get_mut(at) {
            Some(first) => {
                merged.repeats_what_passed |= first.status == Status::Passed;
                first.add_attempt(test);
            }
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
        let mut open = self.open.iter_mut().rev();
        let innermost = match open.next() {
            Some(Open::Detail) => open.next(),
            innermost => innermost,
        };
        if let Some(Open::Failure(failure)) = innermost {
            failure.text.push(text);
        }
    }

    fn end(&mut self) -> Result<(), String> {
        match self.open.pop() {
            Some(Open::Suite(suite)) => self.end_suite(suite),
            Some(Open::Case(case)) => self.end_case(*case),
            Some(Open::Failure(failure)) => self.end_failure(*failure),
            Some(Open::Detail | Open::Other) | None => {}
        }
        Ok(())
    }
}

impl Case {
    // Of several failures of a run (GoogleTest, or a test and its teardown), the first one is why it failed.
    fn fail(&mut self, failure: Failure) {
        let of = failure.of;
        let first = match of {
            FailureKind::Last => &mut self.failure,
            FailureKind::Rerun => &mut self.rerun,
            FailureKind::Flaky => &mut self.flaky,
        };
        if first.is_none() {
            *first = Some(failure.finish(&self.test.name));
        } else if matches!(of, FailureKind::Last) && self.later.len() < LATER {
            let Text { message, text } = failure.finish(&self.test.name);
            let text = if text.is_empty() { message } else { text };
            self.later.push_str(&format!("\n\n{text}"));
        }
    }

    fn finish(self) -> Test {
        let failure = self.failure.or(self.rerun);
        let status = match (failure, self.flaky, self.failed_status) {
            (Some(Text { message, text }), ..) => Status::Failed { message, text },
            (None, ..) if self.is_skipped => Status::Skipped,
            (None, Some(Text { message, text }), _) => Status::Flaky { message, text },
            (None, None, Some(status)) => Status::Failed {
                message: format!(
                    "the report has no more than the status `{}`",
                    cut(&status, NAME)
                ),
                text: String::new(),
            },
            (None, None, None) => Status::Passed,
        };
        Test {
            status,
            later: self.later,
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

fn is_failed(status: &str) -> bool {
    let values = ["broken", "error", "fail", "failed", "failure"];
    values
        .iter()
        .any(|value| status.eq_ignore_ascii_case(value))
}

impl Failure {
    // That of the test `name`.
    fn finish(self, name: &str) -> Text {
        let text = self.text.finish();
        let text = match text.trim_matches('\n').trim_end() {
            "" => self.whole_message.unwrap_or_default(),
            text => text.to_owned(),
        };
        // PHPUnit begins a text with the name of the test.
        let reason = match text.split_once('\n') {
            Some((title, rest)) if is_title(title, name) && !rest.trim().is_empty() => rest,
            _ => text.as_str(),
        };
        let message = self
            .message
            .or_else(|| first_line(reason))
            .or(self.kind)
            .unwrap_or_else(|| match self.of {
                FailureKind::Flaky => String::new(),
                FailureKind::Last | FailureKind::Rerun => "no message".to_owned(),
            });
        Text { message, text }
    }
}

// `Tests\SumTest::testAdds`, or with its data after that.
fn is_title(line: &str, name: &str) -> bool {
    let after = line.split_once("::").map(|(_, after)| after);
    !name.is_empty() && after.is_some_and(|after| after.starts_with(name))
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
    fn of(text: &str) -> String {
        let mut excerpt = Self::default();
        excerpt.push(text);
        excerpt.finish()
    }

    // What is before an element is its indentation.
    fn forget_blank(&mut self) {
        if self.start.trim().is_empty() {
            self.start.clear();
        }
    }

    // What follows is on another line.
    fn end_line(&mut self) {
        let last = if self.end.is_empty() {
            &self.start
        } else {
            &self.end
        };
        if !last.is_empty() && !last.ends_with('\n') {
            self.push("\n");
        }
    }

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
