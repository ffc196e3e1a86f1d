//! Joining the platforms' images of an action to one, and saying what was published.

use std::collections::BTreeMap;
use std::io::Write as _;

use anyhow::{Context as _, ensure};
use oci::{Auth, Credentials, Digest, RawManifest, Registry};
use serde_json::json;

use super::images::Image;
use super::{ACTIONS, Place};
use crate::{say, stack};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const PUBLISHED: &str = "published.json";

/// The published images: action, and reference by digest.
pub(super) type Published = BTreeMap<String, String>;

/// Do `work` with the registry of `place` and the folder there. Whom the registry wants to know is in the
/// environment variables `REGISTRY_USERNAME` and `REGISTRY_PASSWORD`.
///
/// # Errors
/// When there is no registry in the name, or with what the work said.
pub(super) fn with_registry<T>(
    place: &Place,
    work: impl AsyncFnOnce(&Registry, &str) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let (host, folder) = place.registry.split_once('/').with_context(|| {
        format!(
            "`--registry {}` is no registry and folder, such as `ghcr.io/owner/seaworthy`",
            place.registry
        )
    })?;
    let given = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let auth = match (given("REGISTRY_USERNAME"), given("REGISTRY_PASSWORD")) {
        (Some(username), Some(password)) => Auth::Basic(Credentials { username, password }),
        _ => Auth::Anonymous,
    };
    let registry = Registry::new(stack::http_client()?, host, auth);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(work(&registry, folder))
}

/// Leave word of the pushed `images` of one platform, and the digests as outputs of the step.
///
/// # Errors
/// When a file can't be written.
pub(super) fn leave(place: &Place, architecture: &str, images: &[Image]) -> anyhow::Result<()> {
    let file = place.folder.join(format!("images.{architecture}.json"));
    std::fs::write(&file, serde_json::to_vec_pretty(images)?)?;
    let digests = images
        .iter()
        .map(|image| (image.action.as_str(), image.digest.as_str()));
    outputs(place, digests)
}

// What later steps of the job attest and sign.
fn outputs<'a>(
    place: &Place,
    digests: impl Iterator<Item = (&'a str, &'a str)>,
) -> anyhow::Result<()> {
    let Some(path) = std::env::var_os("GITHUB_OUTPUT") else {
        return Ok(());
    };
    let mut file = std::fs::OpenOptions::new()
        .append(true)
        .create(true)
        .open(path)?;
    writeln!(file, "registry={}", place.registry)?;
    for (action, digest) in digests {
        writeln!(file, "{action}={digest}")?;
    }
    Ok(())
}

/// Push an index of each action's images, tag it with the version, and leave word of it.
///
/// # Errors
/// When an action is missing on a platform that another one has, or with what the registry answered.
pub(super) fn run(place: &Place) -> anyhow::Result<()> {
    let mut published = Published::new();
    let pushed = pushed(place)?;
    for action in ACTIONS {
        let images: Vec<_> = pushed
            .iter()
            .filter(|image| image.action == action)
            .collect();
        let platforms: Vec<_> = images
            .iter()
            .map(|image| image.architecture.as_str())
            .collect();
        ensure!(
            images.len() * ACTIONS.len() == pushed.len(),
            "{action} was pushed for {platforms:?} only"
        );
        let index = index(&images)?;
        let digest = index.digest.to_string();
        with_registry(place, async |registry, folder| {
            let repository = format!("{folder}/{action}");
            registry.tag(&repository, &place.version, &index).await
        })?;
        say::line(format!("{action}: {digest} for {}", platforms.join(", ")));
        published.insert(
            action.to_owned(),
            format!("{}/{action}@{digest}", place.registry),
        );
    }
    let file = place.folder.join(PUBLISHED);
    std::fs::write(&file, serde_json::to_vec_pretty(&published)?)?;
    let digests = published.iter().filter_map(|(action, image)| {
        let (_, digest) = image.split_once('@')?;
        Some((action.as_str(), digest))
    });
    outputs(place, digests)
}

// Word of every platform's images.
fn pushed(place: &Place) -> anyhow::Result<Vec<Image>> {
    let mut found = Vec::new();
    let what = || format!("while reading `{}`", place.folder.display());
    let mut files: Vec<_> = std::fs::read_dir(&place.folder)
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
            .with_context(|| format!("while reading `{}`", file.display()))?;
        found.extend(images);
    }
    ensure!(
        !found.is_empty(),
        "`{}` has no word of a pushed image: run `release images` first",
        place.folder.display()
    );
    Ok(found)
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

/// What was published from `place`.
///
/// # Errors
/// When nothing was.
pub(super) fn read(place: &Place) -> anyhow::Result<Published> {
    let file = place.folder.join(PUBLISHED);
    let text = std::fs::read(&file).with_context(|| {
        format!(
            "while reading `{}`: run `release publish` first",
            file.display()
        )
    })?;
    serde_json::from_slice(&text).with_context(|| format!("while reading `{}`", file.display()))
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
