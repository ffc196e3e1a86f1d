//! The rules and results of a SARIF file, within GitHub's limits.
//!
//! Rules are of the schema's own types (crate `serde-sarif`). Of results there are up to 25,000, and those types have thirty
//! properties each and a copy of every text: a result borrows from its finding, with the properties that are written, in the
//! order of the schema's types. A test writes each one again by those.

use std::borrow::Cow;
use std::collections::BTreeMap;

use actions_toolkit::text::{self, cut};
use serde::Serialize;
use serde_json::Value;
use serde_sarif::sarif::{
    MultiformatMessageString, PropertyBag, ReportingConfiguration, ReportingDescriptor,
    RunAutomationDetails,
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

/// `message` of the schema.
#[derive(Serialize)]
struct Message<'a> {
    text: &'a str,
}

/// `result` of the schema.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Entry<'a> {
    level: &'static str,
    locations: [Location<'a>; 1],
    message: Message<'a>,
    partial_fingerprints: Fingerprints<'a>,
    rule_id: &'a str,
    rule_index: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    suppressions: Option<[Suppression; 1]>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Location<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    logical_locations: Option<[LogicalLocation<'a>; 1]>,
    physical_location: PhysicalLocation,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LogicalLocation<'a> {
    fully_qualified_name: Cow<'a, str>,
    kind: &'static str,
    name: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PhysicalLocation {
    artifact_location: ArtifactLocation,
    region: Region,
}

#[derive(Serialize)]
struct ArtifactLocation {
    uri: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Region {
    end_line: u32,
    start_column: u32,
    start_line: u32,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Fingerprints<'a> {
    primary_location_line_hash: &'a str,
}

#[derive(Serialize)]
struct Suppression {
    justification: String,
    kind: &'static str,
    status: &'static str,
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
pub(super) fn result(finding: &Finding, rule: usize) -> Entry<'_> {
    let location = &finding.location;
    let suppression = |reason: &crate::Suppression| Suppression {
        justification: reason.text(),
        kind: "external",
        status: "accepted",
    };
    Entry {
        level: level(finding.severity),
        locations: [Location {
            logical_locations: logical(&finding.subject).map(|logical| [logical]),
            physical_location: PhysicalLocation {
                artifact_location: ArtifactLocation {
                    uri: uri(&location.path),
                },
                region: Region {
                    end_line: location.end_line,
                    start_column: 1,
                    start_line: location.line,
                },
            },
        }],
        message: Message {
            text: &finding.message,
        },
        partial_fingerprints: Fingerprints {
            primary_location_line_hash: &finding.fingerprint,
        },
        rule_id: &finding.rule.id,
        rule_index: rule,
        suppressions: finding
            .suppressed
            .as_ref()
            .map(|reason| [suppression(reason)]),
    }
}

fn logical(subject: &Subject) -> Option<LogicalLocation<'_>> {
    let (name, full, kind) = match subject {
        Subject::Package(package) => (
            &package.name,
            Cow::Owned(format!("{}@{}", package.name, package.installed)),
            "package",
        ),
        Subject::Check { resource } if !resource.is_empty() => {
            (resource, Cow::Borrowed(resource.as_str()), "resource")
        }
        Subject::License { package } if !package.is_empty() => {
            (package, Cow::Borrowed(package.as_str()), "package")
        }
        Subject::Check { .. } | Subject::Secret | Subject::License { .. } => return None,
    };
    Some(LogicalLocation {
        fully_qualified_name: full,
        kind,
        name,
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_sarif::sarif;

    use super::*;
    use crate::Package;

    // As the type of the schema writes it.
    fn of_schema(text: &str) -> String {
        let entry: sarif::Result = serde_json::from_str(text).unwrap();
        serde_json::to_string(&entry).unwrap()
    }

    #[test]
    fn results_are_written_as_the_type_of_the_schema_is() {
        let rule = Arc::new(Rule {
            id: "CVE-1_a".into(),
            title: "A title".into(),
            description: String::new(),
            url: String::new(),
            cwes: Vec::new(),
            score: None,
        });
        let package = Package {
            name: "openssl".into(),
            installed: "1".into(),
            fixed: String::new(),
            status: String::new(),
        };
        let suppression = crate::Suppression {
            reason: "not reachable".into(),
            source: ".trivyignore".into(),
            status: "ignored".into(),
        };
        for subject in [
            Subject::Package(package),
            Subject::Check {
                resource: "Deployment/web".into(),
            },
            Subject::License {
                package: "a".into(),
            },
            Subject::Secret,
        ] {
            for suppressed in [None, Some(suppression.clone())] {
                let finding = Finding {
                    rule: Arc::clone(&rule),
                    severity: Severity::Low,
                    message: "a \"message\"".into(),
                    subject: subject.clone(),
                    location: crate::Location::new("a b/c", 3, 4),
                    fingerprint: "00:1".into(),
                    former_fingerprint: None,
                    suppressed,
                };
                let text = serde_json::to_string(&result(&finding, 7)).unwrap();
                assert_eq!(of_schema(&text), text);
            }
        }
    }

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
