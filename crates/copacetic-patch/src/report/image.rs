//! What is told of one image, and its files.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use actions_toolkit::text::plural;
use anyhow::Context as _;
use trivy::Report;

use super::markdown::{nothing_to_mend, table};
use super::{Patched, ROWS};
use crate::before::Before;
use crate::counts::Counts;
use crate::difference;
use crate::job::{Current, Job};
use crate::promote::Promoted;
use crate::proof::Proof;
use crate::stage::Staged;

// With several images, each has files of its own: `report.json` becomes `report-2.json`.
fn file(path: &Path, several: Option<usize>) -> PathBuf {
    let Some(index) = several else {
        return path.to_owned();
    };
    let text =
        |part: Option<&std::ffi::OsStr>| part.unwrap_or_default().to_string_lossy().into_owned();
    let stem = text(path.file_stem());
    let extension = path
        .extension()
        .map(|e| format!(".{}", e.to_string_lossy()));
    let name = format!("{stem}-{}{}", index + 1, extension.unwrap_or_default());
    path.with_file_name(name)
}

fn left(report: &Report) -> Vec<[String; 3]> {
    let found = report.results.iter().flat_map(|r| &r.vulnerabilities);
    found
        .map(|v| {
            [
                v.id.clone(),
                v.package.clone(),
                "there is no update that mends it".to_owned(),
            ]
        })
        .collect()
}

/// Tell of an image that there is nothing to mend in.
///
/// # Errors
/// When the report can't be written.
pub(crate) fn up_to_date(
    job: &Job<'_, '_>,
    before: &Before,
    several: Option<usize>,
) -> anyhow::Result<Patched> {
    let (session, image) = (job.session, &job.order.image);
    let log = session.ctx.log();
    let remaining = left(before.report());
    log.info(format!(
        "{image} is up to date: none of its packages has an update that mends something"
    ));
    let os = before.report().metadata.os.as_ref();
    if let Some(os) = os.filter(|os| os.end_of_life) {
        log.warning(format!(
            "the support of {} {} has ended: no more updates come, whatever is found; move to a newer base image",
            os.family, os.name
        ));
    }
    let report = file(&session.request.report_file, several);
    file_of(&report, &before.scanned.raw)?;
    let found = Counts::of(&difference::findings(before.report(), &before.suppressed));
    Ok(Patched {
        result: "up-to-date",
        image: image.clone(),
        digest: job.origin().to_owned(),
        patched_tag: String::new(),
        incremental: String::new(),
        fixed: 0,
        before: Some(found),
        after: found,
        vex: String::new(),
        report: session.request.relative(&report),
        markdown: nothing_to_mend(image, remaining.len(), os),
        remaining,
    })
}

/// Tell of an image of which an earlier run made all that can be had today; `before` is the report of the original, if
/// one is at hand.
///
/// # Errors
/// When the report can't be written.
pub(crate) fn still_current(
    job: &Job<'_, '_>,
    current: &Current,
    before: Option<&Before>,
    several: Option<usize>,
) -> anyhow::Result<Patched> {
    let session = job.session;
    let (image, patched) = (&job.order.image, &job.order.patched);
    session.ctx.log().info(format!(
        "{patched} is up to date: nothing new can be had for {image} since it was made"
    ));
    let remaining = left(&current.scanned.report);
    let report = file(&session.request.report_file, several);
    file_of(&report, &current.scanned.raw)?;
    let os = current.scanned.report.metadata.os.as_ref();
    let none = BTreeSet::new();
    let suppressed = before.map_or(&none, |before| &before.suppressed);
    let count = |report: &Report| Counts::of(&difference::findings(report, suppressed));
    Ok(Patched {
        result: "up-to-date",
        image: patched.clone(),
        digest: current.digest.clone(),
        before: before.map(|before| count(before.report())),
        after: count(&current.scanned.report),
        patched_tag: patched.tag().unwrap_or_default().to_owned(),
        incremental: String::new(),
        fixed: 0,
        vex: String::new(),
        report: session.request.relative(&report),
        markdown: nothing_to_mend(patched, remaining.len(), os),
        remaining,
    })
}

/// Tell of a patched image.
///
/// # Errors
/// When a file can't be written.
pub(crate) fn patched(
    job: &Job<'_, '_>,
    staged: &Staged,
    proof: &Proof,
    promoted: &Promoted,
    several: Option<usize>,
) -> anyhow::Result<Patched> {
    let (session, patched) = (job.session, &job.order.patched);
    let log = session.ctx.log();
    let difference = &proof.difference;
    let result = if staged.left_out.is_empty() && !difference.is_partial() {
        "patched"
    } else {
        "partial"
    };
    for updated in &difference.updated {
        log.info(format!(
            "{} {} → {}",
            updated.package, updated.from, updated.to
        ));
    }
    for remaining in difference.remaining.iter().take(ROWS) {
        let finding = &remaining.finding;
        log.info(format!(
            "{} in {} remains: {}",
            finding.id, finding.package, remaining.why
        ));
    }
    log.info(format!(
        "{patched}: {} mended, {} remain",
        plural(difference.fixed.len(), "finding"),
        difference.remaining.len()
    ));
    let vex = file(&session.request.vex.file, several);
    file_of(&vex, &serde_json::to_vec_pretty(&promoted.vex)?)?;
    let report = file(&session.request.report_file, several);
    file_of(&report, &proof.after.raw)?;
    let remaining = difference.remaining.iter().map(|remaining| {
        let finding = &remaining.finding;
        [
            finding.id.clone(),
            finding.package.clone(),
            remaining.why.clone(),
        ]
    });
    Ok(Patched {
        result,
        image: patched.clone(),
        digest: promoted.digest.clone(),
        patched_tag: patched.tag().unwrap_or_default().to_owned(),
        incremental: promoted.incremental.clone().unwrap_or_default(),
        fixed: difference.fixed.len(),
        before: Some(difference.before()),
        after: difference.after(),
        remaining: remaining.collect(),
        vex: session.request.relative(&vex),
        report: session.request.relative(&report),
        markdown: table(&job.order.image, patched, result, difference),
    })
}

fn file_of(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("while making `{}`", folder.display()))?;
    }
    std::fs::write(path, bytes).with_context(|| format!("while writing `{}`", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_of_several_images_has_files_of_its_own() {
        let name = |path: &str, several| file(Path::new(path), several).display().to_string();
        assert_eq!(
            name("out/patch.openvex.json", None),
            "out/patch.openvex.json"
        );
        assert_eq!(
            name("out/patch.openvex.json", Some(1)),
            "out/patch.openvex-2.json"
        );
    }
}
