use std::sync::Arc;

use proptest::prelude::*;
use serde_json::Value;
use serde_sarif::sarif::Sarif;

use super::*;
use crate::{Location, Package, Rule, Subject, Suppression};

fn finding(rule: &str, severity: Severity, path: &str) -> Finding {
    Finding {
        rule: Arc::new(Rule {
            id: rule.into(),
            title: "t".into(),
            description: "d".into(),
            url: "https://example.com/a".into(),
            cwes: vec!["CWE-787".into()],
            score: None,
        }),
        severity,
        message: "m".into(),
        subject: Subject::Package(Package {
            name: "openssl".into(),
            installed: "1".into(),
            fixed: String::new(),
            status: String::new(),
        }),
        location: Location::new(path, 3, 4),
        fingerprint: "00:1".into(),
        former_fingerprint: None,
        suppressed: None,
    }
}

fn file(findings: &[Finding], results: usize) -> Value {
    let analysis = Analysis {
        driver: &TRIVY,
        category: "image/app",
        version: "0.72.0",
        findings,
    };
    let bytes = write(&[analysis], results).unwrap();
    serde_json::from_slice::<Sarif>(&bytes).unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

#[test]
fn a_rule_has_the_worst_severity_of_its_findings_and_a_result_its_own() {
    let found = [
        finding("CVE-1", Severity::High, "a"),
        finding("CVE-2", Severity::High, "a"),
        finding("CVE-1", Severity::Low, "b"),
    ];
    let run = &file(&found, RESULTS)["runs"][0];
    let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
    assert_eq!(rules.len(), 2);
    assert_eq!(rules[0]["properties"]["security-severity"], "8.0");
    assert_eq!(rules[0]["properties"]["tags"][1], "external/cwe/cwe-787");
    let index: Vec<_> = run["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| (r["ruleIndex"].clone(), r["level"].clone()))
        .collect();
    assert_eq!(
        index,
        [
            (0.into(), "error".into()),
            (1.into(), "error".into()),
            (0.into(), "note".into())
        ]
    );
    assert_eq!(run["automationDetails"]["id"], "image/app/");
}

#[test]
fn the_least_severe_findings_are_cut() {
    let found = [
        finding("CVE-1", Severity::High, "a"),
        finding("CVE-2", Severity::Low, "a"),
    ];
    let run = &file(&found, 1)["runs"][0];
    assert_eq!(run["results"].as_array().unwrap().len(), 1);
    assert_eq!(run["tool"]["driver"]["rules"][0]["id"], "CVE-1");
}

#[test]
fn a_suppressed_finding_is_in_the_file_with_its_reason() {
    let mut one = finding("CVE-1", Severity::High, "a");
    one.suppressed = Some(Suppression {
        reason: "not reachable".into(),
        source: ".trivyignore".into(),
        status: "ignored".into(),
    });
    let found = file(&[one], RESULTS);
    let reason = &found["runs"][0]["results"][0]["suppressions"][0]["justification"];
    assert_eq!(reason, "not reachable (.trivyignore)");
}

#[test]
fn two_targets_are_two_analyses_of_one_file() {
    let found = [finding("CVE-1", Severity::High, "a")];
    let of = |category| Analysis {
        driver: &TRIVY,
        category,
        version: "0.72.0",
        findings: &found,
    };
    let bytes = write(&[of("a"), of("b/")], RESULTS).unwrap();
    let file: Value = serde_json::from_slice(&bytes).unwrap();
    let ids: Vec<_> = file["runs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|run| &run["automationDetails"]["id"])
        .collect();
    assert_eq!(ids, ["a/", "b/"]);
}

#[test]
fn a_run_id_follows_the_category() {
    let analysis = Analysis {
        driver: &TRIVY,
        category: "image/app/",
        version: "0.72.0",
        findings: &[],
    };
    let bytes = write_run(PATCHED, &[analysis], RESULTS).unwrap();
    let file: Value = serde_json::from_slice(&bytes).unwrap();
    let id = &file["runs"][0]["automationDetails"]["id"];
    assert_eq!(id, "image/app/patched");
}

#[test]
fn the_security_tab_gets_open_findings_only() {
    let mut last = finding("CVE-2", Severity::Critical, "a");
    last.suppressed = Some(Suppression {
        reason: String::new(),
        source: ".trivyignore".into(),
        status: "ignored".into(),
    });
    let found = [finding("CVE-1", Severity::Low, "a"), last];
    assert_eq!(open(&found), &found[..1]);
    assert_eq!(open(&found[1..]), &[]);
}

proptest! {
    #[test]
    fn any_path_and_text_gives_a_valid_file(path in ".{0,40}", text in ".{0,1200}") {
        let mut one = finding("CVE-1", Severity::Medium, &path);
        one.message.clone_from(&text);
        one.rule = Arc::new(Rule { title: format!("x{text}"), description: format!("x{text}"), ..(*one.rule).clone() });
        let file = file(&[one], RESULTS);
        let run = &file["runs"][0];
        let short = run["tool"]["driver"]["rules"][0]["shortDescription"]["text"].as_str().unwrap();
        prop_assert!(!short.is_empty() && short.chars().count() <= 1000);
    }
}
