//! Earlier findings, and what is new and fixed since.

use std::collections::{BTreeMap, HashSet};

use findings::{Finding, ResultKey, result_key, sarif, stored_keys};
use serde_json::Value;
use trivy::Severity;

use crate::filter::Filter;

/// The analysis of `category` in a SARIF file.
pub(super) fn analysis<'a>(sarif: &'a Value, category: &str) -> Option<&'a Value> {
    let has_category = |run: &&Value| {
        let id = run.pointer("/automationDetails/id").and_then(Value::as_str);
        let (run_category, _) = github::category_and_run_id(id.unwrap_or_default());
        run_category == category.trim_end_matches('/')
    };
    sarif["runs"].as_array()?.iter().find(has_category)
}

/// The results of the analysis of `category` in a SARIF file, or of its only analysis.
pub(super) fn results<'a>(sarif: &'a Value, category: &str) -> Option<&'a [Value]> {
    let run = match &sarif["runs"].as_array()?[..] {
        [run] => run,
        _ => analysis(sarif, category)?,
    };
    run["results"].as_array().map(Vec::as_slice)
}

/// Earlier open findings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Baseline {
    /// The message of each, by rule and fingerprint.
    messages: BTreeMap<ResultKey, String>,
    /// Findings up to this severity may be missing: the file has room for the worst only.
    cut: Option<Severity>,
    /// Those that the filter hides; `None` if it may lack such findings, since they are not uploaded.
    hidden: Option<HashSet<ResultKey>>,
}

impl Baseline {
    /// The findings of the analysis of `category` in a SARIF file, or of its only analysis.
    pub(crate) fn from_sarif(sarif: &Value, category: &str) -> Option<Self> {
        let results = results(sarif, category)?;
        let is_open = |result: &Value| result["suppressions"].as_array().is_none_or(Vec::is_empty);
        let open = results.iter().filter(|result| is_open(result));
        let messages = open.map(|result| {
            let message = &result["message"]["text"];
            let message = message.as_str().unwrap_or_default();
            (result_key(result), message.to_owned())
        });
        // Suppressed results are the last ones.
        let last = results.last().filter(|last| is_open(last));
        let cut = last.filter(|_| sarif::may_be_cut(results.len()));
        Some(Self {
            messages: messages.collect(),
            cut: cut.map(|last| sarif::worst_of_level(last["level"].as_str())),
            hidden: None,
        })
    }

    /// The open ones of `findings`, some of which `filter` hides.
    pub(crate) fn from_findings(findings: &[Finding], filter: &Filter) -> Self {
        let key = |finding: &Finding| (finding.rule.id.clone(), finding.fingerprint.clone());
        let open = findings.iter().filter(|finding| finding.is_open());
        let messages = open.map(|finding| (key(finding), finding.message.clone()));
        let hidden = findings.iter().filter(|finding| !filter.shows(finding));
        Self {
            messages: messages.collect(),
            cut: None,
            hidden: Some(hidden.map(key).collect()),
        }
    }

    /// Compare `findings`, and those that the filter hides, with the baseline.
    pub(crate) fn compare(&self, findings: &[Finding], hidden: &[Finding]) -> Comparison {
        let all = findings.iter().chain(hidden);
        let keys = stored_keys(all, |key| self.messages.contains_key(key));
        let mut left: HashSet<_> = self.messages.keys().collect();
        for key in keys.iter().flatten() {
            left.remove(key);
        }
        let (shown, hidden_keys) = keys.split_at(findings.len());
        let mut undecided = 0;
        let mut new = Vec::with_capacity(findings.len());
        for (finding, key) in findings.iter().zip(shown) {
            let is_added = finding.is_open() && key.is_none();
            // The baseline may have had it.
            let is_undecided = is_added && self.cut.is_some_and(|cut| finding.severity <= cut);
            undecided += usize::from(is_undecided);
            new.push(is_added && !is_undecided);
        }
        let mut new_hidden = Vec::with_capacity(hidden.len());
        let mut undecided_hidden = Vec::new();
        for (at, key) in hidden_keys.iter().enumerate() {
            if key.is_none() && self.hidden.is_none() {
                undecided_hidden.push(at);
            }
            new_hidden.push(key.is_none() && self.hidden.is_some());
        }
        if let Some(hidden) = &self.hidden {
            left.retain(|key| !hidden.contains(key));
        }
        let messages = self.messages.iter();
        let fixed = messages.filter(|(key, _)| left.contains(key));
        Comparison {
            new,
            fixed: fixed
                .map(|((rule, _), message)| (rule.clone(), message.clone()))
                .collect(),
            undecided,
            new_hidden,
            undecided_hidden,
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
    /// How many findings a baseline that was cut may have had.
    pub(crate) undecided: usize,
    /// For each finding that the filter hides, whether it is not in the baseline.
    pub(crate) new_hidden: Vec<bool>,
    /// The indices of hidden findings that the base may have: it is an upload, which has none of them.
    pub(crate) undecided_hidden: Vec<usize>,
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
        let count = |sarif: &Value, category| {
            Baseline::from_sarif(sarif, category).map(|b| b.messages.len())
        };
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
        let compared = baseline.compare(&current, &[]);
        assert_eq!(compared.count_new(), 1);
        let fixed: Vec<_> = compared
            .fixed
            .iter()
            .map(|(rule, _)| rule.as_str())
            .collect();
        assert_eq!(fixed, ["CVE-1", "CVE-2"]);
        assert_eq!(
            Baseline::from_findings(&current, &Filter::default())
                .compare(&current, &[])
                .count_new(),
            0
        );
        current[0].suppressed = Some(findings::Suppression {
            reason: String::new(),
            source: String::new(),
            status: String::new(),
        });
        assert_eq!(baseline.compare(&current, &[]).count_new(), 0);
    }

    fn vulnerable(id: &str, severity: &str) -> Value {
        json!({"VulnerabilityID": id, "PkgName": "a", "Severity": severity})
    }

    fn findings_of(results: &Value, source: &findings::SourceFiles) -> Vec<Finding> {
        let report = json!({"SchemaVersion": 2, "Results": results});
        let locator = findings::Locator::new("app", "", source);
        findings::from_report(serde_json::from_value(report).unwrap(), &locator)
    }

    #[test]
    fn a_cut_baseline_decides_what_it_could_hold() {
        let source = findings::SourceFiles::default();
        let scan = |more: &[Value]| {
            let count = sarif::SHOWN + 500;
            let mut all: Vec<_> = (0..count)
                .map(|at| vulnerable(&format!("CVE-{at:05}"), "LOW"))
                .collect();
            all.extend_from_slice(more);
            findings_of(
                &json!([{"Class": "os-pkgs", "Vulnerabilities": all}]),
                &source,
            )
        };
        let stored = |findings: &[Finding]| {
            let analysis = sarif::Analysis {
                driver: &sarif::TRIVY,
                category: "c",
                version: "1",
                findings,
            };
            let file = sarif::write(&[analysis], sarif::SHOWN).unwrap();
            Baseline::from_sarif(&serde_json::from_slice(&file).unwrap(), "c").unwrap()
        };
        let base = stored(&scan(&[]));
        let same = base.compare(&scan(&[]), &[]);
        assert_eq!((same.count_new(), same.undecided), (0, 500));
        let worse = base.compare(&scan(&[vulnerable("CVE-X", "MEDIUM")]), &[]);
        assert_eq!((worse.count_new(), worse.undecided), (1, 500));
        assert_eq!(worse.fixed, []);
    }

    #[test]
    fn an_analysis_of_an_earlier_version_has_the_same_findings() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("Dockerfile"), "FROM node:22\n").unwrap();
        let source = findings::SourceFiles::new(directory.path());
        let check = json!({"ID": "DS-1", "Message": "m", "Severity": "HIGH", "Status": "FAIL", "CauseMetadata": {"StartLine": 1, "EndLine": 1}});
        let results =
            json!([{"Target": "Dockerfile", "Class": "config", "Misconfigurations": [check]}]);
        let current = findings_of(&results, &source);
        let print = source.line_hash("Dockerfile", 1).unwrap();
        let sarif = json!({"runs": [{"results": [result("DS-1", &print)]}]});
        let compared = Baseline::from_sarif(&sarif, "")
            .unwrap()
            .compare(&current, &[]);
        assert_eq!((compared.count_new(), compared.fixed.len()), (0, 0));
    }
}
