//! The patch itself: Copa updates packages into an image that has no tag yet.

mod copa;
mod patched_image;
pub(crate) mod plan;
pub(crate) mod python;

#[cfg(fuzzing)]
pub(crate) use copa::Failure;
pub(crate) use copa::{NOT_TOOLING, PYTHON_TOOLING, RPM_TOOLING, TOOLING};
pub(crate) use patched_image::PatchedImage;
pub(crate) use plan::{Plan, Unsupported, Update};
