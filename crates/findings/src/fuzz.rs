//! Entry points for fuzzing: each parses bytes from outside, and must neither panic nor take long.
//!
//! Compiled by `cargo xtask fuzz` alone. The targets are listed in `crates/fuzz/src/lib.rs`.

use serde_json::json;
use trivy::Scanned;
use trivy::report::Metadata;

use crate::ecosystems::Ecosystem;
use crate::fingerprint::hash_lines;
use crate::location::layers;
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

/// A SARIF file of another scanner, to the one that is uploaded.
pub fn imported(bytes: &[u8]) {
    let roots = ["/github/workspace".to_owned()];
    if let Ok(runs) = crate::imported::import(bytes, &SourceFiles::new("/nonexistent"), &roots) {
        let runs: Vec<_> = runs.iter().collect();
        crate::imported::write(&runs, 50);
    }
}

/// Lock files and manifests of every ecosystem.
pub fn lock_files(text: &str) {
    Ecosystem::read_each(text);
}

/// A Dockerfile, and after a line `---` the history of the image that was built from it: a line for each layer.
pub fn layers(text: &str) {
    let (dockerfile, history) = text.split_once("\n---\n").unwrap_or((text, text));
    let entries = history.lines().map(|line| json!({ "created_by": line }));
    let entries: Vec<_> = entries.collect();
    let metadata = Metadata {
        diff_ids: (0..entries.len()).map(|layer| layer.to_string()).collect(),
        image_config: json!({ "history": entries }),
        ..Metadata::default()
    };
    layers::locate("Dockerfile", dockerfile, &metadata);
}

/// GitHub's hashes of the lines of a file.
pub fn line_hashes(text: &str) {
    hash_lines(text);
}
