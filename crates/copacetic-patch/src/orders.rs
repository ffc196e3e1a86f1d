//! Which images are to be patched: those that are named, and those that a filter finds in a registry.

use actions_toolkit::BadInput;
use oci::ImageRef;

use crate::request::{Filter, Order};
use crate::session::Session;

/// The images of a run.
///
/// # Errors
/// When the registry does not show what it has, or nothing of it is asked for.
pub(crate) async fn of(session: &Session<'_>) -> anyhow::Result<Vec<Order>> {
    let mut orders = session.request.orders.clone();
    let Some(filter) = &session.request.filter else {
        return Ok(orders);
    };
    let registry = session.registry(&filter.host).await?;
    // Who may read a repository may not be let see the list of all.
    let repositories = match &filter.named {
        Some(named) => named.clone(),
        None => registry.repositories().await?,
    };
    for repository in repositories {
        if !filter.repositories.is_match(&repository) {
            continue;
        }
        for tag in wanted(filter, registry.tags(&repository).await?) {
            let image: ImageRef = format!("{}/{repository}:{tag}", filter.host).parse()?;
            let order = Order::new(&image, session.request.patched_tag.as_deref())?;
            if !orders.contains(&order) {
                orders.push(order);
            }
        }
    }
    if orders.is_empty() {
        let problem = format!(
            "`{}` has no image that `repositories` and `tags` name",
            filter.host
        );
        return Err(BadInput::new("registry", problem).into());
    }
    let names: Vec<_> = orders.iter().map(|order| order.image.to_string()).collect();
    session
        .ctx
        .log()
        .info(format!("images to patch: {}", names.join(", ")));
    Ok(orders)
}

fn wanted(filter: &Filter, tags: Vec<String>) -> Vec<String> {
    let mut wanted: Vec<_> = tags
        .into_iter()
        .filter(|tag| filter.tags.is_match(tag) && !is_made_here(tag))
        .collect();
    wanted.sort_unstable();
    wanted
}

// `1.0-patched`, `1.0-patched-3`, and the list of an image's referrers, `sha256-<digest>`.
fn is_made_here(tag: &str) -> bool {
    let number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let patched = tag
        .rsplit_once("-patched")
        .is_some_and(|(_, rest)| rest.is_empty() || rest.strip_prefix('-').is_some_and(number));
    patched || tag.starts_with("sha256-")
}

#[cfg(test)]
mod tests {
    use super::is_made_here;

    #[test]
    fn what_was_patched_is_not_patched_again() {
        for (tag, ours) in [
            ("1.0", false),
            ("1.0-patched", true),
            ("1.0-patched-12", true),
            ("1.0-patched-b", false),
            ("patched", false),
            ("sha256-0a0a", true),
        ] {
            assert_eq!(is_made_here(tag), ours, "{tag}");
        }
    }
}
