//! Credentials for the image's registry.

use actions_toolkit::{Context, PrivateDirectory};
use anyhow::Context as _;
use trivy::RegistryLogin;

/// A directory with Docker's `config.json` for the registry of the images, readable by its owner only; removed when it is
/// dropped. A container action does not see the configuration of the host.
///
/// # Errors
/// When it cannot be written.
pub(crate) fn registry_login(
    ctx: &Context,
    login: &RegistryLogin,
) -> anyhow::Result<PrivateDirectory> {
    let directory = ctx.private_directory("registry")?;
    login
        .credentials
        .write_docker_config(directory.path(), [login.registry.as_deref()])
        .context("failed to write the registry's credentials")?;
    Ok(directory)
}
