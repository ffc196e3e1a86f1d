//! Entry points for fuzzing: each parses bytes from outside, and must neither panic nor take long.
//!
//! Compiled by `cargo xtask fuzz` alone. The targets are listed in `crates/fuzz/src/lib.rs`.

use std::path::Path;

use crate::baseline::Baseline;
use crate::request::{ignore_file, trivy_config::TrivyConfig};
use crate::vex::attestation;

/// An ignore file, in both forms.
pub fn ignore_file(text: &str) {
    let _ = ignore_file::parse_yaml(text);
    let _ = ignore_file::parse_lines(text);
}

/// A stored SARIF file.
pub fn baseline(bytes: &[u8]) {
    if let Ok(sarif) = serde_json::from_slice(bytes)
        && let Some(baseline) = Baseline::from_sarif(&sarif, "x")
    {
        baseline.compare(&[], &[]);
    }
}

/// What is attached to an image.
pub fn attached_sbom(bytes: &[u8]) {
    let image = oci::Digest::sha256(b"image");
    for is_bound in [false, true] {
        let _ = crate::scan::document(bytes, &image, is_bound);
    }
}

/// The settings file of Trivy.
pub fn trivy_config(text: &str) {
    let _ = TrivyConfig::parse("trivy.yaml", text);
}

/// The KEV catalog, and EPSS scores.
pub fn exploitation(bytes: &[u8]) {
    crate::exploitation::fuzz(bytes);
}

/// The manifest and the index of a VEX repository.
pub fn vex_repository(bytes: &[u8]) {
    crate::vex::fuzz_repository(bytes);
}

/// The archive of a VEX repository, unpacked into the directory `into`.
pub fn vex_archive(archive: &Path, into: &Path) {
    crate::vex::fuzz_archive(archive, into);
}

/// Files of a checkout that Trivy may skip.
pub fn scanned_files(text: &str) {
    crate::scan::fuzz(text);
}

/// What is attached to an image as a VEX document.
pub fn vex(bytes: &[u8]) {
    let _ = attestation::open_vex(bytes, &oci::Digest::sha256(b"image"));
}
