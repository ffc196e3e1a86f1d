//! Entry points for fuzzing: each parses bytes from outside, and must neither panic nor take long.
//!
//! Compiled by `cargo xtask fuzz` alone. The targets are listed in `crates/fuzz/src/lib.rs`.

use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::ExitStatus;
use std::time::Duration;

use tool::Finished;

use crate::{SbomFormat, Scanned, error, unread};

/// Trivy's report, and both SBOMs of it.
pub fn report(bytes: &[u8]) {
    if Scanned::parse(bytes.to_vec()).is_ok() {
        let _ = SbomFormat::CycloneDx.render(bytes);
        let _ = SbomFormat::Spdx.render(bytes);
    }
}

/// The archive of a database, unpacked into the directory `into`.
pub fn database(archive: &Path, into: &Path) {
    crate::database::fuzz(archive, into);
}

/// What Trivy printed before it failed.
pub fn output(text: &str) {
    let finished = Finished {
        status: ExitStatus::from_raw(1 << 8),
        stdout: Vec::new(),
        tail: text.lines().map(ToOwned::to_owned).collect(),
        kept: Vec::new(),
    };
    unread::of(&finished.tail);
    let error = error::from_output(&finished, "app:1", Duration::from_secs(1));
    let _ = error.to_string();
}
