//! The tag of the patched image, when the original has nothing to fix: of an earlier patch, or in another repository.

use std::sync::Arc;

use actions_toolkit::Log;
use actions_toolkit::text::plural;
use oci::{Digest, ImageRef, RawManifest, Registry};

use super::{Pushed, promote, replaced_tag, tags};
use crate::index_patch::IndexPatch;
use crate::lineage;
use crate::request::Target;
use crate::session::Session;
use crate::targets::{ImagePatch, Source};

/// The original under the tag of its patch.
pub(crate) struct Followed {
    pub(crate) digest: String,
    /// The tag that never moves, if it was pushed.
    pub(crate) incremental: Option<String>,
}

/// Point the tag of the patched image to the original, if it has another build of it, or a patch of one: who deploys that tag
/// would stay with the old build. In another repository, the tag is always that of the original: it is copied there.
/// `None` if the tag stays as it is.
///
/// # Errors
/// When the tag can't be read or moved, or the original can't be copied.
pub(crate) async fn follow_original(
    patch: &ImagePatch<'_, '_>,
) -> anyhow::Result<Option<Followed>> {
    let (session, patched) = (patch.session, &patch.target.patched);
    let log = &patch.log;
    if session.request.pushes() && patch.target.is_moved() {
        let existing = existing(session, patched).await?;
        return match &patch.source {
            Source::Registry { registry, manifest } => {
                copy(
                    patch.session,
                    (log, &patch.target),
                    registry,
                    manifest,
                    existing,
                )
                .await
            }
            Source::Docker => push(patch, existing).await,
        }
        .map(Some);
    }
    if !patch.has_outdated_patch().await? {
        return Ok(None);
    }
    match &patch.source {
        Source::Docker => session.docker.tag(&patch.target.image, patched).await?,
        Source::Registry { registry, manifest } if session.request.pushes() => {
            let tag = patched.tag().unwrap_or_default();
            registry.tag(patched.repository(), tag, manifest).await?;
        }
        Source::Registry { .. } => {
            log.warning(format!(
                "{patched} in Docker is a patch of an earlier build of {}, which has nothing to fix now; use {} itself",
                patch.target.image, patch.target.image
            ));
            return Ok(None);
        }
    }
    log.info(format!(
        "{patched} was of an earlier build; it is now {} itself, which has nothing to fix",
        patch.target.image
    ));
    Ok(Some(Followed {
        digest: patch.origin().to_owned(),
        incremental: None,
    }))
}

/// The same for an index.
///
/// # Errors
/// When the tag can't be read or moved, or the index can't be copied.
pub(crate) async fn follow_index(
    patch: &IndexPatch<'_, '_>,
    registry: &Arc<Registry>,
    existing: Option<RawManifest>,
) -> anyhow::Result<Option<Followed>> {
    let (original, patched) = (&patch.manifest, &patch.target.patched);
    if patch.target.is_moved() {
        let names = (&patch.log, &patch.target);
        let copied = copy(patch.session, names, registry, original, existing).await?;
        return Ok(Some(copied));
    }
    let Some(existing) = existing.filter(|existing| existing.digest != original.digest) else {
        return Ok(None);
    };
    let is_outdated = match lineage::origin_digest_of(&existing) {
        Some(origin) => origin != original.digest.as_str(),
        None => tags::is_own(registry, patched).await?,
    };
    if !is_outdated {
        return Ok(None);
    }
    let tag = patched.tag().unwrap_or_default();
    registry.tag(patched.repository(), tag, original).await?;
    patch.log.info(format!(
        "{patched} was of an earlier build; it is now {} itself, which has nothing to fix",
        patch.target.image
    ));
    Ok(Some(Followed {
        digest: original.digest.to_string(),
        incremental: None,
    }))
}

async fn existing(
    session: &Session<'_>,
    patched: &ImageRef,
) -> anyhow::Result<Option<RawManifest>> {
    let registry = session.destination(patched).await?;
    registry
        .manifest(patched.repository(), patched.reference())
        .await
}

fn present(log: &Log, target: &Target, digest: &Digest) -> Followed {
    log.info(format!(
        "{} is {} already, which has nothing to fix",
        target.patched, target.image
    ));
    Followed {
        digest: digest.to_string(),
        incremental: None,
    }
}

// The same manifest in the other repository, with what refers to it.
async fn copy(
    session: &Session<'_>,
    (log, target): (&Log, &Target),
    source: &Registry,
    manifest: &RawManifest,
    existing: Option<RawManifest>,
) -> anyhow::Result<Followed> {
    let (image, patched) = (&target.image, &target.patched);
    let registry = session.destination(patched).await?;
    let (from, to) = (image.repository(), patched.repository());
    if existing.is_some_and(|existing| existing.digest == manifest.digest) {
        // A signature may have come later than the image.
        let added = registry.copy_referrers_from(source, from, to, manifest);
        let added = added.await?.referrers;
        if added > 0 {
            let added = plural(added, "referrer");
            log.info(format!("copied {added} of {image} to {patched}"));
        }
        return Ok(present(log, target, &manifest.digest));
    }
    let copied = registry.copy_from(source, from, to, manifest, None).await?;
    log.info(format!(
        "copied {image} to {patched}, as it has nothing to fix: {} with {}; of the layers and configurations, {} were there, {} were mounted, and {} bytes were transferred",
        plural(copied.manifests, "manifest"),
        plural(copied.referrers, "referrer"),
        copied.present,
        copied.mounted,
        copied.bytes
    ));
    let incremental = tags::set(log, &registry, patched, manifest, None).await?;
    Ok(Followed {
        digest: manifest.digest.to_string(),
        incremental: Some(incremental),
    })
}

// An image of Docker.
async fn push(
    patch: &ImagePatch<'_, '_>,
    existing: Option<RawManifest>,
) -> anyhow::Result<Followed> {
    let (target, id) = (&patch.target, &patch.image.id);
    let is_same = |existing: &&RawManifest| {
        existing.digest.as_str() == id || replaced_tag::has_config(&existing.bytes, id)
    };
    if let Some(existing) = existing.as_ref().filter(is_same) {
        return Ok(present(&patch.log, target, &existing.digest));
    }
    let registry = patch.session.destination(&target.patched).await?;
    let pushed = promote::push_from_docker(patch, &target.image, &registry).await?;
    let Pushed { manifest, tag } = pushed;
    let incremental = tags::set(&patch.log, &registry, &target.patched, &manifest, tag).await?;
    Ok(Followed {
        digest: manifest.digest.to_string(),
        incremental: Some(incremental),
    })
}
