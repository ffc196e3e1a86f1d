//! Passwords in URLs: `https://user:password@host`.

use super::MASK;
use crate::text::ZERO_WIDTH_SPACE;

/// `text` with a mask in the place of each URL's password; `None` if there is none.
pub(super) fn without_passwords(text: &str) -> Option<String> {
    let mut out = String::new();
    let mut rest = text;
    let mut changed = false;
    while let Some(at) = rest.find("//") {
        let (head, tail) = rest.split_at(at + "//".len());
        out.push_str(head);
        rest = tail;
        let scheme = head
            .trim_end_matches("//")
            .trim_end_matches(ZERO_WIDTH_SPACE);
        if !scheme.ends_with(':') {
            continue;
        }
        if let Some((user, password)) = userinfo(tail) {
            if password != MASK {
                changed = true;
            }
            out.push_str(user);
            out.push(':');
            out.push_str(MASK);
            rest = &tail[user.len() + 1 + password.len()..];
        }
    }
    out.push_str(rest);
    changed.then_some(out)
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
