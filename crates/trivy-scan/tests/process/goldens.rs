//! Trivy's own reports: those that its integration tests compare with.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::Value;
use testkit::FakeRunner;
use walkdir::WalkDir;

use crate::step::{fingerprints, sarif, step, trivy_that};

/// How many Trivy 0.74.0 has of schema version 2.
const COUNT: usize = 83;
/// Runs in a file for the validator, which takes a second to start; GitHub accepts 20.
const RUNS: usize = 10;
const SEVERITIES: [&str; 5] = ["critical", "high", "medium", "low", "unknown"];

fn goldens() -> Vec<(PathBuf, Value)> {
    let directory = std::env::var_os("SEAWORTHY_TRIVY_GOLDENS").unwrap();
    let files = WalkDir::new(directory).sort_by_file_name().into_iter();
    let paths = files.map(|entry| entry.unwrap().into_path());
    let paths = paths.filter(|path| path.to_string_lossy().ends_with(".json.golden"));
    let reports = paths.map(|path| {
        let report: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        (path, report)
    });
    // Others are SBOMs and reports on clusters.
    reports
        .filter(|(_, report)| report["SchemaVersion"] == 2)
        .collect()
}

/// Findings by severity, counted without the action's code.
fn counts(report: &Value) -> BTreeMap<String, usize> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let mut counts = BTreeMap::from(SEVERITIES.map(|severity| (severity.to_owned(), 0)));
    let mut count = |findings: Vec<Value>| {
        for finding in findings {
            let severity = finding["Severity"].as_str().unwrap_or("UNKNOWN");
            *counts.get_mut(&severity.to_lowercase()).unwrap() += 1;
        }
    };
    for result in list(&report["Results"]) {
        count(list(&result["Vulnerabilities"]));
        count(list(&result["Secrets"]));
        let mut checks = list(&result["Misconfigurations"]);
        checks.retain(|check| check["Status"] == "FAIL");
        count(checks);
        // These categories have no conditions to check.
        let mut licenses = list(&result["Licenses"]);
        licenses.retain(|license| {
            let category = license["Category"].as_str().unwrap_or_default();
            !["notice", "permissive", "unencumbered"].contains(&category)
        });
        count(licenses);
    }
    counts
}

/// A step whose Trivy prints the file `golden`, which has `report`.
fn step_with(golden: &Path, report: &Value) -> FakeRunner {
    let step = step().tool(
        "trivy",
        &trivy_that(&format!("*) cat '{}' ;;", golden.display())),
    );
    let (scan_type, path) = match report["ArtifactType"].as_str().unwrap_or_default() {
        "container_image" => return step,
        "cyclonedx" => ("sbom", "sbom.json"),
        "vm" => ("rootfs", "."),
        _ => ("fs", "."),
    };
    step.file("sbom.json", "{}")
        .input("image", "")
        .input("scan-type", scan_type)
        .input("path", path)
}

#[test]
#[ignore = "real: needs Trivy's module"]
fn every_report_of_trivys_own_tests_is_counted_and_valid() {
    let goldens = goldens();
    assert_eq!(goldens.len(), COUNT);
    let mut files = Vec::new();
    for (at, (path, report)) in goldens.iter().enumerate() {
        let name = path.display();
        let step = step_with(path, report).input("category", &format!("golden-{at}"));
        let ran = step.run();
        assert_eq!(ran.code, 0, "{name}: {}", ran.log);
        let expected = counts(report);
        let found = SEVERITIES.map(|severity| {
            let count: usize = ran.output(severity).parse().unwrap();
            (severity.to_owned(), count)
        });
        assert_eq!(BTreeMap::from(found), expected, "{name}");
        let total: usize = expected.values().sum();
        assert_eq!(ran.output("total"), total.to_string(), "{name}");
        let prints = fingerprints(&step);
        let unique: BTreeSet<_> = prints.iter().collect();
        assert_eq!(unique.len(), prints.len(), "{name}: {prints:?}");
        assert!(prints.len() >= total, "{name}");
        files.push(sarif(&step));
    }
    let directory = tempfile::tempdir().unwrap();
    for files in files.chunks(RUNS) {
        let mut merged = files[0].clone();
        let runs = files
            .iter()
            .flat_map(|file| file["runs"].as_array().unwrap().clone());
        merged["runs"] = runs.collect();
        let path = directory.path().join("merged.sarif");
        std::fs::write(&path, merged.to_string()).unwrap();
        assert_eq!(testkit::sarif_objections(&path), Vec::<String>::new());
    }
}
