//! What the machine needs: system packages, tools, base images, the Trivy database.

pub(crate) mod apt;
pub mod base_images;
pub mod builds;
pub mod command;
pub(crate) mod crates_io;
pub(crate) mod go_tools;
pub(crate) mod kubernetes_schemas;
pub(crate) mod machine;
pub(crate) mod npm;
pub(crate) mod programs;
pub(crate) mod pypi;
mod replaced;
pub(crate) mod timings;
pub(crate) mod trivy_db;
