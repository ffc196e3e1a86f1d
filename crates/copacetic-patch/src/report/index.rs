//! The report of an index: those of its images together.

use actions_toolkit::text;
use oci::{ImageRef, Platform};
use serde_json::Value;

use super::ImageReport;
use super::image::write_vex;
use super::markdown::note;
use crate::index_patch::IndexPatch;
use crate::verify::Counts;

/// What became of one image of an index.
pub(crate) struct PlatformReport {
    pub(crate) platform: Platform,
    /// The report of the image, or why it stays as it was.
    pub(crate) outcome: Result<ImageReport, String>,
}

/// What became of an index.
pub(crate) struct IndexReport<'a> {
    /// The index for the next steps.
    pub(crate) image: &'a ImageRef,
    pub(crate) digest: String,
    pub(crate) patched_tag: Option<&'a str>,
    pub(crate) incremental: Option<String>,
    pub(crate) vex: Option<Value>,
    /// What is attached to the original, and does not follow.
    pub(crate) left_behind: Option<String>,
    pub(crate) platforms: Vec<PlatformReport>,
}

impl PlatformReport {
    pub(super) fn result(&self) -> &'static str {
        self.outcome.as_ref().map_or("kept", |report| report.result)
    }

    // The digest in the index; an image that stays as it was has that of the original.
    pub(super) fn report(&self) -> Option<&ImageReport> {
        self.outcome.as_ref().ok()
    }
}

impl IndexReport<'_> {
    /// The report of `patch`, with the OpenVEX document as a file.
    ///
    /// # Errors
    /// When that can't be written.
    pub(crate) fn finish(self, patch: &IndexPatch<'_, '_>) -> anyhow::Result<ImageReport> {
        let file = patch.file(&patch.session.request.vex_file);
        let vex = self.vex.as_ref().map(|document| write_vex(&file, document));
        let reports: Vec<_> = self
            .platforms
            .iter()
            .filter_map(PlatformReport::report)
            .collect();
        let has = |result: &str| self.platforms.iter().any(|part| part.result() == result);
        let result = if has("partial") || has("kept") {
            "partial"
        } else if has("patched") {
            "patched"
        } else {
            "up-to-date"
        };
        let add = |sum: Counts, one: Counts| sum + one;
        let before: Option<Vec<_>> = reports.iter().map(|report| report.before).collect();
        let main = reports.iter().find(|report| !report.report.is_empty());
        Ok(ImageReport {
            result,
            original: patch.target.image.clone(),
            image: self.image.clone(),
            digest: self.digest,
            patched_tag: self.patched_tag.unwrap_or_default().to_owned(),
            incremental: self.incremental.unwrap_or_default(),
            fixed: reports.iter().map(|report| report.fixed).sum(),
            before: before.and_then(|counts| counts.into_iter().reduce(add)),
            after: reports
                .iter()
                .map(|report| report.after)
                .reduce(add)
                .unwrap_or_default(),
            remaining: reports
                .iter()
                .flat_map(|report| report.remaining.clone())
                .collect(),
            vex: vex.transpose()?.unwrap_or_default(),
            report: main.map(|report| report.report.clone()).unwrap_or_default(),
            markdown: self
                .platforms
                .iter()
                .map(markdown)
                .chain(self.left_behind.as_deref().map(note))
                .collect::<Vec<_>>()
                .join("\n"),
            platforms: self.platforms,
        })
    }
}

fn markdown(part: &PlatformReport) -> String {
    let platform = text::code(&part.platform.to_string());
    match &part.outcome {
        Ok(report) => report
            .markdown
            .replacen("## ", &format!("## {platform}: "), 1),
        Err(reason) => format!(
            "## {platform}: ⚠️ Not patched\n\n{}",
            text::code_block(reason)
        ),
    }
}
