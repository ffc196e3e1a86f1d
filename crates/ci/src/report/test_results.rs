//! The parts of the summary on the tests: failed and flaky tests, coverage, the slowest tests.

use std::fmt::Write as _;

use actions_toolkit::text::{self, Table};

use super::{ROWS, cut, details, more};
use crate::outcome::Outcome;
use crate::test_run::coverage::{percent, ranges};
use crate::test_run::junit::{Status, Test};

/// Number of slowest tests.
const SLOWEST: usize = 5;
/// Bytes of a failed test's text.
const TEXT: usize = 4000;
/// Bytes of what failed after that.
const LATER: usize = 1000;
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
        let body = both_ends(body, TEXT) + &both_ends(&test.later, LATER);
        let body = text::code_block(&body);
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
        let first = match &test.status {
            Status::Flaky { message, .. } if !message.is_empty() => {
                format!("; at first: {}", text::markdown(cut(message, NAME)))
            }
            _ => String::new(),
        };
        let name = text::code(cut(&test.full_name(), NAME));
        let _ = writeln!(md, "- {name} passed only after a rerun{first}");
    }
    more(md, counts.flaky, "in the JUnit report");
    if let Some(difference) = &run.junit.difference {
        let _ = write!(
            md,
            "\nThe JUnit report is incomplete: {}.\n",
            text::markdown(difference)
        );
    }
}

// The start of a long text, and more of its end: a traceback ends with what failed.
fn both_ends(text: &str, max: usize) -> String {
    if text.len() <= max {
        return text.to_owned();
    }
    let start = text.floor_char_boundary(max / 4);
    let end = text.ceil_char_boundary(text.len() - (max - max / 4));
    // In whole lines, where there are some.
    let start = text[..start].rfind('\n').unwrap_or(start);
    let next = text[end..].find('\n').map(|at| end + at + 1);
    let end = next.filter(|next| *next < text.len()).unwrap_or(end);
    let omitted = end - start;
    format!(
        "{}\n… {omitted} bytes are left out …\n{}",
        &text[..start],
        &text[end..]
    )
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

/// The lines that the pull request adds and no test covers.
pub(super) fn changed_lines(md: &mut String, outcome: &Outcome) {
    let changed = outcome.tests.changed.iter();
    let missing: Vec<_> = changed.flat_map(|changed| &changed.missing).collect();
    let mut table = Table::new(["File", "Lines"]);
    table.extend(
        missing
            .iter()
            .take(ROWS)
            .map(|(file, lines)| [text::code(file), cut(&ranges(lines), LINES).to_owned()]),
    );
    details(md, "Changed lines that no test covers", &table);
    more(md, missing.len(), "in the coverage report");
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_long_text_is_kept() {
        assert_eq!(both_ends("short", 10), "short");
        let lines: Vec<_> = (0..2000).map(|i| format!("line {i}")).collect();
        let text = lines.join("\n") + "\nE   ValueError: the reason";
        let shown = both_ends(&text, 4000);
        assert!(shown.len() < 4100, "{}", shown.len());
        assert!(shown.starts_with("line 0\nline 1\n"), "{shown}");
        assert!(shown.ends_with("\nE   ValueError: the reason"), "{shown}");
        let (start, rest) = shown.split_once("\n… ").unwrap();
        let (omitted, end) = rest.split_once(" bytes are left out …\n").unwrap();
        let omitted: usize = omitted.parse().unwrap();
        assert_eq!(start.len() + omitted + end.len(), text.len());
        let one_line = "ü".repeat(5000);
        assert!(both_ends(&one_line, 4000).len() < 4100);
        assert!(both_ends(&format!("{one_line}\n"), 4000).ends_with("ü\n"));
    }
}
