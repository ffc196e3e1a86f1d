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
//! - [`Client::dependencies`] submits the packages of a commit to the dependency graph;
//! - [`Client::artifact_metadata`] records which registry has an image, and where it runs.
//!
//! [`CacheEntries`] are small entries in the cache of the repository's workflows.
//!
//! [`Publisher`] is the flow that the actions share: what is uploaded, for which [`Revision`], and what is logged. [`Recorder`] is
//! the same for artifact metadata.

mod account;
mod actions_cache;
mod alerts;
mod analyses;
mod artifact_metadata;
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
mod recorder;
mod request_error;
mod revision;
mod transport;
mod truncate;
mod upload_error;

pub use actions_cache::CacheEntries;
pub use alerts::{Alerts, DismissedAlert};
pub use analyses::{Analyses, AnalysisFilter, NewestAnalysis};
pub use artifact_metadata::{
    ArtifactMetadata, DeploymentPlace, DeploymentRecord, NotRecorded, RecordStatus, RuntimeRisk,
    StoredImage, Unrecorded,
};
pub use category::{category, category_and_run_id, job_category, step_name};
pub use changes::ChangedFile;
pub use client::{API_VERSION, Client, MEDIA_TYPE};
pub use code_scanning::{CodeScanning, CompressedSarif, Uploaded};
pub use dependencies::{Dependencies, Dependency, Detector, Job, Manifest, Snapshot};
pub use deployments::{DeploymentState, DeploymentStatus, Deployments};
pub use inputs::{GitHubInputs, StorageRecordInputs};
pub use issues::{Issues, RollingIssue};
pub use leg::Leg;
pub use publish::Publisher;
pub use pull_request::{Commented, PullRequest};
pub use recorder::Recorder;
pub use revision::{NoRevision, Revision, base_branch};
pub use upload_error::UploadError;
