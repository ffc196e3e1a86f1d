//! Credentials for the image's registry.

use std::io::Write as _;
use std::path::Path;

use actions_toolkit::{Context, PrivateDirectory};
use anyhow::Context as _;
use base64::Engine as _;
use oci::{Credentials, ImageRef};
use serde_json::json;

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
    let pair = format!("{}:{}", login.username, login.password);
    let auth = base64::engine::general_purpose::STANDARD.encode(pair);
    ctx.log().mask(&auth);
    // Docker Hub is named after its first API (`cli/config/credentials` of the Docker CLI).
    let name = |image: ImageRef| match image.registry() {
        None => "https://index.docker.io/v1/".to_owned(),
        Some(registry) => registry.to_owned(),
    };
    let auths: serde_json::Map<_, _> = images
        .map(|image| (name(image), json!({"auth": auth})))
        .collect();
    write(directory.path(), &json!({"auths": auths}).to_string())
        .context("failed to write the registry's credentials")?;
    Ok(directory)
}

fn write(directory: &Path, text: &str) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    options
        .open(directory.join("config.json"))?
        .write_all(text.as_bytes())
}
