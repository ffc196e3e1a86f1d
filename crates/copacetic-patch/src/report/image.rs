//! The report of one image: its log lines, files and summary.

use std::collections::BTreeSet;

use actions_toolkit::{WorkspacePath, text::plural};
use oci::ImageRef;
use serde_json::Value;
use trivy::Report;

use super::end_of_life::statement;
use super::markdown::{note, nothing_to_fix, patched_image};
use super::{ImageReport, ROWS};
use crate::assessment::Current;
use crate::attempt::Attempt;
use crate::publish::{Followed, Promoted};
use crate::targets::{BaselineReport, ImagePatch};
use crate::verify;

/// Warn first, before the list of what can be updated: most findings of such an image have no update.
pub(crate) fn warn_of_end_of_life(patch: &ImagePatch<'_, '_>, report: &Report) {
    if let Some(statement) = statement(report.metadata.os.as_ref()) {
        let image = &patch.target.image;
        patch
            .log
            .warning(format!("{image}: {statement}; use a newer base image"));
    }
}

/// The report of an image that has nothing to fix; its patched tag may have `followed` it.
///
/// # Errors
/// When its file can't be written.
pub(crate) fn up_to_date(
    patch: &ImagePatch<'_, '_>,
    baseline: &BaselineReport,
    followed: Option<&Followed>,
) -> anyhow::Result<ImageReport> {
    let (session, original) = (patch.session, &patch.target.image);
    let patched = followed.map(|_| &patch.target.patched);
    let image = patched.unwrap_or(original);
    let log = &patch.log;
    let remaining = verify::remaining(baseline.report(), &baseline.suppressed);
    log.info(format!(
        "{original} is up to date: no package has an update that fixes a finding"
    ));
    let os = baseline.report().metadata.os.as_ref();
    let file = patch.file(&session.request.report_file);
    file.write(&baseline.scanned.raw)?;
    let counts = verify::findings(baseline.report(), &baseline.suppressed);
    Ok(ImageReport {
        result: "up-to-date",
        original: original.clone(),
        image: image.clone(),
        digest: followed.map_or_else(
            || patch.origin().to_owned(),
            |followed| followed.digest.clone(),
        ),
        patched_tag: patched
            .and_then(ImageRef::tag)
            .unwrap_or_default()
            .to_owned(),
        incremental: followed
            .and_then(|followed| followed.incremental.clone())
            .unwrap_or_default(),
        fixed: 0,
        before: Some(counts),
        after: counts,
        vex: String::new(),
        platforms: Vec::new(),
        report: file.relative().to_owned(),
        markdown: nothing_to_fix(image, &remaining, os),
        remaining,
    })
}

/// The report of an image whose existing patch has every update that is available today.
///
/// # Errors
/// When its file can't be written.
pub(crate) fn still_current(
    patch: &ImagePatch<'_, '_>,
    Current { existing, baseline }: &Current,
) -> anyhow::Result<ImageReport> {
    let session = patch.session;
    let (image, patched) = (&patch.target.image, &patch.target.patched);
    patch.log.info(format!(
        "{patched} is up to date: no new updates for {image} since it was made"
    ));
    let report = &existing.scanned.report;
    let file = patch.file(&session.request.report_file);
    file.write(&existing.scanned.raw)?;
    let none = BTreeSet::new();
    let suppressed = baseline
        .as_ref()
        .map_or(&none, |baseline| &baseline.suppressed);
    let remaining = verify::remaining(report, suppressed);
    Ok(ImageReport {
        result: "up-to-date",
        original: image.clone(),
        image: patched.clone(),
        digest: existing.digest.clone(),
        before: baseline
            .as_ref()
            .map(|baseline| verify::findings(baseline.report(), suppressed)),
        after: verify::findings(report, suppressed),
        patched_tag: patched.tag().unwrap_or_default().to_owned(),
        incremental: String::new(),
        fixed: 0,
        vex: String::new(),
        platforms: Vec::new(),
        report: file.relative().to_owned(),
        markdown: nothing_to_fix(patched, &remaining, report.metadata.os.as_ref()),
        remaining,
    })
}

/// The report of a patched image.
///
/// # Errors
/// When one of its files can't be written.
pub(crate) fn patched(
    patch: &ImagePatch<'_, '_>,
    attempt: &Attempt,
    promoted: &Promoted,
) -> anyhow::Result<ImageReport> {
    let (session, patched) = (patch.session, &patch.target.patched);
    let log = &patch.log;
    let comparison = &attempt.verification.comparison;
    let result = if attempt.patched_image.skipped.is_empty() && !comparison.is_partial() {
        "patched"
    } else {
        "partial"
    };
    for updated in &comparison.updated {
        log.info(format!(
            "{} {} → {}",
            updated.package, updated.from, updated.to
        ));
    }
    for remaining in comparison.remaining.iter().take(ROWS) {
        let finding = &remaining.finding;
        log.info(format!(
            "{} in {} remains: {}",
            finding.id, finding.package, remaining.reason
        ));
    }
    log.info(format!(
        "{patched}: {} fixed, {} remaining",
        plural(comparison.fixed.len(), "finding"),
        comparison.remaining.len()
    ));
    let vex = match &promoted.vex {
        Some(document) => write_vex(&patch.file(&session.request.vex_file), document)?,
        None => String::new(),
    };
    let report = patch.file(&session.request.report_file);
    report.write(&attempt.verification.after.raw)?;
    let remaining = comparison.remaining.iter().map(|remaining| {
        let finding = &remaining.finding;
        [
            finding.id.clone(),
            finding.package.clone(),
            remaining.reason.clone(),
        ]
    });
    Ok(ImageReport {
        result,
        original: patch.target.image.clone(),
        image: patched.clone(),
        digest: promoted.digest.clone(),
        patched_tag: patched.tag().unwrap_or_default().to_owned(),
        incremental: promoted.incremental.clone().unwrap_or_default(),
        fixed: comparison.fixed.len(),
        before: Some(comparison.before()),
        after: comparison.after(),
        remaining: remaining.collect(),
        vex,
        platforms: Vec::new(),
        report: report.relative().to_owned(),
        markdown: patched_image(
            &patch.target.image,
            patched,
            result,
            comparison,
            attempt.verification.after.report.metadata.os.as_ref(),
        ) + &promoted
            .left_behind
            .as_deref()
            .map_or_else(String::new, note),
    })
}

/// Write the OpenVEX `document`; returns the path.
///
/// # Errors
/// When it can't be written.
pub(super) fn write_vex(file: &WorkspacePath, document: &Value) -> anyhow::Result<String> {
    file.write(&serde_json::to_vec_pretty(document)?)?;
    Ok(file.relative().to_owned())
}
