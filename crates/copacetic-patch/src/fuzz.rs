//! Entry points for fuzzing: each parses bytes from outside, and must neither panic nor take long.
//!
//! Compiled by `cargo xtask fuzz` alone. The targets are listed in `crates/fuzz/src/lib.rs`.

use actions_toolkit::fuzz::value;
use registries::Pattern;

use crate::patch::Failure;
use crate::patch::python::{Location, minor_update, normalized};
use crate::request::{Destination, TagTemplate};
use crate::verify::SmokeCommand;

/// What Copa, BuildKit and the package manager printed.
pub fn copa_output(text: &str) {
    let tail: Vec<_> = text.lines().map(ToOwned::to_owned).collect();
    Failure::from_output(&tail, "exit code 1");
}

/// Metadata of Python packages: an installed version, the fixed ones, and a path.
pub fn python_package(text: &str) {
    let mut lines = text.lines();
    let mut line = || lines.next().unwrap_or_default();
    minor_update(line(), line());
    Location::parse(line());
    normalized(text);
}

/// The inputs that have their own form.
pub fn inputs(text: &str) {
    value::<Pattern>(text);
    value::<TagTemplate>(text);
    value::<Destination>(text);
    value::<SmokeCommand>(text);
}
