//! How many findings there are of each severity.

use std::fmt;
use std::ops::Add;

use trivy::Severity;

use crate::difference::Finding;

/// The number of findings of each severity, worst first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts([usize; Severity::WORST_FIRST.len()]);

impl Counts {
    /// Count `findings`.
    pub(crate) fn of<'f>(findings: impl IntoIterator<Item = &'f Finding>) -> Self {
        let mut counts = Self::default();
        for finding in findings {
            let rows = Severity::WORST_FIRST.iter().zip(&mut counts.0);
            for (_, count) in rows.filter(|(severity, _)| **severity == finding.severity) {
                *count += 1;
            }
        }
        counts
    }
}

impl Add for Counts {
    type Output = Self;

    fn add(mut self, other: Self) -> Self {
        for (count, more) in self.0.iter_mut().zip(other.0) {
            *count += more;
        }
        self
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (severity, count)) in Severity::WORST_FIRST.iter().zip(self.0).enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma}{severity}={count}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_severity_is_named_and_several_images_add_up() {
        let finding = |severity| Finding {
            package: "openssl".into(),
            id: "CVE-1".into(),
            severity,
        };
        let found = [Severity::High, Severity::High, Severity::Unknown].map(finding);
        let counts = Counts::of(&found);
        assert_eq!(
            counts.to_string(),
            "critical=0,high=2,medium=0,low=0,unknown=1"
        );
        assert_eq!(
            (counts + counts).to_string(),
            "critical=0,high=4,medium=0,low=0,unknown=2"
        );
    }
}
