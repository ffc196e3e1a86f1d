//! Trivy: its argv, its JSON report and its database.
//!
//! - [`Database`]: the vulnerability database, from a list of mirrors, with its age;
//! - [`Scan`]: one run of Trivy, whose answer is a [`Report`] and the bytes that it was read from;
//! - [`Sbom`]: the software bill of materials, from a report;
//! - [`ScanError`]: why there is no answer, each with its cure;
//! - [`Severity`]: how bad, in the words of the advisories.
//!
//! Findings never change Trivy's exit code here: what a finding means is the caller's business.

mod database;
mod error;
mod inputs;
pub mod report;
mod sbom;
mod scan;
mod severity;
mod version;

pub use database::{
    Database, DatabaseError, DatabaseRequest, MAX_AGE, MIRRORS, Origin, default_cache,
};
pub use error::ScanError;
pub use inputs::{DatabaseAgeInputs, DatabaseInputs};
pub use report::Report;
pub use sbom::Sbom;
pub use scan::{Scan, Scanned, Scanner, Target};
pub use severity::{Severity, UnknownSeverity};
pub use version::{REFUSED, version};

use actions_toolkit::Env;
use tool::Tool;

// The flags that make a run depend on nothing but its arguments: no call home, no `trivy.yaml` of the
// folder it runs in (it could turn findings off).
const HYGIENE: &[&str] = &[
    "--config",
    "/dev/null",
    "--skip-version-check",
    "--disable-telemetry",
];

/// Trivy as a child process: it may find Docker, and sees nothing else of the run.
fn tool(env: &Env) -> Tool {
    let tool = Tool::new("trivy", env).env("TRIVY_DISABLE_VEX_NOTICE", "true");
    match env.get("DOCKER_HOST") {
        Some(host) => tool.env("DOCKER_HOST", host),
        None => tool,
    }
}
