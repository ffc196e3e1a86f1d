//! By which fingerprint a stored analysis has a finding.
//!
//! An analysis that an earlier version uploaded has the fingerprints of that version. GitHub closes an alert whose fingerprint
//! changes and opens it again without its dismissal, so a finding is uploaded with the fingerprint that its alert has. Once
//! the analysis has its own one, or none of the two, it is its own.

use std::collections::HashSet;

use serde_json::Value;

use crate::Finding;

/// Rule and fingerprint of a result.
pub type ResultKey = (String, String);

/// By what a result of a SARIF file is recognized.
pub fn result_key(result: &Value) -> ResultKey {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let fingerprint = &result["partialFingerprints"]["primaryLocationLineHash"];
    // SARIF 2.1.0, 3.27.5, has two properties for it, and GitHub returns either.
    let rule = result.get("ruleId").unwrap_or(&result["rule"]["id"]);
    (text(rule), text(fingerprint))
}

/// For each of `findings`, the key by which an analysis has it; `None` if it does not have it. `has` is whether the analysis
/// has a result with a key.
///
/// The former fingerprint of a finding is looked up where its own one is absent. It is not this finding's where it is another
/// one's own, and of two findings with the same one, it is the first one's.
pub fn stored_keys<'a>(
    findings: impl IntoIterator<Item = &'a Finding>,
    has: impl Fn(&ResultKey) -> bool,
) -> Vec<Option<ResultKey>> {
    let findings: Vec<_> = findings.into_iter().collect();
    let stored = |finding: &Finding, fingerprint: &str| {
        let key = (finding.rule.id.clone(), fingerprint.to_owned());
        has(&key).then_some(key)
    };
    let own = findings.iter();
    let own = own.map(|finding| stored(finding, &finding.fingerprint));
    let mut keys: Vec<_> = own.collect();
    if !findings.iter().any(|finding| has_former(finding)) {
        return keys;
    }
    let mut claimed: HashSet<_> = keys.iter().flatten().cloned().collect();
    for (finding, key) in findings.iter().zip(&mut keys) {
        if key.is_some() {
            continue;
        }
        let former = finding.former_fingerprint.as_deref();
        let former = former.and_then(|former| stored(finding, former));
        *key = former.filter(|former| claimed.insert(former.clone()));
    }
    keys
}

fn has_former(finding: &Finding) -> bool {
    finding.former_fingerprint.is_some()
}

/// Results of stored analyses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoredResults(HashSet<ResultKey>);

impl StoredResults {
    /// Whether any of `findings` may have another fingerprint in a stored analysis.
    pub fn matter_for(findings: &[Finding]) -> bool {
        findings.iter().any(has_former)
    }

    /// Add the results of the file `sarif`.
    pub fn add(&mut self, sarif: &Value) {
        let runs = sarif["runs"].as_array().into_iter().flatten();
        let results = runs.flat_map(|run| run["results"].as_array().into_iter().flatten());
        self.0.extend(results.map(result_key));
    }

    /// Whether each of `findings` that has two fingerprints is among them by one.
    pub fn decide(&self, findings: &[Finding]) -> bool {
        let keys = stored_keys(findings, |key| self.0.contains(key));
        let mut pairs = findings.iter().zip(keys);
        pairs.all(|(finding, key)| key.is_some() || !has_former(finding))
    }

    /// Give each of `findings` the fingerprint that it has among them.
    pub fn keep_fingerprints(&self, findings: &mut [Finding]) {
        let keys = stored_keys(&*findings, |key| self.0.contains(key));
        for (finding, key) in findings.iter_mut().zip(keys) {
            if let Some((_, stored)) = key.filter(|(_, stored)| *stored != finding.fingerprint) {
                let own = std::mem::replace(&mut finding.fingerprint, stored);
                finding.former_fingerprint = Some(own);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;
    use trivy::Severity;

    use super::*;
    use crate::{Location, Rule, Subject};

    fn finding(own: &str, former: Option<&str>) -> Finding {
        let rule = Rule {
            id: "R".to_owned(),
            ..Rule::default()
        };
        Finding {
            rule: Arc::new(rule),
            severity: Severity::High,
            message: String::new(),
            subject: Subject::Secret,
            location: Location::new("a", 1, 1),
            fingerprint: own.to_owned(),
            former_fingerprint: former.map(ToOwned::to_owned),
            suppressed: None,
        }
    }

    fn stored(fingerprints: &[&str]) -> StoredResults {
        let result = |print: &&str| json!({"ruleId": "R", "partialFingerprints": {"primaryLocationLineHash": print}});
        let results: Vec<_> = fingerprints.iter().map(result).collect();
        let mut stored = StoredResults::default();
        stored.add(&json!({"runs": [{"results": results}]}));
        stored
    }

    fn kept(fingerprints: &[&str], mut findings: Vec<Finding>) -> Vec<String> {
        stored(fingerprints).keep_fingerprints(&mut findings);
        findings.into_iter().map(|f| f.fingerprint).collect()
    }

    #[test]
    fn an_alert_keeps_its_fingerprint_as_long_as_it_has_the_former_one() {
        let one = || vec![finding("new:1", Some("old:1"))];
        let table: [(&[&str], &str); 5] = [
            (&["old:1"], "old:1"),
            (&["new:1"], "new:1"),
            (&["old:1", "new:1"], "new:1"),
            (&["other:1"], "new:1"),
            (&[], "new:1"),
        ];
        for (analysis, expected) in table {
            assert_eq!(kept(analysis, one()), [expected], "{analysis:?}");
        }
        assert_eq!(
            kept(&["old:1"], vec![finding("new:1", None)]),
            ["new:1"],
            "it is another finding"
        );
    }

    #[test]
    fn a_finding_that_has_kept_it_is_still_recognized_by_both() {
        let mut findings = [finding("new:1", Some("old:1"))];
        stored(&["old:1"]).keep_fingerprints(&mut findings);
        let prints: Vec<_> = findings[0].fingerprints().collect();
        assert_eq!(prints, ["old:1", "new:1"]);
    }

    #[test]
    fn one_alert_is_one_finding() {
        let two = || vec![finding("a:1", Some("old:1")), finding("b:1", Some("old:1"))];
        assert_eq!(kept(&["old:1"], two()), ["old:1", "b:1"]);
        // The number of a former fingerprint depends on other findings.
        let numbered = || vec![finding("a:2", Some("a:1")), finding("a:1", Some("a:2"))];
        assert_eq!(kept(&["a:1"], numbered()), ["a:2", "a:1"]);
        assert_eq!(kept(&["a:1", "a:2"], numbered()), ["a:2", "a:1"]);
    }

    #[test]
    fn another_analysis_is_needed_for_what_is_unknown() {
        let findings = [finding("a:1", Some("old:1")), finding("b:1", None)];
        assert!(StoredResults::matter_for(&findings));
        assert!(!StoredResults::matter_for(&findings[1..]));
        assert!(stored(&["a:1"]).decide(&findings));
        assert!(stored(&["old:1"]).decide(&findings));
        assert!(!stored(&["b:1"]).decide(&findings));
    }
}
