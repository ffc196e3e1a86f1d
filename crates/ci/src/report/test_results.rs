//! The parts of the summary on the tests: failed and flaky tests, coverage, the slowest tests.

use std::fmt::Write as _;

use actions_toolkit::text::{self, Table};

use super::{ROWS, cut, details, more};
use crate::outcome::Outcome;
use crate::test_run::coverage::{percent, ranges};
use crate::test_run::junit::Test;

/// Number of slowest tests.
const SLOWEST: usize = 5;
/// Bytes of a failed test's text.
const TEXT: usize = 4000;
/// Bytes of a name.
const NAME: usize = 600;
/// Bytes of a list of lines.
const LINES: usize = 100;

/// Failed tests in full, flaky ones by name.
pub(super) fn failed_and_flaky(md: &mut String, outcome: &Outcome) {
    let Some(run) = &outcome.tests.run else {
        return;
    };
    let failed: Vec<_> = run.junit.failed().collect();
    if !failed.is_empty() {
        md.push_str("\n### Failed tests\n\n");
    }
    for (test, message, traceback) in failed.iter().take(ROWS) {
        let location = run.source_map.locate(test, traceback);
        let location = location.map(|location| match location.line {
            Some(line) => format!(" ({}:{line})", location.file),
            None => format!(" ({})", location.file),
        });
        let new_failures = run.new_failures.as_ref();
        let is_new = new_failures.is_some_and(|new| new.contains(&test.full_name()));
        let heading = format!(
            "{}{}{}",
            if is_new { "🆕 " } else { "" },
            name(test),
            text::html(&location.unwrap_or_default())
        );
        let body = if traceback.is_empty() {
            message
        } else {
            traceback
        };
        let body = text::code_block(cut(body, TEXT));
        let _ = write!(
            md,
            "<details><summary>{heading}</summary>\n\n{body}\n</details>\n"
        );
    }
    let counts = run.junit.counts();
    more(md, counts.failed, "in the JUnit report");
    let flaky: Vec<_> = run.junit.flaky().collect();
    if !flaky.is_empty() {
        md.push_str("\n### Flaky tests\n\n");
    }
    for test in flaky.iter().take(ROWS) {
        let _ = writeln!(
            md,
            "- {} passed only after a rerun",
            text::code(&test.full_name())
        );
    }
    more(md, counts.flaky, "in the JUnit report");
}

/// The files with the largest gaps in their coverage.
pub(super) fn coverage(md: &mut String, outcome: &Outcome) {
    let files = outcome.tests.coverage.iter().flat_map(|c| &c.files);
    let gaps: Vec<_> = files.filter(|file| file.covered < file.total).collect();
    if gaps.is_empty() {
        return;
    }
    let mut table = Table::new(["File", "Coverage", "Lines"]).numbers([1]);
    table.extend(gaps.iter().take(ROWS).map(|file| {
        [
            text::code(&file.path),
            format!("{} %", percent(file.covered, file.total)),
            cut(&ranges(&file.missing), LINES).to_owned(),
        ]
    }));
    details(md, "Not covered by tests", &table);
    more(md, gaps.len(), "in the coverage report");
}

/// The slowest tests.
pub(super) fn slowest(md: &mut String, outcome: &Outcome) {
    let run = outcome.tests.run.iter();
    let mut table = Table::new(["Test", "Time"]).numbers([1]);
    table.extend(run.flat_map(|run| run.junit.slowest(SLOWEST)).map(|test| {
        [
            text::code(cut(&test.full_name(), NAME)),
            format!("{:.2} s", test.seconds),
        ]
    }));
    details(md, "Slowest tests", &table);
}

fn name(test: &Test) -> String {
    text::html(&cut(&test.full_name(), NAME).replace(['\n', '\r'], " "))
}
