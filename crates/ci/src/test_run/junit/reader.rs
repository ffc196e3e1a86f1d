//! From the elements of a report to its tests.

use std::hash::{BuildHasher as _, RandomState};

use super::super::xml::{Element, Reader};
use super::{Junit, Status, Test};

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
    /// The open elements, the root first.
    open: Vec<Open>,
    /// The last test, to which a rerun may be added.
    last: Option<(u64, Test)>,
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
    names_failures: bool,
}

struct Case {
    test: Test,
    /// A hash of what two runs of one test have in common.
    identity: u64,
    is_of_pytest: bool,
    failure: Option<Status>,
    /// Of a run before the last one.
    rerun: Option<Status>,
    is_skipped: bool,
    is_flaky: bool,
}

struct Failure {
    is_rerun: bool,
    message: Option<String>,
    kind: Option<String>,
    text: Excerpt,
}

impl JunitReader {
    /// The report, after its end.
    pub(super) fn finish(mut self) -> Result<Junit, String> {
        if let Some((_, test)) = self.last {
            self.junit.add(test);
        }
        self.problem.map_or(Ok(self.junit), Err)
    }

    fn suite(&mut self) -> Option<&mut Suite> {
        self.open.iter_mut().rev().find_map(|open| match open {
            Open::Suite(suite) => Some(suite),
            _ => None,
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
            },
            is_of_pytest,
            failure: None,
            rerun: None,
            is_skipped: false,
            is_flaky: false,
        })
    }

    // An element in a suite or a test.
    fn open_other(&mut self, element: &Element<'_>) -> Result<Open, String> {
        let name = element.name();
        // Runs before the last one, in the format of Maven Surefire: `flaky…` when a rerun passed; `rerun…`, next to a
        // `failure`, when none did.
        let is_flaky = matches!(name, "flakyFailure" | "flakyError");
        let is_rerun = matches!(name, "rerunFailure" | "rerunError");
        let is_failure = is_rerun || matches!(name, "failure" | "error");
        if (is_failure || is_flaky)
            && let Some(suite) = self.suite()
        {
            suite.names_failures = true;
        }
        let Some(Open::Case(case)) = self.open.last_mut() else {
            return Ok(Open::Other);
        };
        case.is_flaky |= is_flaky;
        case.is_skipped |= name == "skipped";
        if !is_failure {
            return Ok(Open::Other);
        }
        let text = |name| -> Result<Option<String>, String> {
            Ok(element.attribute(name)?.as_deref().and_then(first_line))
        };
        Ok(Open::Failure(Box::new(Failure {
            is_rerun,
            message: text("message")?,
            kind: text("type")?,
            text: Excerpt::default(),
        })))
    }

    fn end_suite(&mut self, suite: Suite) {
        let Suite { name, claims, .. } = suite;
        if claims > 0 && !suite.names_failures {
            let problem = || format!("suite `{name}` counts {claims} failures but names none");
            self.problem.get_or_insert_with(problem);
        }
        if let Some(outer) = self.suite() {
            outer.names_failures |= suite.names_failures;
        }
    }

    // With pytest-rerunfailures, a report of pytest has one `testcase` for each run of a test, one after the other, and
    // only the last one counts.
    fn end_case(&mut self, case: Case) {
        let (identity, is_of_pytest) = (case.identity, case.is_of_pytest);
        let test = case.finish();
        match &mut self.last {
            Some((earlier, last)) if is_of_pytest && *earlier == identity => last.add_rerun(test),
            _ => {
                if let Some((_, last)) = self.last.replace((identity, test)) {
                    self.junit.add(last);
                }
            }
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
        let open = match name {
            "testsuite" => Open::Suite(Suite::new(element)?),
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
                    let first = if failure.is_rerun {
                        &mut case.rerun
                    } else {
                        &mut case.failure
                    };
                    first.get_or_insert_with(|| failure.finish());
                }
            }
            Some(Open::Other) | None => {}
        }
        Ok(())
    }
}

impl Suite {
    fn new(element: &Element<'_>) -> Result<Self, String> {
        let count = |name| -> Result<u64, String> {
            let count = element.attribute(name)?;
            Ok(count
                .and_then(|count| count.trim().parse().ok())
                .unwrap_or(0))
        };
        let name = element.attribute("name")?.unwrap_or_default();
        Ok(Self {
            is_of_pytest: name.starts_with("pytest"),
            name: cut(&name, NAME),
            claims: count("failures")?.saturating_add(count("errors")?),
            names_failures: false,
        })
    }
}

impl Case {
    fn finish(self) -> Test {
        let status = match self.failure.or(self.rerun) {
            Some(failed) => failed,
            None if self.is_skipped => Status::Skipped,
            None if self.is_flaky => Status::Flaky,
            None => Status::Passed,
        };
        Test {
            status,
            ..self.test
        }
    }
}

impl Failure {
    fn finish(self) -> Status {
        let text = self.text.finish();
        let text = text.trim_matches('\n').trim_end().to_owned();
        let message = self
            .message
            .or_else(|| first_line(&text))
            .or(self.kind)
            .unwrap_or_else(|| "no message".to_owned());
        Status::Failed { message, text }
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
