//! Entry points for fuzzing: each parses bytes from outside, and must neither panic nor take long.
//!
//! Compiled by `cargo xtask fuzz` alone. The targets are listed in `crates/fuzz/src/lib.rs`.

use http_client::header::{HeaderMap, HeaderValue, LINK, WWW_AUTHENTICATE};

use crate::registry::{challenge, link};
use crate::{Digest, ImageRef, Index, Manifest};

/// A `Link` header.
pub fn link(bytes: &[u8]) {
    let mut headers = HeaderMap::new();
    if let Ok(value) = HeaderValue::from_bytes(bytes) {
        headers.insert(LINK, value);
        link::next(&headers);
    }
}

/// `WWW-Authenticate` headers, one a line.
pub fn challenge(bytes: &[u8]) {
    let mut headers = HeaderMap::new();
    for line in bytes.split(|b| *b == b'\n').take(16) {
        if let Ok(value) = HeaderValue::from_bytes(line) {
            headers.append(WWW_AUTHENTICATE, value);
        }
    }
    challenge::Challenge::of(&headers);
}

/// An image reference. What is accepted is printed as it is read.
///
/// # Panics
/// When it is not.
pub fn reference(text: &str) {
    let _ = text.parse::<Digest>();
    if let Ok(image) = text.parse::<ImageRef>() {
        assert_eq!(
            image.to_string().parse::<ImageRef>().ok(),
            Some(image.clone())
        );
        image.normalized();
        image.without_version();
        let _ = image.moved_to("registry.example", "a");
    }
}

/// A manifest or an index.
pub fn manifest(bytes: &[u8]) {
    let _ = serde_json::from_slice::<Index>(bytes);
    if let Ok(manifest) = serde_json::from_slice::<Manifest>(bytes) {
        let _ = manifest.as_oci().bytes();
    }
}
