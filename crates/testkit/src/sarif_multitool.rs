//! Microsoft's validator of SARIF files (github.com/microsoft/sarif-sdk, `Sarif.Multitool`), for tests with the real tools.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// The errors of the validator for the SARIF file `file`: the rules of SARIF, and those of GitHub's ingestion.
///
/// # Panics
/// When `Sarif.Multitool` is not in PATH, or fails.
pub fn sarif_objections(file: &Path) -> Vec<String> {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let out = directory.path().join("validated.sarif");
    let done = Command::new("Sarif.Multitool")
        .args(["validate", "--rule-kind", "Sarif;Ghas"])
        .args(["--log", "ForceOverwrite", "--output"])
        .arg(&out)
        .arg(file)
        // It does not need language data.
        .env("DOTNET_SYSTEM_GLOBALIZATION_INVARIANT", "1")
        .output()
        .expect("Sarif.Multitool starts");
    let log = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success(), "{log}");
    let report = std::fs::read(out).expect("the validator's report");
    let report: Value = serde_json::from_slice(&report).expect("the validator's report is JSON");
    let results = report["runs"][0]["results"].as_array();
    let objection = |result: &Value| format!("{} {}", result["ruleId"], result["message"]);
    results.into_iter().flatten().map(objection).collect()
}
