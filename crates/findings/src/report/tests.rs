use super::*;
use crate::SourceFiles;
use serde_json::{Value, json};

fn findings_of(results: &Value, source: &SourceFiles, prefix: &str) -> Vec<Finding> {
    let report = json!({"SchemaVersion": 2, "Results": results});
    let report = serde_json::from_value(report).unwrap();
    from_report(report, &Locator::new("app", prefix, source))
}

fn vulnerable(package: &str, version: &str, severity: &str) -> Value {
    json!({
        "VulnerabilityID": "CVE-2026-1", "PkgID": format!("{package}@{version}"), "PkgName": package,
        "PkgIdentifier": {"PURL": format!("pkg:deb/debian/{package}@{version}?arch=amd64")},
        "InstalledVersion": version, "FixedVersion": "9", "Severity": severity, "Title": "buffer\noverflow.",
    })
}

#[test]
fn two_packages_with_one_advisory_are_two_findings_of_one_rule() {
    let source = SourceFiles::default();
    let of = |version| {
        let results = json!([{"Target": "app:1 (debian 13)", "Class": "os-pkgs", "Type": "debian", "Vulnerabilities": [
            vulnerable("openssl", version, "HIGH"), vulnerable("libssl3t64", version, "LOW"),
        ]}]);
        findings_of(&results, &source, "")
    };
    let (first, second) = (of("1"), of("2"));
    assert_eq!(first.len(), 2);
    assert!(Arc::ptr_eq(&first[0].rule, &first[1].rule));
    assert_ne!(first[0].fingerprint, first[1].fingerprint);
    let prints =
        |found: &[Finding]| -> Vec<_> { found.iter().map(|f| f.fingerprint.clone()).collect() };
    assert_eq!(
        prints(&first),
        prints(&second),
        "a version is not part of it"
    );
    assert_eq!(
        first[0].message,
        "openssl 1 has CVE-2026-1: buffer overflow. Fixed in 9."
    );
}

#[test]
fn a_suppressed_finding_keeps_its_reason_and_comes_last() {
    let source = SourceFiles::default();
    let modified = json!({"Type": "vulnerability", "Status": "ignored", "Statement": "", "Source": ".trivyignore", "Finding": vulnerable("perl", "5", "CRITICAL")});
    let results = json!([{"Class": "os-pkgs", "Vulnerabilities": [vulnerable("zlib1g", "1", "LOW")], "ExperimentalModifiedFindings": [modified]}]);
    let found = findings_of(&results, &source, "");
    assert!(found[0].is_open() && !found[1].is_open());
    let reason = found[1].suppressed.as_ref().unwrap().text();
    assert_eq!(reason, "ignored (.trivyignore)");
}

#[test]
fn a_passed_check_is_not_a_finding() {
    let source = SourceFiles::default();
    let check = |id: &str, status: &str| json!({"ID": id, "Title": "t", "Message": "m", "Severity": "HIGH", "Status": status});
    let results = json!([{"Target": "Dockerfile", "Class": "config", "Misconfigurations": [
        check("DS-0002", "FAIL"), check("DS-0002", "FAIL"), check("DS-0001", "PASS"),
    ]}]);
    let found = findings_of(&results, &source, "");
    let rules: Vec<_> = found.iter().map(|f| f.rule.id.as_str()).collect();
    assert_eq!(rules, ["DS-0002", "DS-0002"]);
}

#[test]
fn a_check_has_the_fingerprint_of_an_earlier_version_as_its_former_one() {
    let directory = tempfile::tempdir().unwrap();
    let text = format!("FROM debian\nUSER root\n{}\n", "x".repeat(120));
    std::fs::write(directory.path().join("Dockerfile"), text).unwrap();
    let source = SourceFiles::new(directory.path());
    let check = json!({"ID": "DS-0002", "Title": "t", "Message": "m", "Severity": "HIGH", "Status": "FAIL", "CauseMetadata": {"StartLine": 2, "EndLine": 2}});
    let results =
        json!([{"Target": "Dockerfile", "Class": "config", "Misconfigurations": [check, check]}]);
    let found = findings_of(&results, &source, "");
    let hash = crate::fingerprint::hash_lines(&source.text("Dockerfile").unwrap())[1].clone();
    let second = hash.replace(":1", ":2");
    let former: Vec<_> = found
        .iter()
        .map(|f| f.former_fingerprint.as_deref())
        .collect();
    assert_eq!(former, [Some(hash.as_str()), Some(second.as_str())]);
}

#[test]
fn a_rule_has_a_title_and_a_description_even_if_the_advisory_has_none() {
    let source = SourceFiles::default();
    let results = json!([{"Class": "os-pkgs", "Vulnerabilities": [{"VulnerabilityID": "CVE-2026-2", "PkgName": "a", "Severity": "NEW"}]}]);
    let rule = findings_of(&results, &source, "").remove(0).rule;
    assert_eq!(
        (rule.title.as_str(), rule.description.as_str()),
        ("CVE-2026-2", "CVE-2026-2")
    );
}

#[test]
fn the_score_is_that_of_the_source_of_the_severity() {
    let of = |source: &str, cvss: Value| {
        let mut v = vulnerable("a", "1", "HIGH");
        v["SeveritySource"] = source.into();
        v["CVSS"] = cvss;
        let v: Vulnerability = serde_json::from_value(v).unwrap();
        score(&v.cvss, &v.severity_source, v.severity)
    };
    let both = json!({"nvd": {"V3Score": 9.8}, "ghsa": {"V3Score": 7.5, "V40Score": 7.1}});
    assert_eq!(of("ghsa", both.clone()), Some(7.1));
    assert_eq!(of("debian", both), Some(9.8));
    assert_eq!(of("debian", json!({})), None);
}
