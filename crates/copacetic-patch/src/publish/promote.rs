//! The promotion of a verified image: to its registry, or to a name in Docker.

use anyhow::Context as _;
use oci::{RawManifest, Registry};

use super::{referrer, tags, vex};
use crate::patch::PatchedImage;
use crate::targets::{ImagePatch, Source};
use crate::verify::Verification;

/// A patched image with its tags.
pub(crate) struct Promoted {
    /// The digest of the manifest in the registry, or the id in Docker.
    pub(crate) digest: String,
    /// The tag that never moves, if it was pushed.
    pub(crate) incremental: Option<String>,
    /// Its OpenVEX document; an index has one for all of its images.
    pub(crate) vex: Option<serde_json::Value>,
}

/// Give the image its tags, in its registry or in Docker; `patched-tag` is set last.
///
/// # Errors
/// When it can't be tagged or pushed.
pub(crate) async fn promote(
    patch: &ImagePatch<'_, '_>,
    patched_image: &PatchedImage,
    verification: &Verification,
) -> anyhow::Result<Promoted> {
    let session = patch.session;
    if let (true, Source::Registry { registry, .. }) = (session.request.push, &patch.source) {
        return push(patch, patched_image, verification, registry).await;
    }
    let patched = &patch.target.patched;
    let name = patched_image.in_docker(patch).await?;
    session.docker.tag(name, patched).await?;
    let image = session.docker.inspect(patched).await?;
    let id = image
        .context("the patched image is missing from Docker")?
        .id;
    let fixed = vex::Fixed {
        comparison: &verification.comparison,
        digests: Vec::new(),
    };
    Ok(Promoted {
        vex: Some(vex::document(patched, &id, &[fixed], &now())),
        digest: id,
        incremental: None,
    })
}

/// The time in RFC 3339.
pub(crate) fn now() -> String {
    let now = jiff::Timestamp::now();
    now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

// The content first, then what is attached to it, and last the tags.
async fn push(
    patch: &ImagePatch<'_, '_>,
    patched_image: &PatchedImage,
    verification: &Verification,
    registry: &Registry,
) -> anyhow::Result<Promoted> {
    let patched = &patch.target.patched;
    let manifest = push_content(patch, patched_image, registry).await?;
    let digest = manifest.digest.to_string();
    let fixed = vex::Fixed {
        comparison: &verification.comparison,
        digests: vec![&digest],
    };
    let vex = vex::document(patched, &digest, &[fixed], &now());
    if patch.session.request.attached.vex {
        referrer::attach_vex(patch, registry, &manifest, &vex).await?;
    }
    if patch.session.request.attached.sbom {
        referrer::attach_sbom(patch, registry, &manifest, &verification.after).await?;
    }
    let incremental = tags::set(&patch.log, registry, patched, &manifest).await?;
    Ok(Promoted {
        digest,
        incremental: Some(incremental),
        vex: Some(vex),
    })
}

/// Push the image without a tag. The original's layers are in the repository: only new blobs are pushed.
///
/// # Errors
/// When the registry does not take it.
pub(crate) async fn push_content(
    patch: &ImagePatch<'_, '_>,
    patched_image: &PatchedImage,
    registry: &Registry,
) -> anyhow::Result<RawManifest> {
    let session = patch.session;
    let repository = patch.target.patched.repository();
    let known = match &patch.source {
        Source::Registry { manifest, .. } => {
            let original: oci::Manifest =
                serde_json::from_slice(&manifest.bytes).context("invalid manifest")?;
            original.layers
        }
        Source::Docker => Vec::new(),
    };
    let manifest = &patched_image.image.manifest;
    for blob in manifest.layers.iter().chain([&manifest.config]) {
        if !known.iter().any(|layer| layer.digest == blob.digest) {
            let file = session.local.fetch(&blob.digest).await?;
            registry.push_blob(repository, &blob.digest, &file).await?;
        }
    }
    registry.push_manifest(repository, manifest, None).await?;
    Ok(RawManifest::new(&manifest.media_type, manifest.bytes()?))
}
