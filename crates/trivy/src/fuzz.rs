//! Entry points for fuzzing: each parses bytes from outside, and must neither panic nor take long.
//!
//! Compiled by `cargo xtask fuzz` alone. The targets are listed in `crates/fuzz/src/lib.rs`.

use crate::{SbomFormat, Scanned};

/// Trivy's report, and both SBOMs of it.
pub fn report(bytes: &[u8]) {
    if Scanned::parse(bytes.to_vec()).is_ok() {
        let _ = SbomFormat::CycloneDx.render(bytes);
        let _ = SbomFormat::Spdx.render(bytes);
    }
}
