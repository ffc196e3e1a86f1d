//! Files, outputs, log and summary.

mod end_of_life;
mod image;
mod index;
mod markdown;
mod outcomes;
mod results_file;

use actions_toolkit::text::plural;
use actions_toolkit::{Done, ExitStatus, PolicyFailure};
use anyhow::anyhow;
use oci::ImageRef;

use crate::session::Session;
use crate::verify::Counts;

pub(crate) use image::{patched, still_current, up_to_date, warn_of_end_of_life};
pub(crate) use index::{IndexReport, PlatformReport};
pub(crate) use markdown::skipped;
pub(crate) use outcomes::{Failure, Outcomes, Skipped, Subject};
pub(crate) use results_file::{entry, without_report};

/// Rows of a table in the summary; the report file has the rest.
const ROWS: usize = 40;

/// The outcome of one image.
pub(crate) struct ImageReport {
    pub(crate) result: &'static str,
    /// The image that was to be patched.
    pub(crate) original: ImageRef,
    /// The image for the next steps: the patched one, or the original if there is nothing to fix.
    pub(crate) image: ImageRef,
    digest: String,
    patched_tag: String,
    incremental: String,
    fixed: usize,
    /// The findings of the original, if a report of it is available.
    before: Option<Counts>,
    /// The findings of `image`.
    pub(crate) after: Counts,
    /// Each remaining finding: id, package and reason.
    pub(crate) remaining: Vec<[String; 3]>,
    pub(crate) vex: String,
    report: String,
    /// What became of each image of an index.
    platforms: Vec<PlatformReport>,
    markdown: String,
}

impl ImageReport {
    /// The digest of `image`, if this run pushed it.
    pub(crate) fn pushed(&self) -> Option<&str> {
        // A run that pushes leaves a tag that never moves.
        (!self.incremental.is_empty()).then_some(&*self.digest)
    }
}

/// Set the outputs and the summary of the run, and write the file of its results.
///
/// # Errors
/// When that file can't be written.
pub(crate) fn write(session: &Session<'_>, outcomes: &Outcomes) -> anyhow::Result<()> {
    let ctx = session.ctx;
    let done = &outcomes.done;
    // Line N is of the same image in every output, and may be empty; an output that no image has is.
    let lines = |of: fn(&ImageReport) -> String| {
        let lines: Vec<_> = done.iter().map(of).collect();
        let has_any = lines.iter().any(|line| !line.is_empty());
        if has_any {
            lines.join("\n")
        } else {
            String::new()
        }
    };
    ctx.output("image", lines(|image| image.image.to_string()));
    ctx.output("digest", lines(|image| image.digest.clone()));
    ctx.output("patched-tag", lines(|image| image.patched_tag.clone()));
    ctx.output("incremental-tag", lines(|image| image.incremental.clone()));
    ctx.output("vex-file", lines(|image| image.vex.clone()));
    ctx.output("report-file", lines(|image| image.report.clone()));
    let fixed: usize = done.iter().map(|image| image.fixed).sum();
    ctx.output("fixed-count", fixed);
    let remaining: usize = done.iter().map(|image| image.remaining.len()).sum();
    ctx.output("remaining-count", remaining);
    let add = |sum: Counts, one: Counts| sum + one;
    let before: Option<Vec<_>> = done.iter().map(|image| image.before).collect();
    let before = before.and_then(|counts| counts.into_iter().reduce(add));
    let after = done.iter().map(|image| image.after).reduce(add);
    let text = |counts: Option<Counts>| counts.map(|c| c.to_string()).unwrap_or_default();
    ctx.output("before", text(before));
    ctx.output("after", text(after));
    for image in done {
        ctx.summary(&image.markdown);
    }
    for failure in &outcomes.failed {
        ctx.summary(markdown::failed(failure));
    }
    if !outcomes.skipped.is_empty() {
        ctx.summary(skipped(&outcomes.skipped));
    }
    match &session.request.results_file {
        Some(file) => results_file::write(file, outcomes),
        None => Ok(()),
    }
}

/// The result of the run: the worst of its images. What was skipped changes nothing.
///
/// # Errors
/// When an image failed.
pub(crate) fn verdict(outcomes: &Outcomes) -> anyhow::Result<Done> {
    let Outcomes { done, failed, .. } = outcomes;
    check("patch", failed, done.len() + failed.len())?;
    let has = |result: &str| done.iter().any(|image| image.result == result);
    let result = ["partial", "patched"]
        .into_iter()
        .find(|result| has(result));
    Ok(Done(result.unwrap_or("up-to-date")))
}

/// Check that none of `count` images failed; `verb` is what the step was to do with them.
///
/// # Errors
/// With the names of those that did.
pub(crate) fn check(verb: &str, failed: &[Failure], count: usize) -> anyhow::Result<()> {
    if failed.is_empty() {
        return Ok(());
    }
    let names: Vec<_> = failed
        .iter()
        .map(|failure| format!("`{}`", failure.subject))
        .collect();
    let message = format!(
        "failed to {verb} {} of {}: {}; see the log for each cause",
        failed.len(),
        plural(count, "image"),
        names.join(", ")
    );
    // A failed service leaves more open than a policy violation.
    let policy = failed
        .iter()
        .all(|failure| ExitStatus::from_error(&failure.error) == ExitStatus::PolicyFailed);
    Err(if policy {
        PolicyFailure(message).into()
    } else {
        anyhow!(message)
    })
}
