//! The rules and results of a SARIF file, within GitHub's limits.

use std::collections::BTreeMap;

use actions_toolkit::text::{self, cut};
use serde_json::Value;
use serde_sarif::sarif::{
    ArtifactLocation, Location, LogicalLocation, Message, MultiformatMessageString,
    PhysicalLocation, PropertyBag, Region, ReportingConfiguration, ReportingDescriptor, Result,
    ResultLevel, RunAutomationDetails, Suppression,
};
use trivy::Severity;

use crate::{Finding, Rule, Subject, uri};

/// Characters of a description that GitHub accepts.
const DESCRIPTION: usize = 1000;
/// Tags of a rule that GitHub keeps.
const TAGS: usize = 10;

/// A rule and the worst severity of its findings: an advisory may be rated differently for two packages.
pub(super) struct Facts<'a> {
    pub(super) rule: &'a Rule,
    pub(super) worst: Severity,
}

/// The id of an analysis: the category up to the last `/`, then the run id.
pub(super) fn automation_details(category: &str, run_id: &str) -> RunAutomationDetails {
    RunAutomationDetails::builder()
        .id(format!("{}/{run_id}", category.trim_end_matches('/')))
        .build()
}

/// The score with which GitHub shows the severity under its own name: critical is over 9.0, high 7.0 to 8.9,
/// medium 4.0 to 6.9, low 0.1 to 3.9. The advisory's score where it is in this band, else the band's middle.
fn score(severity: Severity, own: Option<f64>) -> Option<String> {
    let (low, high, middle) = match severity {
        Severity::Critical => (9.1, 10.0, 9.5),
        Severity::High => (7.0, 8.9, 8.0),
        Severity::Medium => (4.0, 6.9, 5.5),
        Severity::Low => (0.1, 3.9, 2.0),
        Severity::Unknown => return None,
    };
    let score = own
        .filter(|score| (low..=high).contains(score))
        .unwrap_or(middle);
    Some(format!("{score:.1}"))
}

pub(super) const fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical | Severity::High => "error",
        Severity::Medium => "warning",
        Severity::Low | Severity::Unknown => "note",
    }
}

const fn result_level(severity: Severity) -> ResultLevel {
    match severity {
        Severity::Critical | Severity::High => ResultLevel::Error,
        Severity::Medium => ResultLevel::Warning,
        Severity::Low | Severity::Unknown => ResultLevel::Note,
    }
}

fn text_of(text: &str) -> MultiformatMessageString {
    MultiformatMessageString::builder()
        .text(text.to_owned())
        .build()
}

/// GitHub's severity of a finding that is not about security.
const fn problem(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical | Severity::High => "error",
        Severity::Medium => "warning",
        Severity::Low | Severity::Unknown => "recommendation",
    }
}

/// A rule; `security` is whether it is about security.
pub(super) fn rule(facts: &Facts<'_>, security: bool) -> ReportingDescriptor {
    let rule = facts.rule;
    let mut tags = Vec::new();
    if security {
        tags.push("security".to_owned());
    }
    let numbers = rule.cwes.iter().filter_map(|cwe| cwe.strip_prefix("CWE-"));
    tags.extend(numbers.map(|number| format!("external/cwe/cwe-{number}")));
    tags.truncate(TAGS);
    let mut properties = BTreeMap::from([("precision".to_owned(), Value::from("very-high"))]);
    if !security {
        let problem = problem(facts.worst);
        properties.insert("problem.severity".to_owned(), problem.into());
    } else if let Some(score) = score(facts.worst, rule.score) {
        properties.insert("security-severity".to_owned(), score.into());
    }
    let page = if rule.url.is_empty() {
        String::new()
    } else {
        format!("\n\n[{}]({})", text::markdown(&rule.id), rule.url)
    };
    let help = MultiformatMessageString::builder()
        .text(rule.description.clone())
        .markdown(format!("{}{page}", text::markdown(&rule.description)))
        .build();
    let configuration = ReportingConfiguration::builder()
        .level(Value::from(level(facts.worst)))
        .build();
    let mut descriptor = ReportingDescriptor::builder()
        .id(rule.id.clone())
        .short_description(text_of(cut(&rule.title, DESCRIPTION)))
        .full_description(text_of(cut(&rule.description, DESCRIPTION)))
        .help(help)
        .default_configuration(configuration)
        .properties(
            PropertyBag::builder()
                .tags(tags)
                .additional_properties(properties)
                .build(),
        )
        .build();
    descriptor.help_uri = Some(rule.url.clone()).filter(|url| url.starts_with("https://"));
    descriptor
}

/// A result of the rule at index `rule`.
pub(super) fn result(finding: &Finding, rule: usize) -> Result {
    let region = Region::builder()
        .start_line(i64::from(finding.location.line))
        .end_line(i64::from(finding.location.end_line))
        .start_column(1_i64)
        .build();
    let file = ArtifactLocation::builder()
        .uri(uri(&finding.location.path))
        .build();
    let mut location = Location::builder()
        .physical_location(
            PhysicalLocation::builder()
                .artifact_location(file)
                .region(region)
                .build(),
        )
        .build();
    location.logical_locations = logical(&finding.subject).map(|logical| vec![logical]);
    let fingerprint = (
        "primaryLocationLineHash".to_owned(),
        finding.fingerprint.clone(),
    );
    let mut result = Result::builder()
        .rule_id(finding.rule.id.clone())
        .rule_index(i64::try_from(rule).unwrap_or_default())
        .level(result_level(finding.severity))
        .message(Message::builder().text(finding.message.clone()).build())
        .locations(vec![location])
        .partial_fingerprints(BTreeMap::from([fingerprint]))
        .build();
    result.suppressions = finding.suppressed.as_ref().map(|reason| {
        let suppression = Suppression::builder()
            .kind(Value::from("external"))
            .status(Value::from("accepted"))
            .justification(reason.text())
            .build();
        vec![suppression]
    });
    result
}

fn logical(subject: &Subject) -> Option<LogicalLocation> {
    let (name, full, kind) = match subject {
        Subject::Package(package) => (
            package.name.clone(),
            format!("{}@{}", package.name, package.installed),
            "package",
        ),
        Subject::Check { resource } if !resource.is_empty() => {
            (resource.clone(), resource.clone(), "resource")
        }
        Subject::License { package } if !package.is_empty() => {
            (package.clone(), package.clone(), "package")
        }
        Subject::Check { .. } | Subject::Secret | Subject::License { .. } => return None,
    };
    let logical = LogicalLocation::builder()
        .name(name)
        .fully_qualified_name(full)
        .kind(kind.to_owned())
        .build();
    Some(logical)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_score_is_in_the_band_of_the_severity() {
        let table = [
            (Severity::Critical, Some(9.8), Some("9.8")),
            // Exactly 9.0 is in no band.
            (Severity::Critical, Some(9.0), Some("9.5")),
            (Severity::Medium, Some(7.8), Some("5.5")),
            (Severity::High, None, Some("8.0")),
            (Severity::Low, Some(0.0), Some("2.0")),
            (Severity::Unknown, Some(9.8), None),
        ];
        for (severity, own, expected) in table {
            assert_eq!(
                score(severity, own).as_deref(),
                expected,
                "{severity} {own:?}"
            );
        }
    }
}
