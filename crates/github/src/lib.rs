//! GitHub's REST API, as the actions use it.
//!
//! A [`Client`] is one repository and one token, with one retry policy:
//!
//! - [`Client::code_scanning`] uploads a SARIF file and waits until it is processed;
//! - [`Client::analyses`] reads what an earlier analysis uploaded;
//! - [`Client::alerts`] reads which alerts a person has dismissed;
//! - [`Client::pull_request`] keeps one comment up to date;
//! - [`Client::issues`] keeps one issue: opened, rewritten and closed as what it reports comes and goes;
//! - [`Client::deployments`] reports which commit runs in an environment, and its URL;
//! - [`Client::dependencies`] submits the packages of a commit to the dependency graph.
//!
//! [`Publisher`] is the flow that the actions share: what is uploaded, for which [`Revision`], and what is logged.

mod account;
mod alerts;
mod analyses;
mod category;
mod changes;
mod checkout;
mod client;
mod code_scanning;
mod dependencies;
mod deployments;
#[cfg(fuzzing)]
pub mod fuzz;
mod inputs;
mod issues;
mod leg;
pub mod network;
mod publish;
mod pull_request;
mod request_error;
mod revision;
mod transport;
mod truncate;
mod upload_error;

pub use alerts::{Alerts, DismissedAlert};
pub use analyses::{Analyses, AnalysisFilter, NewestAnalysis};
pub use category::{category, category_and_run_id, job_category, step_name};
pub use changes::ChangedFile;
pub use client::Client;
pub use code_scanning::{CodeScanning, CompressedSarif, Uploaded};
pub use dependencies::{Dependencies, Dependency, Detector, Job, Manifest, Snapshot};
pub use deployments::{DeploymentState, DeploymentStatus, Deployments};
pub use inputs::GitHubInputs;
pub use issues::{Issues, RollingIssue};
pub use leg::Leg;
pub use publish::Publisher;
pub use pull_request::{Commented, PullRequest};
pub use revision::{NoRevision, Revision, base_branch};
pub use upload_error::UploadError;
