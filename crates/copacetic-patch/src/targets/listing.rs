//! The images that a registry lists.

use std::collections::BTreeSet;

use fleet::{Fleet, Lookup, Part};
use oci::ImageRef;
use registries::Selection;

use super::{Candidate, Targets};
use crate::report::{Failure, Subject};
use crate::session::Session;

/// Add the images of `selection`. A repository whose tags can't be listed fails alone.
///
/// # Errors
/// When the registry does not list its repositories; [`actions_toolkit::BadInput`] when nothing matches.
pub(super) async fn list(
    session: &Session<'_>,
    selection: &Selection,
    candidates: &mut Vec<Candidate>,
    targets: &mut Targets,
) -> anyhow::Result<()> {
    let fleet = session.request.fleet.as_ref();
    if let Some(items) = fleet.and_then(Fleet::items) {
        for item in items {
            candidates.push(candidate(session, item.image.parse()?));
        }
        return Ok(());
    }
    let registry = session.registry(selection.host()).await?;
    let mut listed = selection.list(&registry).await?;
    let matching = listed.images.len() + listed.excluded.len();
    let mut known: BTreeSet<_> = candidates.iter().map(|c| c.image.to_string()).collect();
    for (repository, error) in listed.failed {
        let subject = Subject::Repository(repository);
        targets.failed.push(Failure { subject, error });
    }
    for image in &listed.excluded {
        targets.skip(image, "is excluded by `exclude`", false);
    }
    if let Some(fleet) = fleet.filter(|fleet| fleet.part == Part::Plan) {
        // Each tag has its own patch.
        let mut lookup = Lookup::new(session.ctx, fleet, &registry, listed.images, false).await;
        listed.images = std::mem::take(&mut lookup.changed);
        targets.lookup = Some(lookup);
    }
    for image in listed.images {
        if known.insert(image.to_string()) {
            candidates.push(candidate(session, image));
        }
    }
    if matching == 0 && candidates.is_empty() && targets.failed.is_empty() {
        return Err(selection.nothing().into());
    }
    Ok(())
}

fn candidate(session: &Session<'_>, image: ImageRef) -> Candidate {
    Candidate {
        target: session.request.naming.target(&image),
        image,
        is_listed: true,
    }
}
