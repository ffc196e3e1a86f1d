//! Images and containers: what the four actions share.
//!
//! - [`ImageRef`]: a reference, parsed and checked;
//! - [`Docker`]: the Docker daemon over its socket: build, inspect, run, tag, push;
//! - [`Dockerfile`]: its instructions and stages;
//! - [`Registry`]: a client of the OCI distribution API;
//! - [`LocalRegistry`]: images served to a BuildKit beside us, which pushes there what it made;
//! - manifests in [`oci`].
//!
//! This crate knows nothing of the runner.

mod build;
mod container;
mod docker;
mod dockerfile;
mod ignore;
mod image;
mod load;
mod local;
pub mod netns;
pub mod oci;
mod registry;
mod session;

pub use build::{BuildError, BuildEvent, BuildRequest, BuildWarning, Cache};
pub use container::{Container, ContainerSpec, ExecOutput, ExecStream};
pub use docker::{Credentials, Docker, ImageConfig, ImageInfo, Layer};
pub use dockerfile::{Dockerfile, Instruction};
pub use ignore::context_size;
pub use image::{Digest, ImageRef, ParseImageError};
pub use local::{LocalRegistry, StoredImage};
pub use registry::{Auth, Manifest, Refused, Registry};
pub use session::BuildSecrets;

/// The label that every container we start carries; its value is the run's own id.
pub const RUN_LABEL: &str = "dev.seaworthy.run";
