//! GitHub: what the actions tell it.
//!
//! - [`Place`]: the commit and the ref that an analysis is about;
//! - [`CodeScanning`]: uploads a SARIF file and waits until it is processed;
//! - [`Stored`]: what an earlier analysis found;
//! - [`PullRequest`]: one comment, kept up to date;
//! - [`Issues`]: one issue, opened, rewritten and closed as what it tells of comes and goes;
//! - [`Deployments`]: what runs in an environment, and where it is reached;
//! - [`Dependencies`]: the packages of a commit, for the dependency graph;
//! - [`UploadError`]: why the Security tab does not have the findings.

mod checkout;
mod client;
mod code_scanning;
mod comment;
mod dependencies;
mod deployments;
mod error;
mod fit;
mod inputs;
mod issues;
mod place;
mod stored;

pub use code_scanning::{CodeScanning, Packed, Patience, Uploaded};
pub use comment::{Commented, PullRequest};
pub use dependencies::{Dependencies, Dependency, Detector, Job, Manifest, Snapshot};
pub use deployments::{DeploymentState, DeploymentStatus, Deployments};
pub use error::UploadError;
pub use inputs::GitHubInputs;
pub use issues::{Issues, RollingIssue};
pub use place::{Place, Unplaced, category, category_and_run_id, family};
pub use stored::{Found, Stored, Wanted};
