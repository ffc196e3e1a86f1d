//! Entry points for fuzzing: each parses bytes from outside, and must neither panic nor take long.
//!
//! Compiled by `cargo xtask fuzz` alone. The targets are listed in `crates/fuzz/src/lib.rs`.

use trivy::Scanned;

use crate::ecosystems::Ecosystem;
use crate::fingerprint::hash_lines;
use crate::sarif::{self, Analysis, TRIVY};
use crate::{Locator, SourceFiles};

/// A report of Trivy, to the SARIF file.
pub fn report(bytes: &[u8]) {
    let Ok(scanned) = Scanned::parse(bytes.to_vec()) else {
        return;
    };
    let source = SourceFiles::new("/nonexistent");
    let metadata = scanned.report.metadata.clone();
    let locator = Locator::new("app", "app", &source).built_from("Dockerfile", &metadata);
    let findings = crate::from_report(scanned.report, &locator);
    let analysis = Analysis {
        driver: &TRIVY,
        category: "x",
        version: "1",
        findings: &findings,
    };
    let _ = sarif::write(&[analysis], sarif::SHOWN);
}

/// Lock files and requirements of Python.
pub fn lock_files(text: &str) {
    let files = [
        "requirements.txt",
        "pyproject.toml",
        "uv.lock",
        "poetry.lock",
    ];
    for name in files
        .into_iter()
        .chain(["pylock.toml", "package-lock.json"])
    {
        if let Some(ecosystem) = Ecosystem::from_trivy_type("pip") {
            ecosystem.package_index(name, "pip", || Some(text.to_owned()));
        }
    }
}

/// GitHub's hashes of the lines of a file.
pub fn line_hashes(text: &str) {
    hash_lines(text);
}
