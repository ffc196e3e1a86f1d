//! Entry points for fuzzing: each parses bytes from outside, and must neither panic nor take long.
//!
//! Compiled by `cargo xtask fuzz` alone. The targets are listed in `crates/fuzz/src/lib.rs`.

use crate::request_error::RequestError;
use crate::{checkout, truncate};

/// A reference of git, and a text that is cut off.
///
/// # Panics
/// When the text is longer than the room for it.
pub fn text(text: &str) {
    let _ = checkout::commit(text);
    let cut = truncate::truncate(text, 300, "cut");
    assert!(cut.chars().count() <= 300, "{cut}");
}

/// The payload of an event, and an error of GitHub.
pub fn event(bytes: &[u8]) {
    let _ = serde_json::from_slice::<serde_json::Value>(bytes);
    let headers = http::HeaderMap::new();
    let error = RequestError::from_response(http::StatusCode::FORBIDDEN, &headers, bytes);
    let _ = error.to_string();
}
