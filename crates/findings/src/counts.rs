//! Findings in numbers.

use std::collections::BTreeMap;
use std::fmt;

use trivy::Severity;

use crate::Finding;

/// Open findings by severity. Its `Display` is `1 critical, 3 high (2 fixable)` or `no findings`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    by_severity: BTreeMap<Severity, usize>,
    /// Those that an update or a change of configuration fixes.
    pub fixable: usize,
}

impl<'a> FromIterator<&'a Finding> for Counts {
    /// Suppressed findings are not counted.
    fn from_iter<I: IntoIterator<Item = &'a Finding>>(findings: I) -> Self {
        let mut counts = Self::default();
        for finding in findings.into_iter().filter(|finding| finding.is_open()) {
            *counts.by_severity.entry(finding.severity).or_default() += 1;
            counts.fixable += usize::from(finding.is_fixable());
        }
        counts
    }
}

impl Counts {
    /// The number of findings of `severity`.
    pub fn get(&self, severity: Severity) -> usize {
        self.by_severity.get(&severity).copied().unwrap_or_default()
    }

    /// The number of findings of every severity.
    pub fn total(&self) -> usize {
        self.by_severity.values().sum()
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.total() == 0 {
            return f.write_str("no findings");
        }
        let parts: Vec<_> = Severity::WORST_FIRST
            .iter()
            .filter(|severity| self.get(**severity) > 0)
            .map(|severity| format!("{} {severity}", self.get(*severity)))
            .collect();
        write!(f, "{} ({} fixable)", parts.join(", "), self.fixable)
    }
}
