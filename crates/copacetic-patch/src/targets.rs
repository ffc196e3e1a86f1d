//! The images to patch: those that are named, and those that match a filter in a registry.

mod baseline_report;
mod image_patch;

use actions_toolkit::BadInput;
use oci::ImageRef;

use crate::request::{Filter, Inputs, Target};
use crate::session::Session;

pub(crate) use baseline_report::BaselineReport;
pub(crate) use image_patch::{ExistingPatch, ImagePatch, Source};

/// The targets of a run.
///
/// # Errors
/// When the registry does not list its repositories or tags; [`BadInput`] when none of them matches.
pub(crate) async fn resolve(session: &Session<'_>) -> anyhow::Result<Vec<Target>> {
    let mut targets = session.request.targets.clone();
    let Some(filter) = &session.request.filter else {
        return Ok(targets);
    };
    let registry = session.registry(&filter.host).await?;
    // Permission to read a repository does not include permission to list all of them.
    let repositories = match &filter.named {
        Some(named) => named.clone(),
        None => registry.repositories().await?,
    };
    for repository in repositories {
        if !filter.repositories.is_match(&repository) {
            continue;
        }
        for tag in matching(filter, registry.tags(&repository).await?) {
            let image: ImageRef = format!("{}/{repository}:{tag}", filter.host).parse()?;
            let target = Target::new(&image, session.request.patched_tag.as_deref())?;
            if !targets.contains(&target) {
                targets.push(target);
            }
        }
    }
    if targets.is_empty() {
        let problem = format!(
            "no image in `{}` matches `repositories` and `tags`",
            filter.host
        );
        return Err(BadInput::new(Inputs::registry, problem).into());
    }
    let names: Vec<_> = targets.iter().map(|t| t.image.to_string()).collect();
    let log = session.ctx.log();
    log.info(format!("images to patch: {}", names.join(", ")));
    Ok(targets)
}

fn matching(filter: &Filter, tags: Vec<String>) -> Vec<String> {
    let mut matching: Vec<_> = tags
        .into_iter()
        .filter(|tag| filter.tags.is_match(tag) && !is_pushed_by_this_action(tag))
        .collect();
    matching.sort_unstable();
    matching
}

// `1.0-patched`, `1.0-patched-3`, and the list of an image's referrers, `sha256-<digest>`.
fn is_pushed_by_this_action(tag: &str) -> bool {
    let number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let patched = tag
        .rsplit_once("-patched")
        .is_some_and(|(_, rest)| rest.is_empty() || rest.strip_prefix('-').is_some_and(number));
    patched || tag.starts_with("sha256-")
}

#[cfg(test)]
mod tests {
    use super::is_pushed_by_this_action;

    #[test]
    fn a_patched_image_is_not_patched_again() {
        for (tag, expected) in [
            ("1.0", false),
            ("1.0-patched", true),
            ("1.0-patched-12", true),
            ("1.0-patched-b", false),
            ("patched", false),
            ("sha256-0a0a", true),
        ] {
            assert_eq!(is_pushed_by_this_action(tag), expected, "{tag}");
        }
    }
}
