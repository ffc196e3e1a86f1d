//! The two databases of Trivy.

use std::fmt;
use std::time::Duration;

use super::{JAVA_MIRRORS, MIRRORS};

/// A database of Trivy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DatabaseKind {
    /// The advisories.
    Vulnerabilities,
    /// Which package a JAR file is. It has no advisories, and is read for targets with JAR files only.
    Java,
}

impl DatabaseKind {
    /// Its public mirrors, in the order in which they are tried.
    pub(super) const fn mirrors(self) -> &'static [&'static str] {
        match self {
            Self::Vulnerabilities => MIRRORS,
            Self::Java => JAVA_MIRRORS,
        }
    }

    /// Its directory in Trivy's cache.
    pub(super) const fn directory(self) -> &'static str {
        match self {
            Self::Vulnerabilities => "db",
            Self::Java => "java-db",
        }
    }

    /// Its file there.
    pub(super) const fn file(self) -> &'static str {
        match self {
            Self::Vulnerabilities => "trivy.db",
            Self::Java => "trivy-java.db",
        }
    }

    /// The media type of its layer (`pkg/db` and `pkg/javadb` of Trivy).
    pub(super) const fn layer(self) -> &'static str {
        match self {
            Self::Vulnerabilities => "application/vnd.aquasec.trivy.db.layer.v1.tar+gzip",
            Self::Java => "application/vnd.aquasec.trivy.javadb.layer.v1.tar+gzip",
        }
    }

    /// The input with its mirrors.
    pub(super) const fn input(self) -> &'static str {
        match self {
            Self::Vulnerabilities => crate::DatabaseInputs::db_repositories,
            Self::Java => crate::JavaDatabaseInputs::java_db_repositories,
        }
    }

    /// The maximum age where `max_age` is that of the advisories. An old Java database does not know new JAR files, which
    /// their names and manifests identify in most cases; a new one is published every three days.
    pub(super) fn max_age(self, max_age: Duration) -> Duration {
        match self {
            Self::Vulnerabilities => max_age,
            Self::Java => max_age.max(Duration::from_secs(14 * 24 * 3600)),
        }
    }
}

/// As in messages.
impl fmt::Display for DatabaseKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Vulnerabilities => "vulnerability database",
            Self::Java => "Java database",
        })
    }
}
