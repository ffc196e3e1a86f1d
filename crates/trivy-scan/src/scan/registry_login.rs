//! Credentials for the registries of the images.

use actions_toolkit::{Context, PrivateDirectory};
use anyhow::Context as _;
use registries::Registries;

/// A directory with Docker's `config.json` for the registries of the images, readable by its owner only; removed when it is
/// dropped. A container action does not see the configuration of the host.
///
/// # Errors
/// When it cannot be written.
pub(crate) fn registry_login(
    ctx: &Context,
    registries: &Registries,
) -> anyhow::Result<PrivateDirectory> {
    let directory = ctx.private_directory("registry")?;
    let logins = registries.passwords();
    let logins = logins.map(|(host, login)| (Some(host), login));
    oci::Credentials::write_docker_config_of(directory.path(), logins)
        .context("failed to write the registry's credentials")?;
    Ok(directory)
}
