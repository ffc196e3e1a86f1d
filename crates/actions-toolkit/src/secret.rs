//! Values that must never be printed.

use std::fmt;

/// A secret: masked in the job log when it is made, redacted when it is printed.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// Wrap `value`, masked by `log`. The mask comes first: nothing can print the value
    /// between its arrival and its mask.
    pub fn new(value: impl Into<String>, log: &crate::Log) -> Self {
        let value = value.into();
        log.mask(&value);
        Self(value)
    }

    /// The value, for the one call that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}
