//! The filter: which open findings are shown and uploaded. The gate counts the others too.

use findings::Finding;
use trivy::Severity;

use crate::request::Inputs;

/// Which open findings are shown and uploaded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Filter {
    /// Empty for all.
    severities: Vec<Severity>,
    ignore_unfixed: bool,
}

impl Filter {
    pub(crate) fn new(inputs: &Inputs) -> Self {
        Self {
            severities: inputs.severity.0.iter().map(|shown| shown.0).collect(),
            ignore_unfixed: inputs.ignore_unfixed,
        }
    }

    /// Whether an open finding is shown. A suppressed one is always listed as such.
    pub(crate) fn shows(&self, finding: &Finding) -> bool {
        let has_severity =
            self.severities.is_empty() || self.severities.contains(&finding.severity);
        let is_unfixed = finding
            .package()
            .is_some_and(|package| package.fixed.is_empty());
        !finding.is_open() || has_severity && !(self.ignore_unfixed && is_unfixed)
    }

    /// The shown ones of `findings`, and the hidden ones, each in their order.
    pub(crate) fn split(&self, findings: Vec<Finding>) -> (Vec<Finding>, Vec<Finding>) {
        findings
            .into_iter()
            .partition(|finding| self.shows(finding))
    }

    /// The inputs that hide something, for a message.
    pub(crate) fn inputs(&self) -> String {
        let severity = (!self.severities.is_empty()).then_some(Inputs::severity);
        let unfixed = self.ignore_unfixed.then_some(Inputs::ignore_unfixed);
        let inputs = severity.into_iter().chain(unfixed);
        let inputs: Vec<_> = inputs.map(|input| format!("`{input}`")).collect();
        inputs.join(" and ")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn findings() -> Vec<Finding> {
        let vulnerable = |id: &str, severity: &str, fixed: &str| json!({"VulnerabilityID": id, "PkgName": "a", "Severity": severity, "FixedVersion": fixed});
        let report = json!({"SchemaVersion": 2, "Results": [
            {"Class": "os-pkgs", "Vulnerabilities": [
                vulnerable("CVE-1", "CRITICAL", "2"), vulnerable("CVE-2", "HIGH", ""), vulnerable("CVE-3", "UNKNOWN", "2"),
            ], "ExperimentalModifiedFindings": [{"Type": "vulnerability", "Finding": vulnerable("CVE-4", "LOW", "")}]},
            {"Target": "Dockerfile", "Class": "config", "Misconfigurations": [{"ID": "DS-1", "Severity": "HIGH", "Status": "FAIL"}]},
        ]});
        let source = findings::SourceFiles::default();
        let locator = findings::Locator::new("app", "", &source);
        findings::from_report(serde_json::from_value(report).unwrap(), &locator)
    }

    #[test]
    fn what_is_hidden_is_open_and_of_another_severity_or_without_a_fix() {
        let table: [(&[Severity], bool, &[&str], &str); 5] = [
            (&[], false, &[], ""),
            (&[], true, &["CVE-2"], "`ignore-unfixed`"),
            (&[Severity::High], false, &["CVE-1", "CVE-3"], "`severity`"),
            (
                &[Severity::High, Severity::Critical],
                true,
                &["CVE-2", "CVE-3"],
                "`severity` and `ignore-unfixed`",
            ),
            (
                &[Severity::Unknown],
                false,
                &["CVE-1", "CVE-2", "DS-1"],
                "`severity`",
            ),
        ];
        for (severities, ignore_unfixed, expected, inputs) in table {
            let filter = Filter {
                severities: severities.to_vec(),
                ignore_unfixed,
            };
            let (shown, hidden) = filter.split(findings());
            let hidden: Vec<_> = hidden.iter().map(|f| f.rule.id.as_str()).collect();
            assert_eq!(hidden, expected);
            assert_eq!(shown.len() + hidden.len(), 5);
            assert_eq!(filter.inputs(), inputs);
        }
    }
}
