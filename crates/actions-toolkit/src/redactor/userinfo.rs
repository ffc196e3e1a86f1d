//! Passwords in URLs: `https://user:password@host`.

use memchr::memmem;

use super::MASK;
use crate::text::ZERO_WIDTH_SPACE;

/// The ranges of bytes of `text` that are the password of a URL.
pub(super) fn passwords(text: &str) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    for slashes in memmem::find_iter(text.as_bytes(), "//") {
        let scheme = text[..slashes].trim_end_matches(ZERO_WIDTH_SPACE);
        let authority = slashes + "//".len();
        if !scheme.ends_with(':') {
            continue;
        }
        if let Some((user, password)) = userinfo(&text[authority..]) {
            let start = authority + user.len() + ":".len();
            if password != MASK {
                found.push((start, start + password.len()));
            }
        }
    }
    found
}

/// User and password at the start of what follows a URL's `://`, still encoded.
pub(super) fn userinfo(authority: &str) -> Option<(&str, &str)> {
    let end = authority
        .find(|c: char| {
            c.is_whitespace() || matches!(c, '/' | '?' | '#' | '"' | '\'' | '<' | '>' | '`')
        })
        .unwrap_or(authority.len());
    let (userinfo, _) = authority[..end].rsplit_once('@')?;
    let (user, password) = userinfo.split_once(':')?;
    (!password.is_empty()).then_some((user, password))
}
