//! An image where it is, in Docker or in its registry, before anything is done with it.

use std::fmt;
use std::sync::Arc;

use actions_toolkit::BadInput;
use anyhow::Context as _;
use docker::ImageInfo;
use oci::{Descriptor, ImageRef, Index, Platform, RawManifest, Registry};

use crate::lineage;
use crate::request::{BuildKitSource, Inputs};
use crate::session::Session;

/// The media types of an image's configuration, by OCI's specification and by Docker's.
const CONFIGS: [&str; 2] = [
    oci::CONFIG,
    "application/vnd.docker.container.image.v1+json",
];

/// An image, and where it is.
pub(crate) struct FoundImage {
    pub(crate) info: ImageInfo,
    pub(crate) source: Source,
    /// Its repository in the local registry.
    pub(crate) repository: String,
    /// Its name in the local registry, if it has one yet.
    pub(crate) served: Option<ImageRef>,
    /// The name of the image that it is a patch of.
    pub(crate) patch_of: Option<String>,
    /// Platforms of its index; 1 if it has none.
    pub(crate) platforms: usize,
}

/// Where an image comes from.
pub(crate) enum Source {
    Docker,
    Registry {
        registry: Arc<Registry>,
        manifest: RawManifest,
    },
}

/// Why an image can't be patched, ever: it is skipped in a registry, and a wrong input where it is named.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Unpatchable(String);

impl FoundImage {
    /// Find `image`, which is the repository `repository` of the local registry.
    ///
    /// # Errors
    /// [`Unpatchable`] when it is not an image, or not for this machine; [`BadInput`] when it does not exist.
    pub(crate) async fn find(
        session: &Session<'_>,
        image: &ImageRef,
        repository: String,
    ) -> anyhow::Result<Self> {
        if !session.request.push
            && let Some(info) = session.docker.inspect(image).await?
        {
            check_platform(session, &info)?;
            return Ok(Self {
                info,
                source: Source::Docker,
                repository,
                served: None,
                patch_of: None,
                platforms: 1,
            });
        }
        let absent = |owner: &str, hint: &str| {
            let problem = format!("{owner} has no image `{image}`; {hint}");
            BadInput::new(Inputs::image, problem)
        };
        let Some(host) = image.registry() else {
            return Err(absent("Docker", "build or pull it in an earlier step").into());
        };
        let registry = session.registry(host).await?;
        let manifest = registry.manifest(image.repository(), image.reference());
        let Some(manifest) = manifest.await? else {
            let is_in_docker = session.docker.inspect(image).await?.is_some();
            let hint = match (is_in_docker, session.request.push) {
                (true, _) => {
                    "Docker has it: push it in an earlier step, or set `push: false` to patch it in Docker"
                }
                (false, true) => "push it in an earlier step, or correct its name",
                (false, false) => "build or pull it in an earlier step",
            };
            return Err(absent(&format!("`{host}`"), hint).into());
        };
        let (manifest, platforms) = of_this_platform(&registry, image, manifest).await?;
        let patch_of = check_manifest(&manifest)?;
        let local = &session.local;
        let served = local.add_remote(&registry, image, &manifest, &repository)?;
        let stored = local.image(&served).await?;
        let info = stored
            .context("the image is missing from the local registry")?
            .info;
        check_platform(session, &info)?;
        Ok(Self {
            info,
            source: Source::Registry { registry, manifest },
            repository,
            served: Some(served),
            patch_of,
            platforms,
        })
    }
}

// What the image is a patch of, if it is an image.
fn check_manifest(manifest: &RawManifest) -> Result<Option<String>, Unpatchable> {
    let no_image = |what: fmt::Arguments<'_>| Unpatchable(format!("is not an image: {what}"));
    let Ok(parsed) = serde_json::from_slice::<oci::Manifest>(&manifest.bytes) else {
        let kind = &manifest.media_type;
        return Err(no_image(format_args!("its manifest has the type `{kind}`")));
    };
    let config = &parsed.config.media_type;
    if let Some(kind) = &parsed.artifact_type {
        return Err(no_image(format_args!(
            "it is an artifact of the type `{kind}`"
        )));
    }
    if !CONFIGS.contains(&config.as_str()) {
        return Err(no_image(format_args!(
            "its configuration has the type `{config}`"
        )));
    }
    Ok(lineage::origin_name(&parsed.annotations).map(ToOwned::to_owned))
}

// Copa patches what runs on the machine of BuildKit; where that is another machine, it decides by itself.
fn check_platform(session: &Session<'_>, image: &ImageInfo) -> Result<(), Unpatchable> {
    let has = |own: &str, expected: &str| own.is_empty() || own == expected;
    let elsewhere = matches!(session.request.buildkit, BuildKitSource::Address(_));
    let architecture = architecture();
    if has(&image.os, "linux") && (elsewhere || has(&image.architecture, architecture)) {
        return Ok(());
    }
    Err(Unpatchable(format!(
        "is for {}/{}, and this machine patches linux/{architecture}",
        image.os, image.architecture
    )))
}

fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

// The manifest of an image index that runs on this machine, and the number of the index's platforms: by a report, Copa
// patches no other one.
async fn of_this_platform(
    registry: &Registry,
    image: &ImageRef,
    manifest: RawManifest,
) -> anyhow::Result<(RawManifest, usize)> {
    if !oci::is_index(&manifest.media_type) {
        return Ok((manifest, 1));
    }
    let index: Index = serde_json::from_slice(&manifest.bytes)
        .map_err(|e| Unpatchable(format!("has an invalid image index: {e}")))?;
    // Attestations are entries of the index as well, of the platform `unknown`.
    let mut platforms = Vec::new();
    for entry in &index.manifests {
        let platform = match &entry.platform {
            Some(platform) => platform.clone(),
            None => platform_of(registry, image, entry).await?,
        };
        if platform.os != "unknown" {
            platforms.push((entry, platform));
        }
    }
    let wanted = architecture();
    let found = platforms
        .iter()
        .find(|(_, platform)| platform.os == "linux" && platform.architecture == wanted);
    let Some((entry, _)) = found else {
        let others: Vec<_> = platforms
            .iter()
            .map(|(_, platform)| format!("{}/{}", platform.os, platform.architecture))
            .collect();
        let others = if others.is_empty() {
            "no image at all".to_owned()
        } else {
            format!("only {}", others.join(", "))
        };
        return Err(Unpatchable(format!("has no image for linux/{wanted}, {others}")).into());
    };
    let digest = &entry.digest;
    let found = registry.manifest(image.repository(), digest).await?;
    let found =
        found.with_context(|| format!("`{image}` lists `{digest}`, which does not exist"))?;
    let linux = platforms
        .iter()
        .filter(|(_, platform)| platform.os == "linux");
    Ok((found, linux.count()))
}

// The platform of an entry that does not name it, as its configuration has it.
async fn platform_of(
    registry: &Registry,
    image: &ImageRef,
    entry: &Descriptor,
) -> anyhow::Result<Platform> {
    let unknown = || Platform {
        os: "unknown".to_owned(),
        architecture: "unknown".to_owned(),
    };
    let repository = image.repository();
    let manifest = registry.manifest(repository, &entry.digest).await?;
    let manifest = manifest.filter(|manifest| check_manifest(manifest).is_ok());
    let manifest = manifest.map(|raw| serde_json::from_slice::<oci::Manifest>(&raw.bytes));
    let Some(Ok(manifest)) = manifest else {
        return Ok(unknown());
    };
    let config = registry.blob_bytes(repository, &manifest.config.digest);
    let platform = serde_json::from_slice(&config.await?);
    Ok(platform.unwrap_or_else(|_| unknown()))
}

#[cfg(test)]
mod tests {
    use oci::Digest;

    use super::*;

    fn manifest(media_type: &str, json: &str) -> RawManifest {
        RawManifest {
            digest: Digest::sha256(json.as_bytes()),
            media_type: media_type.to_owned(),
            bytes: json.as_bytes().to_vec(),
        }
    }

    #[test]
    fn what_is_no_image_is_named() {
        let with = |config: &str, more: &str| {
            let json = format!(
                r#"{{"schemaVersion": 2, "config": {{"mediaType": "{config}", "digest": "sha256:0", "size": 2}}, "layers": []{more}}}"#
            );
            check_manifest(&manifest(oci::MANIFEST, &json)).map_err(|e| e.to_string())
        };
        for config in CONFIGS {
            assert_eq!(with(config, ""), Ok(None));
        }
        let annotations = r#", "annotations": {"sh.copa.patch.origin.name": "app:1"}"#;
        assert_eq!(with(oci::CONFIG, annotations), Ok(Some("app:1".to_owned())));
        let chart = "application/vnd.cncf.helm.config.v1+json";
        insta::assert_snapshot!(with(chart, "").unwrap_err(), @"is not an image: its configuration has the type `application/vnd.cncf.helm.config.v1+json`");
        let kind = r#", "artifactType": "application/spdx+json""#;
        insta::assert_snapshot!(with(oci::EMPTY, kind).unwrap_err(), @"is not an image: it is an artifact of the type `application/spdx+json`");
        let schema1 = "application/vnd.docker.distribution.manifest.v1+prettyjws";
        let error = check_manifest(&manifest(schema1, "{}")).unwrap_err();
        insta::assert_snapshot!(error, @"is not an image: its manifest has the type `application/vnd.docker.distribution.manifest.v1+prettyjws`");
    }
}
