//! Microsoft's validator of SARIF files (github.com/microsoft/sarif-sdk, `Sarif.Multitool`), for tests with the real tools.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// What the validator has against the SARIF file `file`: the rules of SARIF, and those of GitHub's ingestion.
///
/// # Panics
/// When `Sarif.Multitool` is not in PATH, or ends badly.
pub fn sarif_objections(file: &Path) -> Vec<String> {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("validated.sarif");
    let done = Command::new("Sarif.Multitool")
        .args(["validate", "--rule-kind", "Sarif;Ghas"])
        .args(["--log", "ForceOverwrite", "--output"])
        .arg(&out)
        .arg(file)
        // It needs no language data.
        .env("DOTNET_SYSTEM_GLOBALIZATION_INVARIANT", "1")
        .output()
        .expect("Sarif.Multitool starts");
    let said = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success(), "{said}");
    let said = std::fs::read(out).expect("the validator's answer");
    let said: Value = serde_json::from_slice(&said).expect("the validator's answer is JSON");
    let results = said["runs"][0]["results"].as_array();
    let objection = |result: &Value| format!("{} {}", result["ruleId"], result["message"]);
    results.into_iter().flatten().map(objection).collect()
}
