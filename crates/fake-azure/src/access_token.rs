//! Tokens of Entra that expire: they contain their expiry, as a JWT does; a client should not read them.

use std::time::{SystemTime, UNIX_EPOCH};

/// The validity of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Validity {
    /// Not expired.
    Valid,
    /// Expired.
    Expired,
    /// Not a token of this kind.
    Unknown,
}

/// A token `name` that is valid for `life` seconds.
pub(super) fn issue(name: &str, life: i64) -> String {
    format!("{name}~{}", now() + i128::from(life) * 1000)
}

/// The validity of `token` as one of `name`.
pub(super) fn validity(token: &str, name: &str) -> Validity {
    let end = token
        .strip_prefix(name)
        .and_then(|rest| rest.strip_prefix('~')?.parse::<i128>().ok());
    match end {
        Some(end) if now() < end => Validity::Valid,
        Some(_) => Validity::Expired,
        None => Validity::Unknown,
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
        assert_eq!(validity(&token, "arm-x"), Validity::Valid);
        assert_eq!(validity(&ended, "arm-x"), Validity::Expired);
        assert_eq!(validity(&token, "cluster"), Validity::Unknown);
        assert_eq!(validity("arm-x", "arm-x"), Validity::Unknown);
    }
}
