//! The images that a registry lists.

use std::collections::BTreeSet;

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
    let registry = session.registry(selection.host()).await?;
    let listed = selection.list(&registry).await?;
    let matching = listed.images.len() + listed.excluded.len();
    let mut known: BTreeSet<_> = candidates.iter().map(|c| c.image.to_string()).collect();
    for (repository, error) in listed.failed {
        let subject = Subject::Repository(repository);
        targets.failed.push(Failure { subject, error });
    }
    for image in &listed.excluded {
        targets.skip(image, "is excluded by `exclude`");
    }
    for image in listed.images {
        if known.insert(image.to_string()) {
            candidates.push(Candidate {
                target: session.request.naming.target(&image),
                image,
                is_listed: true,
            });
        }
    }
    if matching == 0 && candidates.is_empty() && targets.failed.is_empty() {
        return Err(selection.nothing().into());
    }
    Ok(())
}
