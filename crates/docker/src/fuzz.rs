//! Entry points for fuzzing: each parses bytes from outside, and must neither panic nor take long.
//!
//! Compiled by `cargo xtask fuzz` alone. The targets are listed in `crates/fuzz/src/lib.rs`.

use std::path::Path;

use crate::Dockerfile;
use crate::build::Ignore;

/// A Dockerfile.
pub fn dockerfile(text: &str) {
    let dockerfile = Dockerfile::parse(text);
    dockerfile.chain();
    dockerfile.names();
    dockerfile.has("test");
}

/// A `.dockerignore`, and paths that it may match.
pub fn dockerignore(text: &str) {
    if let Ok(ignore) = Ignore::parse(text) {
        for path in ["a", "a/b/c.txt", "node_modules/x/y"] {
            ignore.ignores(Path::new(path));
        }
    }
}
