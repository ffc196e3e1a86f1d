//! What the machine needs: system packages, tools, base images, the Trivy database.

pub(crate) mod apt;
pub(crate) mod base_images;
pub(crate) mod command;
pub(crate) mod crates_io;
pub(crate) mod disk;
pub(crate) mod go_tools;
pub(crate) mod kubernetes_schemas;
pub(crate) mod npm;
pub(crate) mod pypi;
pub(crate) mod trivy_db;
