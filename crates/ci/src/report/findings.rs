//! The parts of the summary on findings and packages: linters, vulnerable packages, licenses.

use std::collections::HashSet;
use std::fmt::Write as _;

use actions_toolkit::text::{self, Table};
use findings::Finding;

use super::{ROWS, cut, details, more};
use crate::analysis::{License, level};
use crate::outcome::Outcome;

/// Bytes of a message.
const MESSAGE: usize = 600;
/// Bytes of a license.
const LICENSE: usize = 100;

/// The findings of the linters.
pub(super) fn linters(md: &mut String, outcome: &Outcome) {
    let linted = outcome
        .analysis
        .iter()
        .flat_map(|analysis| &analysis.linted);
    let count = linted.clone().map(|linted| linted.severities().count());
    let count = count.sum();
    let all: Vec<_> = linted
        .flat_map(|linted| linted.findings.iter().map(|f| (linted.linter.name, f)))
        .collect();
    if all.is_empty() {
        return;
    }
    let mut table = Table::new(["Level", "Rule", "Where", ""]);
    table.extend(all.iter().take(ROWS).map(|(name, finding)| {
        [
            level(finding.severity).to_owned(),
            format!("{name} {}", rule(finding)),
            location(finding),
            text::markdown(cut(&finding.message, MESSAGE)),
        ]
    }));
    let _ = write!(md, "\n### Static analysis\n\n{table}");
    more(md, count, "in the SARIF file");
}

/// The linters that could not run.
pub(super) fn unusable(md: &mut String, outcome: &Outcome) {
    let unusable = outcome.analysis.iter().flat_map(|a| &a.unusable);
    for (name, reason) in unusable {
        let reason = text::markdown(cut(reason, MESSAGE));
        let _ = write!(md, "\n{name} could not run: {reason}\n");
    }
}

/// The files of the checkout that the linters take settings from: what they exclude is not in the findings.
pub(super) fn settings(md: &mut String, outcome: &Outcome) {
    let settings = outcome.analysis.iter().flat_map(|a| &a.settings);
    let settings: Vec<_> = settings.map(|path| text::code(path)).collect();
    if !settings.is_empty() {
        let settings = settings.join(", ");
        let _ = write!(
            md,
            "\nSettings of the checkout for the linters: {settings}\n"
        );
    }
}

/// The vulnerabilities in the packages of the lock file.
pub(super) fn vulnerable_packages(md: &mut String, outcome: &Outcome) {
    let Some(dependencies) = &outcome.dependencies else {
        return;
    };
    let open: Vec<_> = dependencies
        .findings
        .iter()
        .filter(|f| f.is_open())
        .collect();
    if open.is_empty() {
        return;
    }
    let mut table = Table::new(["Severity", "Vulnerability", "Package", "Fixed in", "Where"]);
    table.extend(open.iter().take(ROWS).map(|finding| {
        let (name, fixed) = finding.package().map_or_else(Default::default, |package| {
            let name = format!("{} {}", package.name, package.installed);
            (name, package.fixed.clone())
        });
        let fixed = if fixed.is_empty() { "–" } else { &fixed };
        [
            finding.severity.to_string(),
            rule(finding),
            text::markdown(&name),
            text::markdown(fixed),
            location(finding),
        ]
    }));
    let _ = write!(md, "\n### Vulnerable packages\n\n{table}");
    more(md, open.len(), "in the SARIF file");
}

/// The licenses: of the lock file's packages, or of all that are installed if none is scanned.
pub(super) fn licenses(md: &mut String, outcome: &Outcome) {
    let locked = outcome.dependencies.as_ref();
    let locked: Option<HashSet<_>> = locked.map(|d| d.packages.iter().collect());
    let is_reported = |license: &&License| {
        locked
            .as_ref()
            .is_none_or(|locked| locked.contains(&&license.0.to_lowercase().replace('_', "-")))
    };
    let all = outcome.analysis.iter().flat_map(|a| &a.licenses);
    let all: Vec<_> = all.filter(is_reported).collect();
    let mut table = Table::new(["Package", "Version", "License"]);
    table.extend(all.iter().map(|License(name, version, license)| {
        let license = if license.is_empty() {
            "not stated"
        } else {
            license
        };
        [
            text::markdown(name),
            text::markdown(version),
            text::markdown(cut(license, LICENSE)),
        ]
    }));
    let kind = if locked.is_some() {
        "locked"
    } else {
        "installed"
    };
    let title = format!("Licenses of {} {kind} packages", all.len());
    details(md, &title, &table);
}

fn rule(finding: &Finding) -> String {
    let id = text::markdown(&finding.rule.id);
    match finding.rule.url.as_str() {
        url if url.starts_with("https://") && !url.contains([')', ' ']) => format!("[{id}]({url})"),
        _ => id,
    }
}

fn location(finding: &Finding) -> String {
    text::code(&format!(
        "{}:{}",
        finding.location.path, finding.location.line
    ))
}
