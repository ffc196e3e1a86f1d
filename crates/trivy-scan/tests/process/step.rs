//! The step that the tests run.

use testkit::FakeRunner;

/// Two packages with one CVE, one ignored, and a title that would be a workflow command.
pub(crate) const REPORT: &str = r#"{
  "SchemaVersion": 2, "ArtifactName": "app:1", "Metadata": {"OS": {"Family": "debian", "Name": "13.8"}, "ImageID": "sha256:aa"},
  "Results": [{
    "Target": "app:1 (debian 13.8)", "Class": "os-pkgs", "Type": "debian",
    "Packages": [{"ID": "openssl@3.5.7", "Name": "openssl", "Identifier": {"PURL": "pkg:deb/debian/openssl@3.5.7"}}, {"ID": "libssl3t64@3.5.7", "Name": "libssl3t64", "Identifier": {"PURL": "pkg:deb/debian/libssl3t64@3.5.7"}}],
    "Vulnerabilities": [
      {"VulnerabilityID": "CVE-2026-84782", "PkgID": "openssl@3.5.7", "PkgName": "openssl", "PkgIdentifier": {"PURL": "pkg:deb/debian/openssl@3.5.7?arch=amd64"}, "InstalledVersion": "3.5.7", "FixedVersion": "3.5.9", "Title": "DTLS buffer", "Severity": "HIGH", "PrimaryURL": "https://avd.aquasec.com/nvd/cve-2026-84782", "CweIDs": ["CWE-125"]},
      {"VulnerabilityID": "CVE-2026-84782", "PkgID": "libssl3t64@3.5.7", "PkgName": "libssl3t64", "PkgIdentifier": {"PURL": "pkg:deb/debian/libssl3t64@3.5.7?arch=amd64"}, "InstalledVersion": "3.5.7", "FixedVersion": "3.5.9", "Title": "DTLS buffer", "Severity": "HIGH", "PrimaryURL": "https://avd.aquasec.com/nvd/cve-2026-84782"},
      {"VulnerabilityID": "CVE-2026-00001", "PkgName": "zlib1g", "InstalledVersion": "1.3", "Severity": "LOW", "Title": "::error::hostile | <script>"}
    ],
    "ExperimentalModifiedFindings": [{"Type": "vulnerability", "Status": "ignored", "Statement": "not reachable", "Source": ".trivyignore", "Finding": {"VulnerabilityID": "CVE-2026-2", "PkgName": "perl", "InstalledVersion": "5", "Severity": "CRITICAL"}}]
  }]
}"#;

/// A fake Trivy whose scans run `scan`, lines of a `case` of the shell.
pub(crate) fn trivy_that(scan: &str) -> String {
    format!(
        "here=$(dirname \"$0\")\ncase \"$*\" in\nversion*) echo '{{\"Version\":\"0.72.0\"}}' ;;\n{scan}\nesac\n"
    )
}

/// A vulnerability database of this age in Trivy's cache; a newer one is due if it is older than a day.
pub(crate) fn database(step: FakeRunner, hours: i64) -> FakeRunner {
    let directory = step.directory().join("home/.cache/trivy/db");
    std::fs::create_dir_all(&directory).unwrap();
    let made = jiff::Timestamp::now() - jiff::SignedDuration::from_hours(hours);
    let next = made + jiff::SignedDuration::from_hours(24);
    let about = format!(r#"{{"Version":2,"UpdatedAt":"{made}","NextUpdate":"{next}"}}"#);
    std::fs::write(directory.join("metadata.json"), about).unwrap();
    std::fs::write(directory.join("trivy.db"), "db").unwrap();
    step
}

/// A fake Trivy that prints `report`, and records its arguments and environment.
pub(crate) fn trivy(report: &str) -> String {
    trivy_that(&format!(
        "*) echo \"$*\" >> \"$here/scans\"; env > \"$here/env\"; [ -n \"$DOCKER_CONFIG\" ] && cp \"$DOCKER_CONFIG/config.json\" \"$here/login\"; cat <<'REPORT'\n{report}\nREPORT\n;;"
    ))
}

pub(crate) fn step() -> FakeRunner {
    let step = FakeRunner::new(env!("CARGO_BIN_EXE_trivy-scan"));
    database(step, 0)
        .tool("trivy", &trivy(REPORT))
        .file(
            "app/Dockerfile",
            "ARG BASE=debian\nFROM ${BASE} AS base\nFROM base\n",
        )
        .input("image", "app:1")
        .input("dockerfile", "app/Dockerfile")
        .input("token", "")
}

/// The runs of Trivy that scanned something.
pub(crate) fn scans(step: &FakeRunner) -> Vec<String> {
    let text = std::fs::read_to_string(step.directory().join("tools/scans")).unwrap_or_default();
    text.lines().map(ToOwned::to_owned).collect()
}

/// The SARIF file.
pub(crate) fn sarif(step: &FakeRunner) -> serde_json::Value {
    let text = std::fs::read(step.workspace().join("trivy-results.sarif")).unwrap();
    serde_json::from_slice(&text).unwrap()
}

/// The fingerprints in the SARIF file.
pub(crate) fn fingerprints(step: &FakeRunner) -> Vec<String> {
    let file = sarif(step);
    let results = file["runs"][0]["results"].as_array().unwrap();
    let print =
        |r: &serde_json::Value| r["partialFingerprints"]["primaryLocationLineHash"].to_string();
    results.iter().map(print).collect()
}
