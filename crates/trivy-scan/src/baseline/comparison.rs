//! Earlier findings, and what is new and fixed since.

use findings::Finding;
use serde_json::Value;
use std::collections::{BTreeMap, HashSet};

/// The messages of earlier open findings, by rule and fingerprint.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Baseline(BTreeMap<(String, String), String>);

impl Baseline {
    /// The findings of the analysis of `category` in a SARIF file, or of its only analysis.
    pub(crate) fn from_sarif(sarif: &Value, category: &str) -> Option<Self> {
        let runs = sarif["runs"].as_array()?;
        let has_category = |run: &&Value| {
            let id = run.pointer("/automationDetails/id").and_then(Value::as_str);
            let (run_category, _) = github::category_and_run_id(id.unwrap_or_default());
            run_category == category.trim_end_matches('/')
        };
        let run = match &runs[..] {
            [run] => run,
            runs => runs.iter().find(has_category)?,
        };
        let results = run["results"].as_array()?;
        let open = results
            .iter()
            .filter(|result| result["suppressions"].as_array().is_none_or(Vec::is_empty));
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let messages = open.map(|result| {
            let fingerprint = &result["partialFingerprints"]["primaryLocationLineHash"];
            // SARIF 2.1.0, 3.27.5, has two properties for it, and GitHub returns either.
            let rule = result.get("ruleId").unwrap_or(&result["rule"]["id"]);
            let key = (text(rule), text(fingerprint));
            (key, text(&result["message"]["text"]))
        });
        Some(Self(messages.collect()))
    }

    /// The open ones of `findings`.
    pub(crate) fn from_findings(findings: &[Finding]) -> Self {
        let open = findings.iter().filter(|finding| finding.is_open());
        let messages = open.map(|finding| {
            let key = (finding.rule.id.clone(), finding.fingerprint.clone());
            (key, finding.message.clone())
        });
        Self(messages.collect())
    }

    /// Compare `findings` with the baseline.
    pub(crate) fn compare(&self, findings: &[Finding]) -> Comparison {
        let keys: HashSet<(&str, &str)> = findings
            .iter()
            .map(|finding| (&*finding.rule.id, &*finding.fingerprint))
            .collect();
        let is_new = |finding: &Finding| {
            let key = (finding.rule.id.clone(), finding.fingerprint.clone());
            finding.is_open() && !self.0.contains_key(&key)
        };
        let fixed = self
            .0
            .iter()
            .filter(|((rule, print), _)| !keys.contains(&(&**rule, &**print)));
        Comparison {
            new: findings.iter().map(is_new).collect(),
            fixed: fixed
                .map(|((rule, _), message)| (rule.clone(), message.clone()))
                .collect(),
        }
    }
}

/// Findings compared with a baseline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Comparison {
    /// For each finding, whether it is open and not in the baseline.
    pub(crate) new: Vec<bool>,
    /// Rule and message of each finding of the baseline that is gone.
    pub(crate) fixed: Vec<(String, String)>,
}

impl Comparison {
    /// The number of new findings.
    pub(crate) fn count_new(&self) -> usize {
        self.new.iter().filter(|new| **new).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn result(rule: &str, print: &str) -> Value {
        json!({"ruleId": rule, "message": {"text": format!("{rule}.")}, "partialFingerprints": {"primaryLocationLineHash": print}})
    }

    #[test]
    fn an_analysis_is_found_by_its_category() {
        let run = |id: &str, rule: &str| json!({"automationDetails": {"id": id}, "results": [result(rule, "1:1")]});
        let two = json!({"runs": [run("a/", "CVE-1"), run("b/", "CVE-2")]});
        let count =
            |sarif: &Value, category| Baseline::from_sarif(sarif, category).map(|b| b.0.len());
        assert_eq!(count(&two, "b"), Some(1));
        assert_eq!(count(&two, "c"), None);
        assert_eq!(count(&json!({"runs": [run("a/", "CVE-1")]}), "c"), Some(1));
        assert_eq!(count(&json!({"runs": []}), "c"), None);
    }

    #[test]
    fn new_and_fixed_are_determined_by_rule_and_fingerprint() {
        let mut suppressed = result("CVE-9", "9:1");
        suppressed["suppressions"] = json!([{"kind": "external"}]);
        let sarif = json!({"runs": [{"results": [result("CVE-1", "1:1"), result("CVE-2", "1:1"), suppressed]}]});
        let baseline = Baseline::from_sarif(&sarif, "").unwrap();
        let report = json!({"SchemaVersion": 2, "Results": [{"Class": "os-pkgs", "Vulnerabilities": [{"VulnerabilityID": "CVE-3", "PkgName": "a", "Severity": "LOW"}]}]});
        let source = findings::SourceFiles::default();
        let locator = findings::Locator::new("app", "", &source);
        let mut current = findings::from_report(serde_json::from_value(report).unwrap(), &locator);
        let compared = baseline.compare(&current);
        assert_eq!(compared.count_new(), 1);
        let fixed: Vec<_> = compared
            .fixed
            .iter()
            .map(|(rule, _)| rule.as_str())
            .collect();
        assert_eq!(fixed, ["CVE-1", "CVE-2"]);
        assert_eq!(
            Baseline::from_findings(&current)
                .compare(&current)
                .count_new(),
            0
        );
        current[0].suppressed = Some(findings::Suppression {
            reason: String::new(),
            source: String::new(),
            status: String::new(),
        });
        assert_eq!(baseline.compare(&current).count_new(), 0);
    }
}
