//! The report of one image: its log lines, files and summary.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use actions_toolkit::text::plural;
use anyhow::Context as _;
use trivy::Report;

use super::markdown::{nothing_to_fix, patched_image};
use super::{ImageReport, ROWS};
use crate::attempt::Attempt;
use crate::publish::Promoted;
use crate::targets::{BaselineReport, ExistingPatch, ImagePatch};
use crate::verify;

// With several images, each has its own files: `report.json` becomes `report-2.json`.
fn numbered(path: &Path, number: Option<usize>) -> PathBuf {
    let Some(number) = number else {
        return path.to_owned();
    };
    let text =
        |part: Option<&std::ffi::OsStr>| part.unwrap_or_default().to_string_lossy().into_owned();
    let stem = text(path.file_stem());
    let extension = path
        .extension()
        .map(|e| format!(".{}", e.to_string_lossy()));
    path.with_file_name(format!("{stem}-{number}{}", extension.unwrap_or_default()))
}

fn remaining(report: &Report) -> Vec<[String; 3]> {
    let findings = report.results.iter().flat_map(|r| &r.vulnerabilities);
    findings
        .map(|v| {
            let reason = "no update fixes it".to_owned();
            [v.id.clone(), v.package.clone(), reason]
        })
        .collect()
}

/// The report of an image that has nothing to fix.
///
/// # Errors
/// When its file can't be written.
pub(crate) fn up_to_date(
    patch: &ImagePatch<'_, '_>,
    baseline: &BaselineReport,
) -> anyhow::Result<ImageReport> {
    let (session, image) = (patch.session, &patch.target.image);
    let log = session.ctx.log();
    let remaining = remaining(baseline.report());
    log.info(format!(
        "{image} is up to date: no package has an update that fixes a finding"
    ));
    let os = baseline.report().metadata.os.as_ref();
    if let Some(os) = os.filter(|os| os.end_of_life) {
        log.warning(format!(
            "{} {} has reached end of life and no longer receives security updates; use a newer base image",
            os.family, os.name
        ));
    }
    let file = numbered(&session.request.report_file, patch.number);
    write(&file, &baseline.scanned.raw)?;
    let counts = verify::findings(baseline.report(), &baseline.suppressed);
    Ok(ImageReport {
        result: "up-to-date",
        image: image.clone(),
        digest: patch.origin().to_owned(),
        patched_tag: String::new(),
        incremental: String::new(),
        fixed: 0,
        before: Some(counts),
        after: counts,
        vex: String::new(),
        report: session.request.relative(&file),
        markdown: nothing_to_fix(image, remaining.len(), os),
        remaining,
    })
}

/// The report of an image whose existing patch has every update that is available today; `baseline` is a report of the
/// original, if there is one.
///
/// # Errors
/// When its file can't be written.
pub(crate) fn still_current(
    patch: &ImagePatch<'_, '_>,
    existing: &ExistingPatch,
    baseline: Option<&BaselineReport>,
) -> anyhow::Result<ImageReport> {
    let session = patch.session;
    let (image, patched) = (&patch.target.image, &patch.target.patched);
    session.ctx.log().info(format!(
        "{patched} is up to date: no new updates for {image} since it was made"
    ));
    let report = &existing.scanned.report;
    let remaining = remaining(report);
    let file = numbered(&session.request.report_file, patch.number);
    write(&file, &existing.scanned.raw)?;
    let none = BTreeSet::new();
    let suppressed = baseline.map_or(&none, |baseline| &baseline.suppressed);
    Ok(ImageReport {
        result: "up-to-date",
        image: patched.clone(),
        digest: existing.digest.clone(),
        before: baseline.map(|baseline| verify::findings(baseline.report(), suppressed)),
        after: verify::findings(report, suppressed),
        patched_tag: patched.tag().unwrap_or_default().to_owned(),
        incremental: String::new(),
        fixed: 0,
        vex: String::new(),
        report: session.request.relative(&file),
        markdown: nothing_to_fix(patched, remaining.len(), report.metadata.os.as_ref()),
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
    let log = session.ctx.log();
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
    let vex = numbered(&session.request.vex.file, patch.number);
    write(&vex, &serde_json::to_vec_pretty(&promoted.vex)?)?;
    let report = numbered(&session.request.report_file, patch.number);
    write(&report, &attempt.verification.after.raw)?;
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
        image: patched.clone(),
        digest: promoted.digest.clone(),
        patched_tag: patched.tag().unwrap_or_default().to_owned(),
        incremental: promoted.incremental.clone().unwrap_or_default(),
        fixed: comparison.fixed.len(),
        before: Some(comparison.before()),
        after: comparison.after(),
        remaining: remaining.collect(),
        vex: session.request.relative(&vex),
        report: session.request.relative(&report),
        markdown: patched_image(&patch.target.image, patched, result, comparison),
    })
}

fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory)
            .with_context(|| format!("failed to create `{}`", directory.display()))?;
    }
    std::fs::write(path, bytes).with_context(|| format!("failed to write `{}`", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_of_several_images_has_its_own_files() {
        let name = |path: &str, number| numbered(Path::new(path), number).display().to_string();
        assert_eq!(
            name("out/patch.openvex.json", None),
            "out/patch.openvex.json"
        );
        assert_eq!(
            name("out/patch.openvex.json", Some(2)),
            "out/patch.openvex-2.json"
        );
    }
}
