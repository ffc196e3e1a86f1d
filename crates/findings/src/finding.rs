//! One finding of any kind.

use std::sync::Arc;

use trivy::Severity;

use crate::Location;

/// An advisory or a check: what all of its findings have in common.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Rule {
    /// `CVE-2026-84782`, `DS-0002`, `aws-access-key-id`.
    pub id: String,
    /// One line; never empty.
    pub title: String,
    /// One or more lines; never empty.
    pub description: String,
    /// The page of the advisory or check; may be empty.
    pub url: String,
    /// Weaknesses, `CWE-787`.
    pub cwes: Vec<String>,
    /// The score of the Common Vulnerability Scoring System that goes with the severity, 0.0 to 10.0.
    pub score: Option<f64>,
}

/// A vulnerable package, a failed check, a secret or a license.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// Shared by all findings of the same advisory or check.
    pub rule: Arc<Rule>,
    /// May differ between findings of one rule: distributions rate an advisory for each package.
    pub severity: Severity,
    /// One line: what is wrong here, and what to do.
    pub message: String,
    /// What is affected.
    pub subject: Subject,
    /// Where to fix it.
    pub location: Location,
    /// By what GitHub recognizes the alert; see `fingerprint.rs`.
    pub fingerprint: String,
    /// The fingerprint by an earlier version, if that was another one: analyses of that version are stored.
    pub former_fingerprint: Option<String>,
    /// Why it does not count; `None` for an open finding.
    pub suppressed: Option<Suppression>,
}

/// What a finding affects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// An installed or locked package.
    Package(Package),
    /// A configuration that fails a check.
    Check {
        /// A resource in the file, `Deployment/web`; may be empty.
        resource: String,
    },
    /// A file that contains a secret.
    Secret,
    /// A package or file whose license restricts its use.
    License {
        /// The package; empty for a file.
        package: String,
    },
}

/// A vulnerable package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// As its package manager spells it.
    pub name: String,
    /// The installed version.
    pub installed: String,
    /// The versions that fix it, `1.2.3, 2.0.1`; empty if there is no update.
    pub fixed: String,
    /// The distribution's status: `affected`, `will_not_fix`, `end_of_life` and so on.
    pub status: String,
}

/// Why a finding does not count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suppression {
    /// The reason in the ignore file or VEX document; may be empty.
    pub reason: String,
    /// The ignore file or VEX document.
    pub source: String,
    /// `ignored`, or the status in a VEX document: `not_affected`, `fixed`.
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
    /// The fingerprints by which an analysis may have it.
    pub fn fingerprints(&self) -> impl Iterator<Item = &str> {
        let former = self.former_fingerprint.as_deref();
        std::iter::once(&*self.fingerprint).chain(former)
    }

    /// Whether it counts.
    pub fn is_open(&self) -> bool {
        self.suppressed.is_none()
    }

    /// Whether the repository can fix it: by an update, or by a change of configuration.
    pub fn is_fixable(&self) -> bool {
        match &self.subject {
            Subject::Package(package) => !package.fixed.is_empty(),
            Subject::Check { .. } | Subject::Secret => true,
            Subject::License { .. } => false,
        }
    }

    /// The vulnerable package; `None` for any other finding.
    pub fn package(&self) -> Option<&Package> {
        match &self.subject {
            Subject::Package(package) => Some(package),
            Subject::Check { .. } | Subject::Secret | Subject::License { .. } => None,
        }
    }
}
