//! Credentials for the image's registry.

use actions_toolkit::{Context, PrivateDirectory};
use anyhow::Context as _;
use oci::{Credentials, ImageRef};

/// A directory with Docker's `config.json` for the registries of `images`, readable by its owner only; removed when it is
/// dropped. A container action does not see the configuration of the host.
///
/// # Errors
/// When it cannot be written.
pub(crate) fn registry_login(
    ctx: &Context,
    login: &Credentials,
    images: impl Iterator<Item = ImageRef>,
) -> anyhow::Result<PrivateDirectory> {
    let directory = ctx.private_directory("registry")?;
    let images: Vec<_> = images.collect();
    login
        .write_docker_config(directory.path(), images.iter().map(ImageRef::registry))
        .context("failed to write the registry's credentials")?;
    Ok(directory)
}
