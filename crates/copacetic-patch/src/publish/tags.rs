//! The tags of a verified image in its registry.

use actions_toolkit::Log;
use anyhow::{Context as _, bail};
use oci::{Digest, ImageRef, RawManifest, Registry};

/// Concurrent runs that may take the next number first.
const ATTEMPTS: usize = 5;

/// Push `manifest` as `{patched-tag}-N`, which never moves, and last as `{patched-tag}`: `patched`. Returns the first of them, which
/// may be `reserved` for it already.
///
/// # Errors
/// When the registry does not take a tag.
pub(crate) async fn set(
    log: &Log,
    registry: &Registry,
    patched: &ImageRef,
    manifest: &RawManifest,
    reserved: Option<String>,
) -> anyhow::Result<String> {
    let (repository, digest) = (patched.repository(), &manifest.digest);
    let mut incremental = match reserved {
        Some(reserved) => {
            registry.tag(repository, &reserved, manifest).await?;
            reserved
        }
        None => number(registry, patched, manifest).await?,
    };
    let tag = patched.tag().context("the patched image has no tag")?;
    registry.tag(repository, tag, manifest).await?;
    // A concurrent run may have taken the same number after all.
    if !is_at(registry, repository, &incremental, digest).await? {
        incremental = number(registry, patched, manifest).await?;
    }
    log.info(format!(
        "pushed {} and {tag}: {digest}",
        patched.with_tag(&incremental)?
    ));
    Ok(incremental)
}

// Push `{patched-tag}-N`, one more than the highest N: a number is never used twice.
async fn number(
    registry: &Registry,
    patched: &ImageRef,
    manifest: &RawManifest,
) -> anyhow::Result<String> {
    let repository = patched.repository();
    for _ in 0..ATTEMPTS {
        let tag = free(registry, patched).await?;
        let taken = registry.manifest(repository, &tag).await?;
        if taken.is_some() {
            continue;
        }
        registry.tag(repository, &tag, manifest).await?;
        // Of two concurrent runs with the same number, the later one has the tag; the other takes the next.
        if is_at(registry, repository, &tag, &manifest.digest).await? {
            return Ok(tag);
        }
    }
    bail!(
        "concurrent runs took {ATTEMPTS} numbers of `{patched}`; run one at a time (`concurrency`)"
    )
}

/// `{patched-tag}-N` with the next N.
///
/// # Errors
/// When the registry does not list its tags.
pub(crate) async fn free(registry: &Registry, patched: &ImageRef) -> anyhow::Result<String> {
    let (repository, prefix) = (patched.repository(), prefix(patched));
    let tags = registry.tags(repository).await?;
    Ok(format!("{prefix}{}", next(&tags, &prefix)))
}

/// `{patched-tag}-N` with the highest N, if there is one.
///
/// # Errors
/// When the registry does not list its tags.
pub(super) async fn newest(
    registry: &Registry,
    patched: &ImageRef,
) -> anyhow::Result<Option<String>> {
    let (repository, prefix) = (patched.repository(), prefix(patched));
    let tags = registry.tags(repository).await?;
    let newest = next(&tags, &prefix) - 1;
    Ok((newest > 0).then(|| format!("{prefix}{newest}")))
}

/// Whether this action pushed the tag of `patched` before: it has a number then, and may refer to an original now.
///
/// # Errors
/// When the registry does not list its tags.
pub(crate) async fn is_own(registry: &Registry, patched: &ImageRef) -> anyhow::Result<bool> {
    Ok(newest(registry, patched).await?.is_some())
}

fn prefix(patched: &ImageRef) -> String {
    format!("{}-", patched.tag().unwrap_or_default())
}

async fn is_at(
    registry: &Registry,
    repository: &str,
    tag: &str,
    digest: &Digest,
) -> anyhow::Result<bool> {
    let current = registry.manifest(repository, tag).await?;
    Ok(current.is_some_and(|current| current.digest == *digest))
}

// A tag that ends with more than a `u32` is a date or a build number of someone else.
fn next(tags: &[String], prefix: &str) -> u64 {
    let numbers = tags
        .iter()
        .filter_map(|tag| tag.strip_prefix(prefix)?.parse::<u32>().ok());
    u64::from(numbers.max().unwrap_or(0)) + 1
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_next_number_was_never_used() {
        let tags = [
            "1-patched",
            "1-patched-2",
            "1-patched-10",
            "1-patched-x",
            "2-patched-40",
            "1-patched-18446744073709551615",
            "4-patched-4294967295",
        ];
        let tags: Vec<_> = tags.map(ToOwned::to_owned).into();
        assert_eq!(super::next(&tags, "1-patched-"), 11);
        assert_eq!(super::next(&tags, "3-patched-"), 1);
        assert_eq!(super::next(&tags, "4-patched-"), 4_294_967_296);
    }
}
