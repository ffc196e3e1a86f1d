//! The SARIF file: ours, since Trivy's own writer merges findings, changes identities with every build and
//! can be rejected for one odd path.
//!
//! What GitHub reads of it, and its limits: docs.github.com/code-security/reference/code-scanning/sarif-support-for-code-scanning.

use std::collections::{BTreeMap, BTreeSet};

use actions_toolkit::text::cut;
use anyhow::Context as _;
use serde_json::{Value, json};
use serde_sarif::sarif::Sarif;
use trivy::Severity;

use crate::findings::Finding;
use crate::place::uri;

/// Results that GitHub takes in one run; of these it shows the worst 5,000.
const RESULTS: usize = 25_000;
/// Characters of a description.
const DESCRIPTION: usize = 1000;
/// Tags of a rule.
const TAGS: usize = 10;

/// The file for `findings`, and how many of them are not in it.
pub(crate) fn of(
    findings: &[Finding],
    category: &str,
    version: &str,
) -> anyhow::Result<(Vec<u8>, usize)> {
    // The worst come first: what does not fit is the least of them.
    let kept = &findings[..findings.len().min(RESULTS)];
    let facts = facts(kept);
    let mut index = BTreeMap::new();
    let mut rules = Vec::new();
    for finding in kept {
        let rule_of = |finding: &Finding| {
            facts
                .get(finding.rule.as_str())
                .map(|facts| rule(finding, facts))
        };
        index.entry(finding.rule.as_str()).or_insert_with(|| {
            rules.extend(rule_of(finding));
            rules.len() - 1
        });
    }
    let results: Vec<_> = kept
        .iter()
        .map(|finding| {
            result(
                finding,
                index
                    .get(finding.rule.as_str())
                    .copied()
                    .unwrap_or_default(),
            )
        })
        .collect();
    let sarif = json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "Trivy", "version": version, "informationUri": "https://trivy.dev", "rules": rules,
            }},
            "automationDetails": {"id": format!("{}/", category.trim_end_matches('/'))},
            "columnKind": "utf16CodeUnits",
            "results": results,
        }],
    });
    // Through the types of the schema: what is not SARIF does not get out.
    let sarif: Sarif = serde_json::from_value(sarif).context("while building the SARIF file")?;
    let text = serde_json::to_vec(&sarif).context("while writing the SARIF file")?;
    Ok((text, findings.len() - kept.len()))
}

/// The middle of the band that GitHub shows under the name of `severity`.
const fn score(severity: Severity) -> Option<&'static str> {
    match severity {
        Severity::Critical => Some("9.5"),
        Severity::High => Some("8.0"),
        Severity::Medium => Some("5.5"),
        Severity::Low => Some("2.0"),
        Severity::Unknown => None,
    }
}

const fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical | Severity::High => "error",
        Severity::Medium => "warning",
        Severity::Low | Severity::Unknown => "note",
    }
}

// What is true of a rule whichever of its findings is looked at: one advisory may be rated differently in
// two packages, and the worst counts.
#[derive(Default)]
struct Facts<'a> {
    worst: Severity,
    cwes: BTreeSet<&'a str>,
}

fn facts(findings: &[Finding]) -> BTreeMap<&str, Facts<'_>> {
    let mut found: BTreeMap<&str, Facts<'_>> = BTreeMap::new();
    for finding in findings {
        let facts = found.entry(&finding.rule).or_default();
        facts.worst = facts.worst.max(finding.severity);
        facts.cwes.extend(
            finding
                .cwes
                .iter()
                .filter_map(|cwe| cwe.strip_prefix("CWE-")),
        );
    }
    found
}

fn rule(finding: &Finding, facts: &Facts<'_>) -> Value {
    let short = cut(&finding.title, DESCRIPTION);
    let full = cut(&finding.description, DESCRIPTION);
    let mut tags = vec!["security".to_owned()];
    tags.extend(
        facts
            .cwes
            .iter()
            .map(|number| format!("external/cwe/cwe-{number}")),
    );
    tags.truncate(TAGS);
    let page = if finding.url.is_empty() {
        String::new()
    } else {
        format!("\n\n[{}]({})", finding.rule, finding.url)
    };
    let mut rule = json!({
        "id": finding.rule,
        "name": finding.rule,
        "shortDescription": {"text": short},
        "fullDescription": {"text": full},
        "help": {"text": finding.description, "markdown": format!("{}{page}", actions_toolkit::text::markdown(&finding.description))},
        "defaultConfiguration": {"level": level(facts.worst)},
        "properties": {"tags": tags, "precision": "very-high"},
    });
    if let Some(score) = score(facts.worst) {
        rule["properties"]["security-severity"] = score.into();
    }
    if finding.url.starts_with("https://") {
        rule["helpUri"] = finding.url.as_str().into();
    }
    rule
}

fn result(finding: &Finding, rule: usize) -> Value {
    let mut result = json!({
        "ruleId": finding.rule,
        "ruleIndex": rule,
        "level": level(finding.severity),
        "message": {"text": finding.message},
        "locations": [{
            "physicalLocation": {
                "artifactLocation": {"uri": uri(&finding.path)},
                "region": {"startLine": finding.line, "endLine": finding.end_line, "startColumn": 1},
            },
        }],
        "partialFingerprints": {"primaryLocationLineHash": finding.fingerprint},
    });
    if let Some(package) = &finding.package {
        result["locations"][0]["logicalLocations"] = json!([{"name": package.name, "fullyQualifiedName": format!("{}@{}", package.name, package.installed), "kind": "module"}]);
    }
    if let Some(reason) = &finding.suppressed {
        result["suppressions"] =
            json!([{"kind": "external", "status": "accepted", "justification": reason}]);
    }
    result
}
