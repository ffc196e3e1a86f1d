//! Findings: what is wrong, where it is mended, and as what it is known from one run to the next.
//!
//! - [`Finding`] and its [`Rule`]: one form for every kind of finding;
//! - [`of_report`]: the findings of a report of Trivy; [`of_rescan`]: of one beside an earlier one;
//! - [`Places`]: where a finding is shown, which is where it is mended;
//! - [`line_hash`]: the identity of a line, as GitHub computes it;
//! - [`sarif`]: the file for the Security tab.

mod finding;
mod identity;
pub mod line_hash;
mod place;
mod read;
pub mod sarif;

pub use finding::{Counts, Finding, Package, Rule, Subject, Suppression};
pub use place::{Dockerfile, Location, Places, SourceFiles, lock_file, uri};
pub use read::{of_report, of_rescan};
