//! Access to the image's registry.

use std::io::Write as _;
use std::path::Path;

use actions_toolkit::{Context, Secret};
use anyhow::Context as _;
use base64::Engine as _;
use oci::ImageRef;
use serde_json::json;
use tempfile::TempDir;

/// A folder with a `config.json` for the registries of `images`, which only its owner reads; it goes when it is
/// dropped. In a container action the host's own configuration is out of sight.
///
/// # Errors
/// When it can't be written.
pub(crate) fn folder(
    ctx: &Context,
    (user, password): &(String, Secret),
    images: impl Iterator<Item = ImageRef>,
) -> anyhow::Result<TempDir> {
    let folder = tempfile::Builder::new()
        .prefix("registry-")
        .tempdir_in(ctx.temp_dir())
        .context("while making a folder for the registry's credentials")?;
    let pair = format!("{user}:{}", password.expose());
    let auth = base64::engine::general_purpose::STANDARD.encode(pair);
    ctx.log().mask(&auth);
    // Docker Hub goes by the name of its first API (`cli/config/credentials` of the Docker CLI).
    let name = |image: ImageRef| match image.registry() {
        None => "https://index.docker.io/v1/".to_owned(),
        Some(registry) => registry.to_owned(),
    };
    let auths: serde_json::Map<_, _> = images
        .map(|image| (name(image), json!({"auth": auth})))
        .collect();
    write(folder.path(), &json!({"auths": auths}).to_string())
        .context("while writing the registry's credentials")?;
    Ok(folder)
}

// A temporary folder is its owner's alone, and so is the file.
fn write(folder: &Path, text: &str) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    options
        .open(folder.join("config.json"))?
        .write_all(text.as_bytes())
}
