//! Joining the platforms' images of an action to one, and recording what was published.

use std::collections::BTreeMap;
use std::io::Write as _;

use anyhow::{Context as _, ensure};
use oci::{Auth, Credentials, Digest, RawManifest, Registry};
use serde_json::json;

use crate::Destination;
use crate::images::Image;
use xtask::actions::{ACTIONS, Action};
use xtask::progress;

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const PUBLISHED: &str = "published.json";

/// The published images: action, and reference by digest.
pub(crate) type Published = BTreeMap<String, String>;

/// Do `work` with the registry of `destination` and the path there. The environment variables
/// `REGISTRY_USERNAME` and `REGISTRY_PASSWORD` have its credentials.
///
/// # Errors
/// When the name has no path, and those of `work`.
pub(crate) fn with_registry<T>(
    destination: &Destination,
    work: impl AsyncFnOnce(&Registry, &str) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let (host, directory) = destination.registry.split_once('/').with_context(|| {
        format!(
            "invalid `--registry {}`; use a registry and a path, such as `ghcr.io/owner/seaworthy`",
            destination.registry
        )
    })?;
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let auth = match (variable("REGISTRY_USERNAME"), variable("REGISTRY_PASSWORD")) {
        (Some(username), Some(password)) => Auth::Password(Credentials { username, password }),
        _ => Auth::Anonymous,
    };
    let registry = Registry::new(http_client::Client::new()?, host, auth, mask);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(work(&registry, directory))
}

// On the runner, a token is hidden from the log.
fn mask(secret: &str) {
    if std::env::var_os("GITHUB_ACTIONS").is_some() {
        // A closed standard output shows nothing.
        let _ = writeln!(std::io::stdout(), "::add-mask::{secret}");
    }
}

/// Record the pushed `images` of one platform.
///
/// # Errors
/// When a file can't be written.
pub(crate) fn record(
    destination: &Destination,
    architecture: &str,
    images: &[Image],
) -> anyhow::Result<()> {
    let file = destination
        .directory
        .join(format!("images.{architecture}.json"));
    std::fs::write(&file, serde_json::to_vec_pretty(images)?)?;
    Ok(())
}

/// Push an index of each action's images, tag it with the version, and record it.
///
/// # Errors
/// When an action is missing on a platform that another one has, or with the response of the registry.
pub(crate) fn run(destination: &Destination) -> anyhow::Result<()> {
    let mut published = Published::new();
    let pushed = pushed(destination)?;
    for Action { name, .. } in ACTIONS.iter() {
        let images: Vec<_> = pushed
            .iter()
            .filter(|image| image.action == *name)
            .collect();
        let platforms: Vec<_> = images
            .iter()
            .map(|image| image.architecture.as_str())
            .collect();
        ensure!(
            images.len() * ACTIONS.len() == pushed.len(),
            "{name} was pushed for {platforms:?} only"
        );
        let index = index(&images)?;
        let digest = index.digest.to_string();
        with_registry(destination, async |registry, directory| {
            let repository = format!("{directory}/{name}");
            registry
                .tag(&repository, &destination.version, &index)
                .await
        })?;
        progress::line(format!("{name}: {digest} for {}", platforms.join(", ")));
        published.insert(
            (*name).to_owned(),
            format!("{}/{name}@{digest}", destination.registry),
        );
    }
    let file = destination.directory.join(PUBLISHED);
    std::fs::write(&file, serde_json::to_vec_pretty(&published)?)?;
    outputs(destination, &pushed, &published)
}

// What later jobs attest and sign, as outputs of the step: a row of their matrix for each.
fn outputs(
    destination: &Destination,
    images: &[Image],
    published: &Published,
) -> anyhow::Result<()> {
    let Some(path) = std::env::var_os("GITHUB_OUTPUT") else {
        return Ok(());
    };
    let mut file = std::fs::OpenOptions::new()
        .append(true)
        .create(true)
        .open(path)?;
    let indexes: Vec<_> = published
        .iter()
        .filter_map(|(action, image)| {
            let (_, digest) = image.split_once('@')?;
            Some(json!({"action": action, "digest": digest}))
        })
        .collect();
    writeln!(file, "registry={}", destination.registry)?;
    writeln!(file, "images={}", serde_json::to_string(images)?)?;
    writeln!(file, "indexes={}", serde_json::to_string(&indexes)?)?;
    Ok(())
}

// The images of every platform.
fn pushed(destination: &Destination) -> anyhow::Result<Vec<Image>> {
    let mut pushed = Vec::new();
    let what = || format!("failed to read `{}`", destination.directory.display());
    let mut files: Vec<_> = std::fs::read_dir(&destination.directory)
        .with_context(what)?
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with("images.") && name.ends_with(".json")
        })
        .collect();
    files.sort();
    for file in files {
        let images: Vec<Image> = serde_json::from_slice(&std::fs::read(&file)?)
            .with_context(|| format!("failed to read `{}`", file.display()))?;
        pushed.extend(images);
    }
    ensure!(
        !pushed.is_empty(),
        "`{}` has no record of a pushed image; run `release images` first",
        destination.directory.display()
    );
    Ok(pushed)
}

// The index of `images` (github.com/opencontainers/image-spec/blob/main/image-index.md).
fn index(images: &[&Image]) -> anyhow::Result<RawManifest> {
    let manifests: Vec<_> = images
        .iter()
        .map(|image| {
            json!({
                "mediaType": image.media_type,
                "digest": image.digest,
                "size": image.size,
                "platform": {"architecture": image.architecture, "os": "linux"},
            })
        })
        .collect();
    let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests});
    let bytes = serde_json::to_vec(&index)?;
    Ok(RawManifest {
        digest: Digest::sha256(&bytes),
        media_type: INDEX.to_owned(),
        bytes,
    })
}

/// What was published from `destination`.
///
/// # Errors
/// When nothing was.
pub(crate) fn read(destination: &Destination) -> anyhow::Result<Published> {
    let file = destination.directory.join(PUBLISHED);
    let text = std::fs::read(&file).with_context(|| {
        format!(
            "failed to read `{}`; run `release publish` first",
            file.display()
        )
    })?;
    serde_json::from_slice(&text).with_context(|| format!("failed to read `{}`", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_names_the_image_of_each_platform() {
        let image = |architecture: &str| Image {
            action: "ci".into(),
            architecture: architecture.into(),
            digest: format!("sha256:{architecture}"),
            media_type: "application/vnd.oci.image.manifest.v1+json".into(),
            size: 7,
        };
        let (amd, arm) = (image("amd64"), image("arm64"));
        let index = index(&[&amd, &arm]).unwrap();
        let text = String::from_utf8(index.bytes).unwrap();
        assert_eq!(text.matches("\"platform\"").count(), 2, "{text}");
        assert!(text.contains(r#""architecture":"arm64""#), "{text}");
        assert_eq!(index.digest, Digest::sha256(text.as_bytes()));
    }
}
