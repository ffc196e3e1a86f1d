//! Images by the specifications of the Open Container Initiative, without a Docker daemon.
//!
//! - [`ImageRef`]: a reference, parsed and checked; [`Digest`]: the SHA-256 digest of a blob or manifest;
//! - [`Manifest`], [`Index`], [`Descriptor`]: the documents that registries store;
//! - [`Registry`]: a client of the OCI distribution API.

mod digest;
mod docker_config;
#[cfg(fuzzing)]
pub mod fuzz;
mod hosts;
mod manifest;
mod reference;
mod registry;

pub use digest::Digest;
pub use hosts::hosts;
pub use manifest::{
    CONFIG, Descriptor, EMPTY, INDEX, Index, LAYER, MANIFEST, Manifest, Platform, is_index,
};
pub use reference::{ImageRef, ParseImageError};
pub use registry::{Auth, Blob, Credentials, RawManifest, Refused, Registry};
