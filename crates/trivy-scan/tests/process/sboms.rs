//! SBOMs, read by other tools.

use std::path::Path;
use std::process::Command;

use serde_json::Value;
use testkit::FakeRunner;

use crate::real::{real, save, succeed};

/// Id, package, its version and the fixed one of every vulnerability in a report of Trivy.
fn vulnerabilities(report: &[u8]) -> Vec<[String; 4]> {
    let report: Value = serde_json::from_slice(report).unwrap();
    let results = report["Results"].as_array().unwrap().iter();
    let mut vulnerabilities: Vec<_> = results
        .flat_map(|result| result["Vulnerabilities"].as_array().into_iter().flatten())
        .map(|one| {
            let fields = [
                "VulnerabilityID",
                "PkgName",
                "InstalledVersion",
                "FixedVersion",
            ];
            fields.map(|field| one[field].as_str().unwrap_or_default().to_owned())
        })
        .collect();
    vulnerabilities.sort();
    vulnerabilities
}

/// What Trivy reports for the SBOM `file`.
fn scanned(step: &FakeRunner, file: &Path) -> Vec<[String; 4]> {
    let mut scan = Command::new("trivy");
    scan.args(["sbom", "--quiet", "--format", "json", "--skip-db-update"])
        .args(["--skip-java-db-update", "--offline-scan", "--cache-dir"])
        .arg(step.directory().join("cache"))
        .arg(file);
    vulnerabilities(&scan.output().unwrap().stdout)
}

#[test]
#[ignore = "real: needs Trivy"]
fn sboms_are_valid_and_have_the_vulnerabilities_of_the_image() {
    let step = real()
        .input("scan-type", "archive")
        .input("path", "app.tar")
        .input("sbom", "cyclonedx,spdx");
    save(&step.workspace().join("app.tar"), "app:1", "hello");
    let ran = step.run();
    assert_eq!(ran.code, 0, "{}", ran.log);

    let report = std::fs::read(step.workspace().join(ran.output("report-file"))).unwrap();
    let expected = vulnerabilities(&report);
    let packages: Vec<_> = expected
        .iter()
        .map(|[_, package, ..]| package.as_str())
        .collect();
    assert!(
        packages.contains(&"Jinja2") && packages.contains(&"openssl"),
        "{packages:?}"
    );
    let files = ran.output("sbom-file");
    let files: Vec<_> = files
        .lines()
        .map(|name| step.workspace().join(name))
        .collect();
    assert_eq!(files.len(), 2, "{files:?}");
    for file in &files {
        assert_eq!(scanned(&step, file), expected, "{}", file.display());
    }

    let python = std::env::var_os("SEAWORTHY_SBOM_PYTHON").expect("SEAWORTHY_SBOM_PYTHON");
    let check = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tools/sbom/check.py");
    succeed(Command::new(python).arg(check).args(&files));
}
