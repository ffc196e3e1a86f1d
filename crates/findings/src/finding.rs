//! One finding.

use std::collections::BTreeMap;
use std::sync::Arc;

use trivy::Severity;

use crate::Location;

/// An advisory or a check: what is true of every one of its findings.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Rule {
    /// `CVE-2026-84782`, `DS-0002`, `aws-access-key-id`.
    pub id: String,
    /// One line; never empty.
    pub title: String,
    /// Some lines; never empty.
    pub description: String,
    /// A page about it; may be empty.
    pub url: String,
    /// Weaknesses, `CWE-787`.
    pub cwes: Vec<String>,
    /// The score of the Common Vulnerability Scoring System that goes with the severity, 0.0 to 10.0.
    pub score: Option<f64>,
}

/// A finding.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// Its advisory or check.
    pub rule: Arc<Rule>,
    /// How bad.
    pub severity: Severity,
    /// What is wrong here, and what to do.
    pub message: String,
    /// In what.
    pub subject: Subject,
    /// Where it is mended.
    pub place: Location,
    /// What stays the same when tag, digest, image id and version change.
    pub fingerprint: String,
    /// Why it does not count, if it does not.
    pub suppressed: Option<Suppression>,
}

/// In what a finding is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// A package.
    Package(Package),
    /// A resource of a configuration, `Deployment/web`; may be empty.
    Check {
        /// The resource.
        resource: String,
    },
    /// A file.
    Secret,
}

/// A vulnerable package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its version.
    pub installed: String,
    /// The versions that mend it, `1.2.3, 2.0.1`; empty if there is no update.
    pub fixed: String,
    /// `affected`, `will_not_fix`, `end_of_life` and so on, as the distribution says.
    pub status: String,
}

/// Why a finding does not count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suppression {
    /// The reason that was given; empty if none was.
    pub reason: String,
    /// The file that says so.
    pub source: String,
    /// `ignored`, or what a VEX document says: `not_affected`, `fixed`.
    pub status: String,
}

impl Suppression {
    /// Reason and source in one line.
    pub fn text(&self) -> String {
        let reason = if self.reason.is_empty() {
            self.status.as_str()
        } else {
            self.reason.as_str()
        };
        format!("{reason} ({})", self.source)
    }
}

impl Finding {
    /// Whether it counts.
    pub fn open(&self) -> bool {
        self.suppressed.is_none()
    }

    /// Whether something can be done about it here: an update, a change of configuration.
    pub fn fixable(&self) -> bool {
        match &self.subject {
            Subject::Package(package) => !package.fixed.is_empty(),
            Subject::Check { .. } | Subject::Secret => true,
        }
    }

    /// The package, if it is in one.
    pub fn package(&self) -> Option<&Package> {
        match &self.subject {
            Subject::Package(package) => Some(package),
            Subject::Check { .. } | Subject::Secret => None,
        }
    }
}

/// Counts by severity, without the suppressed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    by: BTreeMap<Severity, usize>,
    /// How many an update or a change mends.
    pub fixable: usize,
}

impl Counts {
    /// Count the open ones of `findings`.
    pub fn of<'a>(findings: impl IntoIterator<Item = &'a Finding>) -> Self {
        let mut counts = Self::default();
        for finding in findings.into_iter().filter(|finding| finding.open()) {
            *counts.by.entry(finding.severity).or_default() += 1;
            counts.fixable += usize::from(finding.fixable());
        }
        counts
    }

    /// How many of `severity`.
    pub fn get(&self, severity: Severity) -> usize {
        self.by.get(&severity).copied().unwrap_or_default()
    }

    /// How many in all.
    pub fn total(&self) -> usize {
        self.by.values().sum()
    }

    /// In words: `1 critical, 3 high (2 fixable)`, `no findings`.
    pub fn words(&self) -> String {
        if self.total() == 0 {
            return "no findings".to_owned();
        }
        let parts: Vec<_> = Severity::WORST_FIRST
            .iter()
            .filter(|severity| self.get(**severity) > 0)
            .map(|severity| format!("{} {severity}", self.get(*severity)))
            .collect();
        format!("{} ({} fixable)", parts.join(", "), self.fixable)
    }
}
