//! The promotion of a verified image: to its registry, or to a name in Docker.

use anyhow::Context as _;
use oci::{Descriptor, ImageRef, RawManifest, Registry};

use super::{left_behind, referrer, tags, vex};
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
    /// What is attached to the original, and does not follow.
    pub(crate) left_behind: Option<String>,
}

/// A manifest in its repository, with all that it names.
pub(crate) struct Pushed {
    pub(crate) manifest: RawManifest,
    /// A tag that never moves, if the way of the push needs one.
    pub(crate) tag: Option<String>,
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
    if session.request.pushes() {
        let registry = session.destination(&patch.target.patched).await?;
        return push(patch, patched_image, verification, &registry).await;
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
        left_behind: None,
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
    let pushed = push_content(patch, patched_image, registry).await?;
    let Pushed { manifest, tag } = pushed;
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
    if patch.session.request.attached.provenance {
        let comparisons = [&verification.comparison];
        referrer::attach_provenance(patch, registry, &manifest, patch.origin(), &comparisons)
            .await?;
    }
    let incremental = tags::set(&patch.log, registry, patched, &manifest, tag).await?;
    let left_behind = match &patch.source {
        Source::Registry { registry, manifest } if patch.target.is_moved() => {
            let digests = [&manifest.digest];
            left_behind(&patch.log, registry, &patch.target.image, digests, 0).await
        }
        _ => None,
    };
    Ok(Promoted {
        left_behind,
        digest,
        incremental: Some(incremental),
        vex: Some(vex),
    })
}

/// Push the image without a tag. Layers of the original that are in the repository are not pushed, and copied from another one.
///
/// # Errors
/// When the registry does not take it.
pub(crate) async fn push_content(
    patch: &ImagePatch<'_, '_>,
    patched_image: &PatchedImage,
    registry: &Registry,
) -> anyhow::Result<Pushed> {
    let (session, target) = (patch.session, &patch.target);
    let repository = target.patched.repository();
    let manifest = &patched_image.image.manifest;
    let Source::Registry {
        registry: source,
        manifest: original,
    } = &patch.source
    else {
        let name = patched_image.in_docker(patch).await?;
        let Pushed { manifest: raw, tag } = push_from_docker(patch, name, registry).await?;
        // Docker leaves them out, and a later run knows the image by them.
        let mut annotated = parse(&raw)?.as_oci();
        annotated.annotations.extend(manifest.annotations.clone());
        registry.push_manifest(repository, &annotated, None).await?;
        let manifest = RawManifest::new(&annotated.media_type, annotated.bytes()?);
        return Ok(Pushed { manifest, tag });
    };
    let original = parse(original)?.layers;
    let is_known = |blob: &&Descriptor| original.iter().any(|own| own.digest == blob.digest);
    let blobs = manifest.layers.iter().chain([&manifest.config]);
    let (known, new): (Vec<_>, Vec<_>) = blobs.partition(is_known);
    if target.is_moved() {
        let known: Vec<_> = known.into_iter().cloned().collect();
        let from = target.image.repository();
        registry
            .copy_blobs_from(source, from, repository, &known)
            .await?;
    }
    for blob in new {
        let file = session.local.fetch(&blob.digest).await?;
        registry.push_blob(repository, &blob.digest, &file).await?;
    }
    registry.push_manifest(repository, manifest, None).await?;
    Ok(Pushed {
        manifest: RawManifest::new(&manifest.media_type, manifest.bytes()?),
        tag: None,
    })
}

/// Let Docker push its image `name` under the next number of the patch's tag: Docker compresses its layers as it did before, so
/// that a registry that has them is not sent them again.
///
/// # Errors
/// When the registry does not take it.
pub(super) async fn push_from_docker(
    patch: &ImagePatch<'_, '_>,
    name: &ImageRef,
    registry: &Registry,
) -> anyhow::Result<Pushed> {
    let (session, patched) = (patch.session, &patch.target.patched);
    let tag = tags::free(registry, patched).await?;
    let numbered = patched.with_tag(&tag)?;
    session.docker.tag(name, &numbered).await?;
    session.remove_at_end(numbered.clone());
    let credentials = session.credentials(registry.host()).await?;
    let push = session
        .docker
        .push_with_retries(&numbered, credentials.as_ref(), |e| {
            patch.log.info(format!("{e:#}; retrying the push"));
        });
    let digest = push.await?;
    let manifest = registry.manifest(patched.repository(), digest.as_str());
    let manifest = manifest.await?;
    let manifest = manifest.with_context(|| format!("`{numbered}@{digest}` is gone"))?;
    Ok(Pushed {
        manifest,
        tag: Some(tag),
    })
}

fn parse(manifest: &RawManifest) -> anyhow::Result<oci::Manifest> {
    serde_json::from_slice(&manifest.bytes).context("invalid manifest")
}
