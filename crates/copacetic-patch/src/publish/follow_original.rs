//! The tag of an earlier patch, when the original has been rebuilt and has nothing to fix.

use oci::{RawManifest, Registry};

use crate::index_patch::IndexPatch;
use crate::lineage;
use crate::targets::{ImagePatch, Source};

/// Point the tag of the patched image to the original, if it has a patch of another build of it: who deploys that tag
/// would stay with the old build. Whether it was moved.
///
/// # Errors
/// When the tag can't be read or moved.
pub(crate) async fn follow_original(patch: &ImagePatch<'_, '_>) -> anyhow::Result<bool> {
    let (session, patched) = (patch.session, &patch.target.patched);
    if !patch.has_outdated_patch().await? {
        return Ok(false);
    }
    let log = &patch.log;
    match &patch.source {
        Source::Docker => session.docker.tag(&patch.target.image, patched).await?,
        Source::Registry { registry, manifest } if session.request.push => {
            let tag = patched.tag().unwrap_or_default();
            registry.tag(patched.repository(), tag, manifest).await?;
        }
        Source::Registry { .. } => {
            log.warning(format!(
                "{patched} in Docker is a patch of an earlier build of {}, which has nothing to fix now; use {} itself",
                patch.target.image, patch.target.image
            ));
            return Ok(false);
        }
    }
    log.info(format!(
        "{patched} was a patch of an earlier build; it is now {} itself, which has nothing to fix",
        patch.target.image
    ));
    Ok(true)
}

/// The same for an index.
///
/// # Errors
/// When the tag can't be read or moved.
pub(crate) async fn follow_index(
    patch: &IndexPatch<'_, '_>,
    registry: &Registry,
    existing: Option<&RawManifest>,
) -> anyhow::Result<bool> {
    let (original, patched) = (&patch.manifest, &patch.target.patched);
    let is_outdated = |existing: &RawManifest| {
        let origin = lineage::origin_digest_of(existing);
        existing.digest != original.digest
            && origin.is_some_and(|origin| origin != original.digest.as_str())
    };
    if !existing.is_some_and(is_outdated) {
        return Ok(false);
    }
    let tag = patched.tag().unwrap_or_default();
    registry.tag(patched.repository(), tag, original).await?;
    patch.log.info(format!(
        "{patched} was a patch of an earlier build; it is now {} itself, which has nothing to fix",
        patch.target.image
    ));
    Ok(true)
}
