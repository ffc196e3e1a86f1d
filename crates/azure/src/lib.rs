//! Azure, as far as a deployment needs it: Entra's tokens, Resource Manager, the registry's and the
//! cluster's credentials.
//!
//! The management SDK for Rust has no current crate for these services; the few calls are made here.

mod arm;
mod cluster;
mod entra;
mod registry;

pub use arm::ResourceManager;
pub use cluster::{Cluster, ClusterAccess, Identity};
pub use entra::{Credential, Directory, Scope};
pub use registry::{LoginServer, TOKEN_USER};
