//! The severity of a finding.

use std::fmt;
use std::str::FromStr;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer};

/// Trivy's severities, from least to worst.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Not rated yet.
    #[default]
    Unknown,
    /// Low.
    Low,
    /// Medium.
    Medium,
    /// High.
    High,
    /// Critical.
    Critical,
}

/// A text that is not the name of a severity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid severity; expected one of `unknown`, `low`, `medium`, `high`, `critical`")]
pub struct UnknownSeverity;

impl Severity {
    /// Every severity, worst first.
    pub const WORST_FIRST: [Self; 5] = [
        Self::Critical,
        Self::High,
        Self::Medium,
        Self::Low,
        Self::Unknown,
    ];

    /// The name in lower case.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

// A severity of a later Trivy is `Unknown`, so that the report stays readable.
impl From<String> for Severity {
    fn from(text: String) -> Self {
        text.parse().unwrap_or_default()
    }
}

impl From<Severity> for String {
    fn from(severity: Severity) -> Self {
        severity.name().to_uppercase()
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Severity {
    type Err = UnknownSeverity;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::WORST_FIRST
            .into_iter()
            .find(|severity| severity.name().eq_ignore_ascii_case(text))
            .ok_or(UnknownSeverity)
    }
}

// A severity of a later Trivy is `Unknown`, so that the report stays readable.
impl<'de> Deserialize<'de> for Severity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Name)
    }
}

struct Name;

impl Visitor<'_> for Name {
    type Value = Severity;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Severity, E> {
        Ok(text.parse().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn severities_are_ordered_and_parsed_in_any_case() {
        assert!(Severity::Critical > Severity::High && Severity::Low > Severity::Unknown);
        assert_eq!("HIGH".parse(), Ok(Severity::High));
        assert_eq!("Low".parse(), Ok(Severity::Low));
        assert_eq!("severe".parse::<Severity>(), Err(UnknownSeverity));
        let later: Severity = serde_json::from_str("\"NEGLIGIBLE\"").unwrap();
        assert_eq!(later, Severity::Unknown);
        assert_eq!(format!("{:<8}|", Severity::High), "high    |");
    }
}
