//! How many findings there are of each severity.

use std::fmt;
use std::ops::Add;

use trivy::Severity;

/// The number of findings of each severity, worst first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts([usize; Severity::WORST_FIRST.len()]);

impl Counts {
    /// The rows of the severities that occur in one of the two, with both numbers.
    pub(crate) fn rows(
        before: Self,
        after: Self,
    ) -> impl Iterator<Item = (Severity, usize, usize)> {
        let rows = before.0.into_iter().zip(after.0);
        let rows = Severity::WORST_FIRST.into_iter().zip(rows);
        rows.map(|(severity, (before, after))| (severity, before, after))
            .filter(|(_, before, after)| before + after > 0)
    }
}

impl Counts {
    /// Each severity with its number.
    pub(crate) fn by_severity(self) -> impl Iterator<Item = (Severity, usize)> {
        Severity::WORST_FIRST.into_iter().zip(self.0)
    }
}

impl FromIterator<Severity> for Counts {
    fn from_iter<I: IntoIterator<Item = Severity>>(severities: I) -> Self {
        let mut counts = Self::default();
        for severity in severities {
            let rows = Severity::WORST_FIRST.iter().zip(&mut counts.0);
            for (_, count) in rows.filter(|(row, _)| **row == severity) {
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
        let severities = [Severity::High, Severity::High, Severity::Unknown];
        let counts: Counts = severities.into_iter().collect();
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
