//! The API server of the cluster: its objects are read, applied and removed here.

mod apply_set;
mod client;
mod definition;
mod deployed;
pub(crate) mod diff;
mod fields;
mod job;
mod lookup;
mod namespace;
mod object;
mod outage;
mod owners;
pub(crate) mod poll_interval;
mod restore;
mod retry;
mod run_command;
#[cfg(test)]
mod same_as_kubectl;
mod schema;
mod snapshot;
mod warnings;
mod workload;

pub(crate) use apply_set::{ApplySet, is_listed_as, is_parent};
pub(crate) use client::{
    Changes, Cluster, DEFAULT_NAMESPACE, Proxied, Rejected, is_conflict, is_invalid,
};
pub(crate) use job::outcome as job_outcome;
pub(crate) use object::{
    Object, RBAC, containers, containers_mut, group as group_of, pod_specs_mut, set, text,
};
pub(crate) use outage::{OutageBudget, retry_outage};
pub(crate) use owners::{LAST_APPLIED, Owners};
pub(crate) use restore::Taken;
pub(crate) use run_command::RunCommand;
#[cfg(fuzzing)]
pub(crate) use run_command::fuzz as fuzz_run_command;
pub(crate) use snapshot::Snapshot;
pub(crate) use workload::{COUNTED_ANNOTATIONS, REVISION, TEMPLATE_GENERATION, Workload};
