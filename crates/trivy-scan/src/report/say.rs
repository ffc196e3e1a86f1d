//! Outputs and log.

use actions_toolkit::{Context, text};
use findings::Counts;
use findings::sarif;
use trivy::{Database, Origin, Severity, Target};

use super::{changes, counts, log_lines};
use crate::request::{Request, TargetRequest};
use crate::scan::Answer;

/// Set the outputs.
pub(crate) fn outputs(
    ctx: &Context,
    request: &Request,
    answers: &[Answer],
    database: Option<&Database>,
) {
    let counts = counts(answers);
    ctx.output("total", counts.total());
    for severity in Severity::WORST_FIRST {
        ctx.output(severity.name(), counts.get(severity));
    }
    ctx.output("fixable", counts.fixable);
    if let Some((new, fixed)) = changes(answers) {
        ctx.output("new", new);
        ctx.output("fixed", fixed);
    }
    let reports: Vec<_> = answers
        .iter()
        .map(|a| request.relative(&a.report_file))
        .collect();
    ctx.output("sarif-file", request.relative(&request.sarif_file));
    ctx.output("report-file", reports.join("\n"));
    if let Some(database) = database {
        ctx.output("database-age", database.age.as_secs() / 3600);
    }
}

/// What a person should know about the whole step.
pub(crate) fn notes(
    request: &Request,
    answers: &[Answer],
    database: Option<&Database>,
    left_out: usize,
) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(Origin::Stale(said)) = database.map(|database| &database.origin) {
        let said = said.join("; ");
        notes.push(format!("no mirror gave a newer vulnerability database, so advisories of the last hours are missing ({said})"));
    }
    if let Some(file) = &request.ignore_file {
        let found: Vec<_> = answers.iter().flat_map(|answer| &answer.findings).collect();
        let today = jiff::Zoned::now()
            .with_time_zone(jiff::tz::TimeZone::UTC)
            .date();
        let of_checks = |target: &TargetRequest| matches!(target.target, Target::Config(_));
        let of_checks = request.targets.iter().any(of_checks);
        notes.extend(file.remarks(&found, of_checks, today));
    }
    let most = answers
        .iter()
        .map(|answer| answer.findings.len())
        .max()
        .unwrap_or_default();
    if left_out > 0 {
        notes.push(format!(
            "{} of the least severe are not in the SARIF file: GitHub takes {} results and 10 MB",
            text::plural(left_out, "finding"),
            sarif::RESULTS
        ));
    } else if most > sarif::SHOWN {
        notes.push(format!(
            "the Security tab shows the worst {} of {most} findings; the report file has all of them",
            sarif::SHOWN
        ));
    }
    notes
}

/// Write the answers into the log.
pub(crate) fn log(ctx: &Context, answers: &[Answer], remarks: &[String]) {
    let log = ctx.log();
    for answer in answers {
        let counts = Counts::from_iter(&answer.findings);
        for line in log_lines(&answer.findings) {
            log.info(line);
        }
        log.info(format!(
            "{} `{}` ({}): {}",
            answer.target.kind,
            answer.name,
            answer.coverage.scanned,
            counts.to_string()
        ));
        for gap in &answer.coverage.gaps {
            log.warning(gap);
        }
    }
    if let Some((new, fixed)) = changes(answers) {
        log.info(format!("{new} new, {fixed} fixed beside the baseline"));
    }
    for remark in remarks {
        log.warning(remark);
    }
}
