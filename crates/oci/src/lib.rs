//! Images by the specifications of the Open Container Initiative, without a Docker daemon.
//!
//! - [`ImageRef`]: a reference, parsed and checked; [`Digest`]: the SHA-256 digest of a blob or manifest;
//! - [`Manifest`], [`Index`], [`Descriptor`]: the documents that registries store;
//! - [`Logins`]: which registry gets which credentials;
//! - [`Registry`]: a client of the OCI distribution API.

mod denied;
mod digest;
mod docker_config;
#[cfg(fuzzing)]
pub mod fuzz;
mod hosts;
mod logins;
mod manifest;
mod platform;
mod reference;
mod registry;

pub use denied::{FIREWALL_HINT, is_denied, is_firewall};
pub use digest::Digest;
pub use hosts::{hosts, is_docker_hub};
pub use logins::Logins;
pub use manifest::{
    CONFIG, CONFIGS, Descriptor, EMPTY, ENVELOPE, INDEX, Index, LAYER, MANIFEST, Manifest,
    PREDICATE, STATEMENT, is_index,
};
pub use platform::{ParsePlatformError, Platform, architecture};
pub use reference::{ImageRef, ParseImageError};
pub use registry::{Auth, Blob, Credentials, RawManifest, Refused, Registry, Renewed};
