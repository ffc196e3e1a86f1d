//! The images that a registry lists.

use std::collections::BTreeSet;

use actions_toolkit::BadInput;
use oci::ImageRef;

use super::{Candidate, Targets};
use crate::report::{Failure, Subject};
use crate::request::{Filter, Inputs};
use crate::session::Session;

/// Add the images that match `filter`. A repository whose tags can't be listed fails alone.
///
/// # Errors
/// When the registry does not list its repositories; [`BadInput`] when nothing matches.
pub(super) async fn list(
    session: &Session<'_>,
    filter: &Filter,
    candidates: &mut Vec<Candidate>,
    targets: &mut Targets,
) -> anyhow::Result<()> {
    let registry = session.registry(&filter.host).await?;
    // Permission to read a repository does not include permission to list all of them.
    let repositories = match filter.named() {
        Some(named) => named,
        None => registry.repositories().await?,
    };
    let mut known: BTreeSet<_> = candidates.iter().map(|c| c.image.to_string()).collect();
    let mut matching = 0;
    for repository in repositories {
        if !filter.has_repository(&repository) {
            continue;
        }
        let mut tags = match registry.tags(&repository).await {
            Ok(tags) => tags,
            Err(error) => {
                let subject = Subject::Repository(format!("{}/{repository}", filter.host));
                targets.failed.push(Failure { subject, error });
                continue;
            }
        };
        tags.sort_unstable();
        for tag in tags {
            if !filter.has_tag(&tag) || is_list_of_referrers(&tag) {
                continue;
            }
            matching += 1;
            let image: ImageRef = format!("{}/{repository}:{tag}", filter.host).parse()?;
            if filter.excludes(&repository, &tag) {
                targets.skip(&image, "is excluded by `exclude`");
            } else if known.insert(image.to_string()) {
                candidates.push(Candidate {
                    target: session.request.naming.target(&image),
                    image,
                    is_listed: true,
                });
            }
        }
    }
    if matching == 0 && candidates.is_empty() && targets.failed.is_empty() {
        let problem = format!(
            "no image in `{}` matches `repositories` and `tags`",
            filter.host
        );
        return Err(BadInput::new(Inputs::registry, problem).into());
    }
    Ok(())
}

// `sha256-<digest>`, where the registry does not keep the list itself (OCI distribution specification, referrers tag
// schema), and the signatures and attestations of cosign, `sha256-<digest>.sig`.
fn is_list_of_referrers(tag: &str) -> bool {
    tag.starts_with("sha256-")
}
