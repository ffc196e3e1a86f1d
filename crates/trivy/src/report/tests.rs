use super::*;

#[test]
fn a_clean_scan_an_empty_list_and_an_unknown_field_are_read() {
    for text in [
        r#"{"SchemaVersion": 2}"#,
        r#"{"SchemaVersion": 2, "Results": null, "Future": {"x": 1}}"#,
        r#"{"SchemaVersion": 2, "Results": [{"Target": "", "Packages": null}]}"#,
    ] {
        let report: Report = serde_json::from_str(text).unwrap();
        assert!(report.results.iter().all(|r| r.vulnerabilities.is_empty()));
    }
}

#[test]
fn a_vulnerability_is_read() {
    let text = r#"{
        "VulnerabilityID": "CVE-2025-27516", "PkgID": "jinja2@3.1.2", "PkgName": "jinja2",
        "PkgIdentifier": {"PURL": "pkg:pypi/jinja2@3.1.2", "UID": "d42c"},
        "InstalledVersion": "3.1.2", "FixedVersion": "3.1.6", "Status": "fixed",
        "SeveritySource": "ghsa", "Severity": "MEDIUM", "CweIDs": ["CWE-1336"],
        "CVSS": {"ghsa": {"V3Vector": "CVSS:3.1/…", "V3Score": 5.4}}
    }"#;
    let found: Vulnerability = serde_json::from_str(text).unwrap();
    assert_eq!(found.severity, Severity::Medium);
    assert_eq!(found.identifier.purl, "pkg:pypi/jinja2@3.1.2");
    assert_eq!(found.cvss["ghsa"].v3, Some(5.4));
    assert_eq!(found.package_id, "jinja2@3.1.2");
}
