//! Azure, as far as a deployment needs it: Entra's tokens, Resource Manager, the registry's and the
//! cluster's credentials.
//!
//! The management SDK for Rust has no current crate for these services; the few calls are made here.

mod arm;
mod cloud;
mod cluster;
mod entra;
pub mod input;
mod refusal;
mod registry;
mod retry;
mod run_command;

pub use arm::ResourceManager;
pub use cloud::{AUDIENCE, AUTHORITY, Cloud, RESOURCE_MANAGER};
pub use cluster::{Cluster, ClusterAccess, Identity, Nodes};
pub use entra::{Credential, Directory, Scope};
pub use registry::{LoginServer, TOKEN_USER};
pub use run_command::Ran;
