//! The parts of Azure that a deployment needs: tokens of Entra, Resource Manager, the credentials of registry and
//! cluster.
//!
//! The management SDK for Rust has no current crate for these services; the few requests are sent here.

mod cloud;
mod cluster;
mod entra;
#[cfg(fuzzing)]
pub mod fuzz;
pub mod input;
pub mod network;
mod registry;
mod rejection;
mod resource_manager;
mod retry;
mod run_command;

pub use cloud::{AUDIENCE, AUTHORITY, Cloud, RESOURCE_MANAGER};
pub use cluster::{Cluster, ClusterAccess, Identity, Nodes};
pub use entra::{Credential, Entra, Scope};
pub use registry::{LoginServer, TOKEN_USER};
pub use resource_manager::ResourceManager;
pub use run_command::Ran;
