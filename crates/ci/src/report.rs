//! What the run reports: outputs, annotations, the job summary and the comment.

mod annotations;
mod findings;
mod image;
mod outputs;
mod overview;
mod test_results;

use std::fmt::Write as _;
use std::time::Duration;

use actions_toolkit::Context;
use actions_toolkit::text::{self, Table};

use crate::outcome::{LogTail, Outcome};
use crate::request::{Push, Request};

/// Maximum number of rows of a table, and of failed tests in full.
const ROWS: usize = 20;

/// Set the outputs, annotate, and write the summary. `verdict` is the error of the step, if there is one; `others` are
/// the errors that do not decide.
pub(crate) fn write(
    ctx: &Context,
    request: &Request,
    outcome: &Outcome,
    verdict: Option<&anyhow::Error>,
    others: &[String],
) {
    for (name, value) in outputs::outputs(request, outcome) {
        ctx.output(name, value);
    }
    let errors = others.len() + usize::from(verdict.is_some());
    annotations::write(ctx, request, outcome, errors);
    for tail in log_tails(outcome) {
        let _group = ctx.log().group(&tail.title);
        let lines = ctx.log().stop_commands();
        for line in &tail.lines {
            lines.raw(line);
        }
    }
    for other in others {
        ctx.log().error(other);
    }
    ctx.summary(summary(request, outcome, others));
}

/// The last line of the log of a successful run.
pub(crate) fn last_line(request: &Request) -> String {
    let tested = request.tests.as_ref().map(|_| ", tested");
    let healthy = request.smoke.as_ref().map(|_| ", healthy");
    let [tested, healthy] = [tested, healthy].map(Option::unwrap_or_default);
    let pushed = matches!(request.push, Push::Yes).then_some(", pushed");
    let pushed = pushed.unwrap_or_default();
    format!(
        "`{}` is built{tested}{healthy}{pushed}",
        request.build.image
    )
}

/// The job summary.
fn summary(request: &Request, outcome: &Outcome, others: &[String]) -> String {
    let mut md = overview::overview(request, outcome);
    for other in others {
        let _ = write!(md, "\n- {}\n", text::markdown(other));
    }
    test_results::failed_and_flaky(&mut md, outcome);
    findings::linters(&mut md, outcome);
    findings::unusable(&mut md, outcome);
    findings::settings(&mut md, outcome);
    findings::vulnerable_packages(&mut md, outcome);
    for tail in log_tails(outcome) {
        let _ = write!(md, "\n### {}\n\n", text::markdown(&tail.title));
        md.push_str(&text::code_block(&tail.lines.join("\n")));
    }
    test_results::changed_lines(&mut md, outcome);
    test_results::coverage(&mut md, outcome);
    test_results::slowest(&mut md, outcome);
    findings::licenses(&mut md, outcome);
    image::layers(&mut md, outcome);
    image::builds(&mut md, outcome);
    md
}

/// The comment on the pull request: the overview, and what failed.
pub(crate) fn comment(
    request: &Request,
    outcome: &Outcome,
    passed: bool,
    run: Option<&str>,
) -> String {
    let mut md = overview::overview(request, outcome);
    test_results::failed_and_flaky(&mut md, outcome);
    test_results::changed_lines(&mut md, outcome);
    findings::linters(&mut md, outcome);
    findings::vulnerable_packages(&mut md, outcome);
    let verdict = if passed { "passed" } else { "did not pass" };
    if let Some(run) = run {
        let _ = write!(md, "\nThe step {verdict}; see the [full report]({run}).\n");
    }
    md
}

fn log_tails(outcome: &Outcome) -> impl Iterator<Item = &LogTail> {
    let both = [&outcome.tests.build, &outcome.image.build];
    let tails = both.into_iter().filter_map(|build| build.log_tail.as_ref());
    let mut tails: Vec<&LogTail> = tails.filter(|tail| !tail.lines.is_empty()).collect();
    // Both builds may have failed at the same step.
    tails.dedup();
    tails.into_iter()
}

// A table that a reader opens; nothing without rows.
fn details<const N: usize>(md: &mut String, title: &str, table: &Table<N>) {
    if !table.is_empty() {
        details_always(md, title, table);
    }
}

fn details_always<const N: usize>(md: &mut String, title: &str, table: &Table<N>) {
    let _ = write!(
        md,
        "\n<details><summary>{title}</summary>\n\n{table}\n</details>\n"
    );
}

// The number of rows that are left out of a table of `count` rows.
fn more(md: &mut String, count: usize, place: &str) {
    if count > ROWS {
        let _ = write!(md, "\n{} more are {place}.\n", count - ROWS);
    }
}

fn cut(text: &str, max: usize) -> &str {
    text::cut(text, max.min(text.len()))
}

fn time(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

// Decimal units, as `docker images` shows them.
fn size(bytes: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "one decimal is shown")]
    let megabytes = bytes as f64 / 1e6;
    format!("{megabytes:.1} MB")
}

#[cfg(test)]
pub(crate) mod tests;
