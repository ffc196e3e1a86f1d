//! The rollout of the workloads: watched until each is done, one has failed, or the time is up.

mod evidence;
mod nodes;
mod pods;
mod status;
mod superseded;
mod wait;
mod watch;

use serde_json::Value;

pub(crate) use evidence::{Evidence, collect_all};
pub(crate) use superseded::{Superseded, find_superseded};
pub(crate) use wait::wait;

/// The annotation of a Deployment and its `ReplicaSet`s with their revision.
const REVISION: &str = "deployment.kubernetes.io/revision";

// The revision of a live Deployment; empty if it has none.
fn revision(deployment: &Value) -> &str {
    let annotation = &deployment["metadata"]["annotations"][REVISION];
    annotation.as_str().unwrap_or_default()
}
