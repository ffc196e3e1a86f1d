//! Tokens of Entra that end: they say themselves when, as a JWT does, and are nothing that a client should read.

use std::time::{SystemTime, UNIX_EPOCH};

/// What a token is worth now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Worth {
    /// It holds.
    Valid,
    /// It has ended.
    Ended,
    /// It is no such token.
    Unknown,
}

/// A token `name` that lives for `life` seconds.
pub(super) fn issue(name: &str, life: i64) -> String {
    format!("{name}~{}", now() + i128::from(life) * 1000)
}

/// What `token` is worth as one of `name`.
pub(super) fn worth(token: &str, name: &str) -> Worth {
    let end = token
        .strip_prefix(name)
        .and_then(|rest| rest.strip_prefix('~')?.parse::<i128>().ok());
    match end {
        Some(end) if now() < end => Worth::Valid,
        Some(_) => Worth::Ended,
        None => Worth::Unknown,
    }
}

// Milliseconds: a token of a second's life is one of a second's, not of any part of it.
fn now() -> i128 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| i128::try_from(since.as_millis()).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_holds_for_its_life_and_for_its_own_service() {
        let (token, ended) = (issue("arm-x", 60), issue("arm-x", -1));
        assert_eq!(worth(&token, "arm-x"), Worth::Valid);
        assert_eq!(worth(&ended, "arm-x"), Worth::Ended);
        assert_eq!(worth(&token, "cluster"), Worth::Unknown);
        assert_eq!(worth("arm-x", "arm-x"), Worth::Unknown);
    }
}
