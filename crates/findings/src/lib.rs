//! Findings: what is wrong, where to fix it, and how GitHub recognizes it from one run to the next.
//!
//! - [`Finding`] and its [`Rule`]: one form for vulnerable packages, failed checks and secrets; [`Counts`] of them;
//! - [`from_report`]: the findings of a report of Trivy; [`from_rescan`]: of a scan for packages after a first, whole one;
//! - [`Locator`]: the file and line that a finding is shown on, which is the one to change;
//! - `fingerprint`: by what an alert is recognized; [`StoredResults`]: by what stored analyses have it;
//! - [`ecosystems`]: the formats of lock files, in one table;
//! - [`sarif`]: the file for the Security tab;
//! - [`imported`]: the files of other scanners.

mod counts;
pub mod ecosystems;
mod finding;
mod fingerprint;
#[cfg(fuzzing)]
pub mod fuzz;
pub mod imported;
mod location;
mod report;
pub mod sarif;

pub use counts::Counts;
pub use finding::{Finding, Package, Rule, Subject, Suppression};
pub use fingerprint::{Occurrences, ResultKey, StoredResults, result_key, stored_keys};
pub use location::{Location, Locator, SourceFiles, uri};
pub use report::{from_report, from_rescan};
