//! Remarks on the whole step.

use actions_toolkit::text;
use findings::sarif;
use trivy::{Database, Origin, Target};

use crate::request::{TargetRequest, TrivyConfig, VexSource};
use crate::scan::{ScanOutcome, Scans};

/// Files in which Trivy looks for settings, and which it gets no chance to read.
const UNUSED: [(&str, &str); 2] = [
    ("trivy.yaml", "if they are right, name it in `trivy-config`"),
    (
        SECRET_RULES,
        "if they are right, name it as `secret.config` in a file for `trivy-config`",
    ),
];
const SECRET_RULES: &str = "trivy-secret.yaml";

/// Remarks on the whole step, with the version of Trivy: an old database, entries of the ignore file, findings that GitHub does not show.
pub(crate) fn notes<'a>(
    scans: &Scans<'_>,
    outcomes: &'a [ScanOutcome],
    (scanner, database): (&str, Option<&Database>),
    omitted: usize,
) -> Vec<String> {
    let request = scans.request;
    let mut notes = Vec::new();
    if let Some(Origin::Stale(errors)) = database.map(|database| &database.origin) {
        let errors = errors.join("; ");
        notes.push(format!("no mirror has a newer vulnerability database, so the newest advisories are missing ({errors})"));
    }
    if let Some(Origin::Server { version, .. }) = database.map(|database| &database.origin)
        && version != scanner
    {
        notes.push(format!(
            "the server at `trivy-server` has Trivy {version}, and this step has {scanner}: the report may differ from that of one version"
        ));
    }
    let config = request.trivy_config.as_ref();
    notes.extend(config.into_iter().flat_map(TrivyConfig::remarks));
    for (name, instead) in UNUSED {
        let is_used = match name {
            SECRET_RULES => config.is_some_and(|config| config.has_secret_rules),
            name => config.is_some_and(|config| config.is(name)),
        };
        if !is_used && request.workspace.root().join(name).exists() {
            notes.push(format!(
                "`{name}` is not used: settings of a checkout could turn the scan off; {instead}"
            ));
        }
    }
    let is_configuration = |target: &TargetRequest| matches!(target.target, Target::Config(_));
    let scans_configuration = request.targets.iter().any(is_configuration);
    if let Some(policy) = request
        .ignore_policy
        .as_ref()
        .filter(|_| scans_configuration)
    {
        notes.push(format!(
            "`{}` may suppress checks of configuration",
            policy.given()
        ));
    }
    let all = |outcome: &'a ScanOutcome| outcome.findings.iter().chain(&outcome.hidden);
    let findings: Vec<_> = outcomes.iter().flat_map(all).collect();
    for source in &request.vex.sources {
        if let VexSource::Document(document) = source {
            notes.extend(document.remarks(&findings));
        }
    }
    for outcome in outcomes {
        let own: Vec<_> = all(outcome).collect();
        let documents = outcome.vex.documents.iter();
        notes.extend(documents.flat_map(|document| document.remarks(&own)));
        notes.extend(outcome.vex.remarks.iter().cloned());
    }
    for repository in &scans.vex.repositories {
        let why = repository.stale.as_ref();
        notes.extend(why.map(|why| {
            format!(
                "the VEX repository {} is of the cache, since it has no newer one ({why})",
                repository.title
            )
        }));
    }
    if let Some(file) = &request.ignore_file {
        let today = jiff::Zoned::now()
            .with_time_zone(jiff::tz::TimeZone::UTC)
            .date();
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
