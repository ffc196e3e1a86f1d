//! Trivy: command line, JSON report, SBOM and vulnerability database.
//!
//! - [`Database`]: the vulnerability database, from a list of mirrors, with its age;
//! - [`Scan`]: one run of Trivy, whose output is a [`Report`] and the bytes that it was parsed from;
//! - [`Server`]: a Trivy server that has the database instead;
//! - [`SbomFormat`]: the SBOM of a report;
//! - [`ScanError`]: why there is no report, each with a hint;
//! - [`Severity`]: the severity of an advisory, as Trivy reports it.
//!
//! Findings never change Trivy's exit code here: the caller decides what a finding means.

mod database;
mod error;
#[cfg(fuzzing)]
pub mod fuzz;
mod inputs;
mod isolated;
pub mod network;
pub mod report;
mod sbom;
mod scan;
mod server;
mod severity;
mod unread;
mod version;

pub use database::{
    Database, DatabaseError, DatabaseKind, DatabaseRequest, JAVA_MIRRORS, MAX_AGE, MIRRORS, Origin,
    default_cache,
};
pub use error::ScanError;
pub use inputs::{DatabaseAgeInputs, DatabaseInputs, JavaDatabaseInputs, ServerInputs, ServerUrl};
pub use report::Report;
pub use sbom::SbomFormat;
pub use scan::{ImageSource, REPORT_LIMIT, Scan, Scanned, Scanner, Target, VexSource};
pub use server::{Server, ServerToken};
pub use severity::{Severity, UnknownSeverity};
pub use unread::Unread;
pub use version::{REJECTED, version};

use actions_toolkit::Env;
use tool::Tool;

/// An empty file, which Trivy reads in place of one that it would look for in the directory that it runs in.
const EMPTY: &str = "/dev/null";
/// A file that does not exist: Trivy rejects an empty one as settings of the scan for secrets.
const ABSENT: &str = "/nonexistent/trivy-secret.yaml";

// The flags that make a run depend on nothing but its arguments: no version check or telemetry. `Scan::argv` sets those for
// `trivy.yaml`, `.trivyignore` and `trivy-secret.yaml` of the directory it runs in, which could exclude findings.
const HYGIENE: &[&str] = &["--skip-version-check", "--disable-telemetry"];

/// Trivy as a child process: it sees where Docker is, and nothing else of the environment.
fn tool(env: &Env) -> Tool {
    let tool = Tool::new("trivy", env).env("TRIVY_DISABLE_VEX_NOTICE", "true");
    match env.get("DOCKER_HOST") {
        Some(host) => tool.env("DOCKER_HOST", host),
        None => tool,
    }
}
