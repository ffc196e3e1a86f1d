//! The tag that a patch gets in another repository than its image: one that is not of this action is not replaced.

use actions_toolkit::BadInput;
use oci::{ImageRef, Registry};
use serde_json::Value;

use super::tags;
use crate::lineage;
use crate::request::{Inputs, Target};
use crate::session::Session;

/// Check that the tag of `target`, whose image is `digest`, is free or may be replaced: it has this image, a patch of it, or what
/// an earlier run pushed under a number, too.
///
/// # Errors
/// [`BadInput`] when it has something else.
pub(crate) async fn check_tag(
    session: &Session<'_>,
    target: &Target,
    digest: &str,
) -> anyhow::Result<()> {
    let naming = &session.request.naming;
    if naming.destination.is_none() || naming.replaces_tags || !target.is_moved() {
        return Ok(());
    }
    let patched = &target.patched;
    let registry = session.destination(patched).await?;
    let existing = registry.manifest(patched.repository(), patched.reference());
    let Some(existing) = existing.await? else {
        return Ok(());
    };
    let origin = lineage::origin_name_of(&existing);
    let what = match origin.map(|name| (name.parse::<ImageRef>(), name)) {
        Some((Ok(origin), _)) if origin.in_registry() == target.image.in_registry() => {
            return Ok(());
        }
        Some((_, name)) => format!("has a patch of `{name}`"),
        None if existing.digest.as_str() == digest => return Ok(()),
        None if has_config(&existing.bytes, digest) => return Ok(()),
        None if is_numbered(&registry, patched, existing.digest.as_str()).await? => return Ok(()),
        None => "was not pushed by this action".to_owned(),
    };
    let problem = format!(
        "`{patched}` {what}; set `{}: true` to replace it, or choose another `{}`",
        Inputs::replace_tags,
        Inputs::patched_tag
    );
    Err(BadInput::new(Inputs::push_to, problem).into())
}

/// Whether `manifest` is of the image whose id in Docker is `id`: the digest of its configuration.
pub(super) fn has_config(manifest: &[u8], id: &str) -> bool {
    let manifest: Value = serde_json::from_slice(manifest).unwrap_or_default();
    manifest["config"]["digest"].as_str() == Some(id)
}

// Whether the newest number of the tag has the same image.
async fn is_numbered(
    registry: &Registry,
    patched: &ImageRef,
    digest: &str,
) -> anyhow::Result<bool> {
    let Some(newest) = tags::newest(registry, patched).await? else {
        return Ok(false);
    };
    let newest = registry.manifest(patched.repository(), &newest).await?;
    Ok(newest.is_some_and(|newest| newest.digest.as_str() == digest))
}
