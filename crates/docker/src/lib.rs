//! The Docker daemon over its socket, and what goes with it.
//!
//! - [`Docker`]: a connection: inspect, build, pull, push, tag, load and run;
//! - [`BuildKit`]: a BuildKit of the run, for builds that Docker's own cannot make;
//! - [`Container`]: a container that was started here: its log, commands and files;
//! - [`Dockerfile`]: its instructions and stages;
//! - [`LocalRegistry`]: serves images of the daemon, or of another registry, to a BuildKit on this machine;
//! - [`netns`]: the container that this process runs in.
//!
//! References, manifests and the client of remote registries are in the crate `oci`.

mod build;
mod buildkit;
mod client;
mod container;
mod dockerfile;
#[cfg(fuzzing)]
pub mod fuzz;
mod image_info;
mod load;
mod local_registry;
pub mod netns;
mod network;
mod overdue;

pub use build::{
    BuildError, BuildEvent, BuildRequest, BuildSecrets, BuildWarning, Cache, SshAgents,
    context_size,
};
pub use buildkit::{BuildKit, CacheEntry, Solve};
pub use client::Docker;
pub use container::{
    Access, Archive, Container, ContainerSpec, ExecOutput, ExecStream, FileHead, HealthCheck,
    HealthStatus, Throttling, Tree,
};
pub use dockerfile::{Dockerfile, Instruction};
pub use image_info::{ImageConfig, ImageInfo, Layer};
pub use local_registry::{LocalRegistry, StoredImage};
pub use overdue::{EXPIRES_LABEL, OverdueRemoval};

/// The label of every container that is started here; its value is the id of the run.
pub const RUN_LABEL: &str = "dev.seaworthy.run";
