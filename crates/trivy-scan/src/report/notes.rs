//! Remarks on the whole step.

use actions_toolkit::text;
use findings::sarif;
use trivy::{Database, Origin, Target};

use crate::request::{Request, TargetRequest};
use crate::scan::ScanOutcome;

/// Files in which Trivy looks for settings, and which it gets no chance to read.
const UNUSED: [&str; 2] = ["trivy.yaml", "trivy-secret.yaml"];

/// Remarks on the whole step: an old database, entries of the ignore file, findings that GitHub does not show.
pub(crate) fn notes(
    request: &Request,
    outcomes: &[ScanOutcome],
    database: Option<&Database>,
    omitted: usize,
) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(Origin::Stale(errors)) = database.map(|database| &database.origin) {
        let errors = errors.join("; ");
        notes.push(format!("no mirror has a newer vulnerability database, so the newest advisories are missing ({errors})"));
    }
    for name in UNUSED {
        if request.workspace.root().join(name).exists() {
            notes.push(format!(
                "`{name}` is not used: settings of a checkout could turn the scan off"
            ));
        }
    }
    if let Some(file) = &request.ignore_file {
        let findings: Vec<_> = outcomes
            .iter()
            .flat_map(|outcome| &outcome.findings)
            .collect();
        let today = jiff::Zoned::now()
            .with_time_zone(jiff::tz::TimeZone::UTC)
            .date();
        let is_configuration = |target: &TargetRequest| matches!(target.target, Target::Config(_));
        let scans_configuration = request.targets.iter().any(is_configuration);
        notes.extend(file.remark_on_checks().filter(|_| scans_configuration));
        notes.extend(file.remarks(&findings, scans_configuration, today));
    }
    let largest = outcomes
        .iter()
        .map(|outcome| outcome.findings.len())
        .max()
        .unwrap_or_default();
    if omitted > 0 {
        notes.push(format!(
            "{} of the lowest severities are not in the SARIF file; GitHub accepts {} results and 10 MB",
            text::plural(omitted, "finding"),
            sarif::RESULTS
        ));
    } else if largest > sarif::SHOWN {
        notes.push(format!(
            "the Security tab shows the worst {} of {largest} findings; the report file has all of them",
            sarif::SHOWN
        ));
    }
    notes
}
