//! What is left behind: files, outputs, log and summary.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use actions_toolkit::text::{self, plural};
use actions_toolkit::{Done, ExitStatus, PolicyFailure};
use anyhow::{Context as _, anyhow};
use container::ImageRef;
use trivy::Report;
use trivy::report::Os;

use crate::before::Before;
use crate::counts::Counts;
use crate::difference::{self, Difference};
use crate::job::{Current, Job};
use crate::promote::Promoted;
use crate::proof::Proof;
use crate::session::Session;
use crate::stage::Staged;

/// Rows of a table in the summary; the report has the rest.
const ROWS: usize = 40;
/// Findings that are named in one cell.
const NAMED: usize = 8;

/// An image of the run that is done.
pub(crate) struct Patched {
    pub(crate) result: &'static str,
    /// The image to go on with.
    pub(crate) image: ImageRef,
    digest: String,
    patched_tag: String,
    incremental: String,
    fixed: usize,
    /// What was found in the image, if a report of it was at hand.
    before: Option<Counts>,
    /// What is found in the image to go on with.
    after: Counts,
    /// What could not be mended: id, package and reason.
    pub(crate) remaining: Vec<[String; 3]>,
    vex: String,
    report: String,
    markdown: String,
}

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
    let vex = file(&session.request.vex_file, several);
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
        markdown: markdown(&job.order.image, patched, result, difference),
    })
}

/// Set the outputs and the summary of the run.
pub(crate) fn write(session: &Session<'_>, done: &[Patched], failed: &[(ImageRef, anyhow::Error)]) {
    let ctx = session.ctx;
    let lines = |of: fn(&Patched) -> String| {
        let lines: Vec<_> = done
            .iter()
            .map(of)
            .filter(|line| !line.is_empty())
            .collect();
        lines.join("\n")
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
    for (image, error) in failed {
        ctx.summary(format!(
            "## ❌ {}\n\n{}",
            text::code(&image.to_string()),
            text::code_block(&format!("{error:#}"))
        ));
    }
}

/// The result of the run: the worst that one of its images has.
///
/// # Errors
/// When an image failed.
pub(crate) fn verdict(
    done: &[Patched],
    failed: &[(ImageRef, anyhow::Error)],
) -> anyhow::Result<Done> {
    if !failed.is_empty() {
        let names: Vec<_> = failed
            .iter()
            .map(|(image, _)| format!("`{image}`"))
            .collect();
        let message = format!(
            "{} of {} could not be patched: {}; the log has the cause of each",
            failed.len(),
            plural(done.len() + failed.len(), "image"),
            names.join(", ")
        );
        // A service that failed leaves more open than a policy that said no.
        let policy = failed
            .iter()
            .all(|(_, error)| ExitStatus::of(error) == ExitStatus::PolicyFailed);
        return Err(if policy {
            PolicyFailure(message).into()
        } else {
            anyhow!(message)
        });
    }
    let has = |result: &str| done.iter().any(|image| image.result == result);
    let result = ["partial", "patched"]
        .into_iter()
        .find(|result| has(result));
    Ok(Done(result.unwrap_or("up-to-date")))
}

fn file_of(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("while making `{}`", folder.display()))?;
    }
    std::fs::write(path, bytes).with_context(|| format!("while writing `{}`", path.display()))
}

fn markdown(image: &ImageRef, patched: &ImageRef, result: &str, difference: &Difference) -> String {
    let heading = if result == "patched" {
        "Patched"
    } else {
        "Partly patched"
    };
    let mut out = format!(
        "## 🩹 {heading}: {} mended, {} remain\n\n{} → {}\n\n",
        plural(difference.fixed.len(), "finding"),
        difference.remaining.len(),
        text::code(&image.to_string()),
        text::code(&patched.to_string()),
    );
    out.push_str("| Severity | Before | After |\n|---|---|---|\n");
    for (severity, before, after) in difference.by_severity() {
        out.push_str(&format!("| {severity} | {before} | {after} |\n"));
    }
    out.push_str(&packages(difference));
    out.push_str(&remaining(difference));
    out
}

fn packages(difference: &Difference) -> String {
    let mut mended: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for finding in &difference.fixed {
        mended
            .entry(&finding.package)
            .or_default()
            .push(&finding.id);
    }
    let mut out = "\n| Package | Before | After | Mended |\n|---|---|---|---|\n".to_owned();
    for updated in difference.updated.iter().take(ROWS) {
        let ids = mended.remove(updated.package.as_str()).unwrap_or_default();
        let mut named = ids[..ids.len().min(NAMED)].join(", ");
        if ids.len() > NAMED {
            named.push_str(&format!(" and {} more", ids.len() - NAMED));
        }
        out.push_str(&format!(
            "| {} | {} | {} | {} |\n",
            text::code(&updated.package),
            text::markdown(&updated.from),
            text::markdown(&updated.to),
            text::markdown(&named),
        ));
    }
    out + &cut(difference.updated.len())
}

fn remaining(difference: &Difference) -> String {
    if difference.remaining.is_empty() {
        return String::new();
    }
    let mut rows: Vec<_> = difference.remaining.iter().collect();
    rows.sort_by_key(|r| (std::cmp::Reverse(r.finding.severity), &r.finding));
    let mut out = "\n| Remains | Package | Severity | Why |\n|---|---|---|---|\n".to_owned();
    for remaining in rows.iter().take(ROWS) {
        let finding = &remaining.finding;
        out.push_str(&format!(
            "| {} | {} | {} | {} |\n",
            text::markdown(&finding.id),
            text::code(&finding.package),
            finding.severity,
            text::markdown(&remaining.why)
        ));
    }
    out + &cut(rows.len())
}

fn cut(rows: usize) -> String {
    if rows > ROWS {
        format!("\n… and {} more.\n", rows - ROWS)
    } else {
        String::new()
    }
}

fn nothing_to_mend(image: &ImageRef, remaining: usize, os: Option<&Os>) -> String {
    let mut out = format!(
        "## ✅ Up to date\n\n{} has no package that an update of its distribution mends.\n",
        text::code(&image.to_string())
    );
    if remaining > 0 {
        let noun = if remaining == 1 {
            "finding has"
        } else {
            "findings have"
        };
        out.push_str(&format!("\n{remaining} {noun} no update.\n"));
    }
    if let Some(os) = os.filter(|os| os.end_of_life) {
        out.push_str(&format!(
            "\n⚠️ The support of {} {} has ended: no more updates come.\n",
            text::markdown(&os.family),
            text::markdown(&os.name)
        ));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::difference::tests::difference;

    #[test]
    fn what_was_mended_as_a_person_reads_it() {
        let difference = difference(
            &[
                ("openssl", "3.5.7-1~deb13u2", "3.5.9-1~deb13u1"),
                ("perl", "1", "2"),
                ("zlib1g", "1", ""),
            ],
            &[
                ("openssl", "3.5.9-1~deb13u1", "-"),
                ("perl", "1", "2"),
                ("zlib1g", "1", ""),
            ],
        );
        let image = "app:1".parse().unwrap();
        let patched = "app:1-patched".parse().unwrap();
        insta::assert_snapshot!(markdown(&image, &patched, "partial", &difference), @r"
        ## 🩹 Partly patched: 1 finding mended, 2 remain

        `app:1` → `app:1-patched`

        | Severity | Before | After |
        |---|---|---|
        | high | 3 | 2 |

        | Package | Before | After | Mended |
        |---|---|---|---|
        | `openssl` | 3.5.7-1\~deb13u2 | 3.5.9-1\~deb13u1 | CVE-openssl |

        | Remains | Package | Severity | Why |
        |---|---|---|---|
        | CVE-perl | `perl` | high | it is held back |
        | CVE-zlib1g | `zlib1g` | high | there is no fixed version yet |
        ");
    }

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

    #[test]
    fn nothing_to_mend_is_said_plainly() {
        let image = "app:1".parse().unwrap();
        let ended = Os {
            family: "debian".into(),
            name: "9".into(),
            end_of_life: true,
        };
        insta::assert_snapshot!(nothing_to_mend(&image, 2, Some(&ended)), @r"
        ## ✅ Up to date

        `app:1` has no package that an update of its distribution mends.

        2 findings have no update.

        ⚠️ The support of debian 9 has ended: no more updates come.
        ");
    }
}
