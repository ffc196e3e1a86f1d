//! From the diagnostics of a linter to findings with paths of the repository.

use std::sync::Arc;

use ::findings::{Finding, Location, Rule, SourceFiles, Subject};
use trivy::Severity;

use super::linters::{Diagnostic, Level};
use crate::request::Request;
use crate::source_map::SourceMap;

/// The findings of `diagnostics`, the most severe first.
pub(super) fn from_diagnostics(
    request: &Request,
    source_map: &SourceMap,
    diagnostics: Vec<Diagnostic>,
) -> Vec<Finding> {
    let source = SourceFiles::new(request.workspace.root());
    let dockerfile = || {
        let path = source_map.file(&request.build.dockerfile);
        path.unwrap_or_else(|| request.build.dockerfile.clone())
    };
    let mut findings: Vec<_> = diagnostics
        .into_iter()
        .map(|diagnostic| {
            let path = match &diagnostic.path {
                Some(path) => source_map
                    .file(path)
                    .unwrap_or_else(|| path.trim_start_matches(['/', '.']).to_owned()),
                None => match (diagnostic.code.as_str(), &request.dependencies) {
                    ("pip-check", Some(dependencies)) => dependencies.path.relative().to_owned(),
                    _ => dockerfile(),
                },
            };
            let location = Location::new(path, diagnostic.line, diagnostic.end_line);
            let hash = source.line_hash(&location.path, location.line);
            Finding {
                rule: Arc::new(rule(&diagnostic)),
                severity: match diagnostic.level {
                    Level::Error => Severity::High,
                    Level::Warning => Severity::Medium,
                    Level::Note => Severity::Low,
                },
                message: diagnostic.message,
                subject: Subject::Check {
                    resource: String::new(),
                },
                fingerprint: hash.unwrap_or_else(|| "0:1".to_owned()),
                location,
                suppressed: None,
            }
        })
        .collect();
    findings.sort_by(|a, b| (b.severity, &a.location).cmp(&(a.severity, &b.location)));
    findings
}

fn rule(diagnostic: &Diagnostic) -> Rule {
    Rule {
        id: diagnostic.code.clone(),
        title: diagnostic.code.clone(),
        description: diagnostic.message.clone(),
        url: diagnostic.url.clone(),
        cwes: diagnostic
            .cwe
            .iter()
            .map(|id| format!("CWE-{id}"))
            .collect(),
        score: None,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Findings of these severities.
    pub(in crate::analysis) fn findings(severities: &[Severity]) -> Vec<Finding> {
        let finding = |severity: &Severity| Finding {
            rule: Arc::new(Rule::default()),
            severity: *severity,
            message: "m".into(),
            subject: Subject::Check {
                resource: String::new(),
            },
            location: Location::new("app.py", 1, 1),
            fingerprint: "0:1".into(),
            suppressed: None,
        };
        severities.iter().map(finding).collect()
    }
}
