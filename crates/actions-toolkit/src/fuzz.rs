//! Entry points for fuzzing: each parses bytes from outside, and must neither panic nor take long.
//!
//! Compiled by `cargo xtask fuzz` alone. The targets are listed in `crates/fuzz/src/lib.rs`.

use crate::text;
use crate::{Log, Redactor, Scope, Timeout, Value, Workspace};

/// Every form of escaping.
///
/// # Panics
/// When a text gets out of its line, its cell or its block.
pub fn escape(foreign: &str) {
    let line = text::log_line(foreign);
    assert!(!line.contains(['\n', '\r']), "{line:?}");
    assert!(!line.starts_with("::"), "{line:?}");
    let markdown = text::markdown(foreign);
    assert!(!markdown.contains(['\n', '\r', '<']), "{markdown:?}");
    let code = text::code(foreign);
    assert!(!code.contains(['\n', '\r']), "{code:?}");
    text::code_block(foreign);
    let html = text::html(foreign);
    assert!(!html.contains('<'), "{html:?}");
    text::cut(foreign, 100);
}

/// The redactor, with secrets from the first lines of the text.
///
/// # Panics
/// When one of them is left.
pub fn redact(text: &str) {
    const SECRET: &str = "s3cret-Val\"x/+=";
    let redactor = Redactor::default();
    redactor.learn(SECRET);
    let mut lines = text.splitn(3, '\n');
    for secret in lines.by_ref().take(2) {
        redactor.learn(secret);
    }
    let rest = lines.next().unwrap_or_default();
    let redacted = redactor.redact(rest);
    assert!(!redacted.contains(SECRET), "{redacted:?}");
    let bytes = redactor.redact_bytes(rest.as_bytes());
    let is_json = |bytes: &[u8]| serde_json::from_slice::<serde::de::IgnoredAny>(bytes).is_ok();
    assert!(!is_json(rest.as_bytes()) || is_json(&bytes), "{bytes:?}");
}

/// A timeout, as an input has it.
pub fn timeout(text: &str) {
    value::<Timeout>(text);
}

/// The value of an input.
pub fn value<T: Value>(text: &str) {
    let log = Log::sink();
    let _ = T::parse(text, &Scope::new(&log, &Workspace::new("/w")));
}
