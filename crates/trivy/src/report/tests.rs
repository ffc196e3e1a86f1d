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
    let [(source, score)] = &found.cvss[..] else {
        panic!("{:?}", found.cvss)
    };
    assert_eq!((source.as_str(), score.v3), ("ghsa", Some(5.4)));
    assert_eq!(found.package_id, "jinja2@3.1.2");
}

#[test]
fn the_texts_of_an_advisory_are_kept_once() {
    let one = |id: &str, package: &str| {
        serde_json::json!({"VulnerabilityID": id, "PkgName": package, "Title": "t", "Description": "d", "CweIDs": ["CWE-1"],
            "CVSS": {"nvd": {"V3Score": 9.8}}, "References": ["https://example.com"], "Severity": "HIGH"})
    };
    let list = [one("CVE-1", "a"), one("CVE-2", "a"), one("CVE-1", "b")];
    let report = serde_json::json!({"SchemaVersion": 2, "Results": [{"Vulnerabilities": list}, {"Vulnerabilities": null}, {"Vulnerabilities": [one("CVE-1", "c")]}]});
    let text = report.to_string();
    for report in [
        serde_json::from_str::<Report>(&text).unwrap(),
        serde_json::from_value(report).unwrap(),
    ] {
        let [first, second, third] = &report.results[..] else {
            panic!("{:?}", report.results)
        };
        let has_texts = |v: &Vulnerability| {
            let all = [
                v.description.is_empty(),
                v.cwes.is_empty(),
                v.cvss.is_empty(),
            ];
            assert!(all == [true; 3] || all == [false; 3], "{v:?}");
            (v.package.clone(), v.severity, !all[0])
        };
        let found: Vec<_> = first.vulnerabilities.iter().map(has_texts).collect();
        let of = |package: &str, has_texts| (package.to_owned(), Severity::High, has_texts);
        assert_eq!(found, [of("a", true), of("a", true), of("b", false)]);
        assert!(second.vulnerabilities.is_empty());
        assert_eq!(has_texts(&third.vulnerabilities[0]), of("c", true));
    }
}
