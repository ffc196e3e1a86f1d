//! Entry points for fuzzing: each parses bytes from outside, and must neither panic nor take long.
//!
//! Compiled by `cargo xtask fuzz` alone. The targets are listed in `crates/fuzz/src/lib.rs`.

use crate::rejection::Claims;

/// An OIDC token.
pub fn token(text: &str) {
    Claims::parse(text);
}
