//! What is attached to an original, and does not follow it to where its patch is pushed.

use std::collections::BTreeMap;

use actions_toolkit::Log;
use oci::{Digest, ImageRef, Registry};

/// What is attached to the originals `digests` of `image`: it is of other digests than the patch, so it is named and not copied. `None`
/// if there is nothing.
pub(crate) async fn left_behind<'d>(
    log: &Log,
    registry: &Registry,
    image: &ImageRef,
    digests: impl IntoIterator<Item = &'d Digest>,
    attestations: usize,
) -> Option<String> {
    let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
    if attestations > 0 {
        kinds.insert("attestation of BuildKit".to_owned(), attestations);
    }
    for digest in digests {
        match registry.attached(image.repository(), digest).await {
            Ok(attached) => {
                for kind in attached {
                    *kinds.entry(kind).or_default() += 1;
                }
            }
            // The patch itself is pushed.
            Err(error) => log.warning(format!("{error:#}")),
        }
    }
    let kinds = kinds.into_iter().map(|(kind, count)| match count {
        1 => kind,
        count => format!("{kind} ({count})"),
    });
    let kinds = kinds.reduce(|all, kind| format!("{all}, {kind}"))?;
    let note = format!(
        "not copied, as it is about the digest of {image} and not of its patch: {kinds}; sign and attest the patch in a later step"
    );
    log.info(&note);
    Some(note)
}
