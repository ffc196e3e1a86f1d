//! Every finding of a report in one form.

use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};
use trivy::report::{Misconfiguration, ResultOf, SecretFinding, Vulnerability};
use trivy::{Report, Severity};

use crate::place::{self, Places};

/// A finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    /// The id of the advisory or check.
    pub(crate) rule: String,
    /// One line, true for every finding of the rule.
    pub(crate) title: String,
    /// Some lines, true for every finding of the rule.
    pub(crate) description: String,
    /// A page about it.
    pub(crate) url: String,
    /// Weaknesses, `CWE-787`.
    pub(crate) cwes: Vec<String>,
    /// How bad.
    pub(crate) severity: Severity,
    /// What is wrong here, and what to do.
    pub(crate) message: String,
    /// The package, for findings in packages.
    pub(crate) package: Option<Package>,
    /// The place in the repository, or in the image.
    pub(crate) path: String,
    /// First line, from 1.
    pub(crate) line: u32,
    /// Last line.
    pub(crate) end_line: u32,
    /// What stays the same when tag, digest and image id change.
    pub(crate) fingerprint: String,
    /// Why it is suppressed, if it is.
    pub(crate) suppressed: Option<String>,
}

/// A vulnerable package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) installed: String,
    /// Empty if there is no update.
    pub(crate) fixed: String,
}

impl Finding {
    /// Whether an update mends it.
    pub(crate) fn fixable(&self) -> bool {
        self.package
            .as_ref()
            .is_none_or(|package| !package.fixed.is_empty())
    }
}

/// Counts by severity, without the suppressed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    by: BTreeMap<Severity, usize>,
    /// How many an update mends.
    pub(crate) fixable: usize,
}

impl Counts {
    pub(crate) fn of(findings: &[Finding]) -> Self {
        let mut counts = Self::default();
        for finding in findings
            .iter()
            .filter(|finding| finding.suppressed.is_none())
        {
            *counts.by.entry(finding.severity).or_default() += 1;
            counts.fixable += usize::from(finding.fixable());
        }
        counts
    }

    pub(crate) fn get(&self, severity: Severity) -> usize {
        self.by.get(&severity).copied().unwrap_or_default()
    }

    pub(crate) fn total(&self) -> usize {
        self.by.values().sum()
    }
}

/// The findings of `report`, the worst first.
pub(crate) fn of(report: &Report, places: &Places<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    for result in &report.results {
        found.extend(
            result
                .vulnerabilities
                .iter()
                .map(|v| vulnerability(result, v, places, None)),
        );
        found.extend(
            result
                .misconfigurations
                .iter()
                .filter(|m| m.status == "FAIL")
                .map(|m| misconfiguration(result, m, places, None)),
        );
        found.extend(result.secrets.iter().map(|s| secret(result, s, places)));
        for modified in &result.modified {
            let reason = if modified.statement.is_empty() {
                &modified.status
            } else {
                &modified.statement
            };
            let reason = Some(format!("{reason} ({})", modified.source));
            let value = modified.finding.clone();
            match modified.r#type.as_str() {
                "vulnerability" => found.extend(
                    serde_json::from_value(value)
                        .ok()
                        .map(|v| vulnerability(result, &v, places, reason)),
                ),
                "misconfiguration" => found.extend(
                    serde_json::from_value(value)
                        .ok()
                        .map(|m| misconfiguration(result, &m, places, reason)),
                ),
                _ => {}
            }
        }
    }
    found.sort_by(|a, b| {
        (b.severity, &a.rule, &a.path, &a.message).cmp(&(a.severity, &b.rule, &b.path, &b.message))
    });
    found
}

fn print(parts: &[&str]) -> String {
    let hash = Sha256::digest(parts.join("\n"));
    let hex = hash
        .iter()
        .take(8)
        .fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
    format!("{hex}:1")
}

fn sentence(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn vulnerability(
    result: &ResultOf,
    v: &Vulnerability,
    places: &Places<'_>,
    suppressed: Option<String>,
) -> Finding {
    let title = if v.title.is_empty() {
        format!("Vulnerability {}", v.id)
    } else {
        sentence(&v.title)
    };
    let cure = if v.fixed_version.is_empty() {
        "There is no fixed version yet.".to_owned()
    } else {
        format!("Fixed in {}.", v.fixed_version)
    };
    // A package URL without its version and qualifiers: the same package in the next build.
    let purl = v
        .identifier
        .purl
        .split(['@', '?'])
        .next()
        .unwrap_or_default();
    let package = if purl.is_empty() {
        v.package.as_str()
    } else {
        purl
    };
    let location = places.of_package(result, v);
    Finding {
        message: format!(
            "{} {} has {}: {title}. {cure}",
            v.package, v.installed_version, v.id
        ),
        description: if v.description.is_empty() {
            title.clone()
        } else {
            v.description.clone()
        },
        rule: v.id.clone(),
        title,
        url: v.primary_url.clone(),
        cwes: v.cwes.clone(),
        severity: v.severity,
        package: Some(Package {
            name: v.package.clone(),
            installed: v.installed_version.clone(),
            fixed: v.fixed_version.clone(),
        }),
        fingerprint: print(&[
            &v.id,
            package,
            &v.package_path,
            &result.class,
            places.name(),
        ]),
        path: location.path,
        line: location.line,
        end_line: location.end_line,
        suppressed,
    }
}

fn misconfiguration(
    result: &ResultOf,
    m: &Misconfiguration,
    places: &Places<'_>,
    suppressed: Option<String>,
) -> Finding {
    let location = places.of_lines(
        &result.target,
        m.cause_metadata.start_line,
        m.cause_metadata.end_line,
    );
    Finding {
        rule: m.id.clone(),
        title: sentence(&m.title),
        description: m.description.clone(),
        url: m.primary_url.clone(),
        cwes: Vec::new(),
        severity: m.severity,
        message: sentence(&format!("{} {}", m.message, m.resolution)),
        package: None,
        fingerprint: print(&[
            &m.id,
            &location.path,
            &m.cause_metadata.resource,
            &m.message,
        ]),
        path: location.path,
        line: location.line,
        end_line: location.end_line,
        suppressed,
    }
}

fn secret(result: &ResultOf, s: &SecretFinding, places: &Places<'_>) -> Finding {
    let location = places.of_lines(&result.target, s.start_line, s.end_line);
    Finding {
        rule: s.rule.clone(),
        title: sentence(&s.title),
        description: format!(
            "{} was found in a file. Take it out, and revoke it: whoever has the file has the secret.",
            sentence(&s.title)
        ),
        url: String::new(),
        cwes: vec!["CWE-798".into()],
        severity: s.severity,
        message: format!(
            "{} in `{}`: take it out, and revoke it.",
            sentence(&s.title),
            result.target
        ),
        package: None,
        fingerprint: print(&[
            &s.rule,
            &location.path,
            &s.start_line.to_string(),
            places.name(),
        ]),
        path: location.path,
        line: location.line,
        end_line: location.end_line,
        suppressed: None,
    }
}

/// A place with whole lines.
pub(crate) fn location(path: String, line: u32, end_line: u32) -> place::Location {
    let line = line.max(1);
    place::Location {
        path,
        line,
        end_line: end_line.max(line),
    }
}
