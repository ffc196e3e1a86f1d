//! What is attached to a pushed image, as artifacts that refer to it.

use anyhow::Context as _;
use oci::{RawManifest, Registry};

use super::promote::now;
use super::vex;
use crate::targets::ImagePatch;

/// Attach the OpenVEX `document` to `subject`, an image or an index in the repository of the patched image.
///
/// # Errors
/// When the registry does not take it.
pub(crate) async fn attach_vex(
    patch: &ImagePatch<'_, '_>,
    registry: &Registry,
    subject: &RawManifest,
    document: &serde_json::Value,
) -> anyhow::Result<()> {
    let bytes = serde_json::to_vec(document)?;
    attach(patch, registry, subject, vex::MEDIA_TYPE, bytes)
        .await
        .context("failed to attach the OpenVEX document")
}

// github.com/opencontainers/image-spec, manifest.md, guidelines for artifact usage.
async fn attach(
    patch: &ImagePatch<'_, '_>,
    registry: &Registry,
    subject: &RawManifest,
    media_type: &str,
    content: Vec<u8>,
) -> anyhow::Result<()> {
    let local = &patch.session.local;
    let served = patch.served().await?;
    let repository = patch.target.patched.repository();
    let send = async |media_type: &str, bytes: Vec<u8>| {
        let blob = local.put_blob(served, &bytes)?;
        let file = local.fetch(blob.as_str()).await?;
        registry.push_blob(repository, blob.as_str(), &file).await?;
        anyhow::Ok(oci::Descriptor::new(media_type, &blob, bytes.len() as u64))
    };
    let config = send(oci::EMPTY, b"{}".to_vec()).await?;
    let layer = send(media_type, content).await?;
    let mut artifact = oci::Manifest::new(config, vec![layer]);
    artifact.artifact_type = Some(media_type.to_owned());
    let size = subject.bytes.len() as u64;
    artifact.subject = Some(oci::Descriptor::new(
        &subject.media_type,
        &subject.digest,
        size,
    ));
    let created = "org.opencontainers.image.created".to_owned();
    artifact.annotations.insert(created, now());
    registry.push_manifest(repository, &artifact, None).await?;
    Ok(())
}
