//! The tags of a verified image.

use anyhow::{Context as _, bail};
use oci::{Digest, ImageRef, Registry};

use super::vex;
use crate::patch::PatchedImage;
use crate::targets::{ImagePatch, Source};
use crate::verify::Comparison;

/// Concurrent runs that may take the next number first.
const ATTEMPTS: usize = 5;

/// A patched image with its tags.
pub(crate) struct Promoted {
    /// The digest of the manifest in the registry, or the id in Docker.
    pub(crate) digest: String,
    /// The tag that never moves, if it was pushed.
    pub(crate) incremental: Option<String>,
    pub(crate) vex: serde_json::Value,
}

/// Give the image its tags, in its registry or in Docker; `patched-tag` is set last.
///
/// # Errors
/// When it can't be tagged or pushed.
pub(crate) async fn promote(
    patch: &ImagePatch<'_, '_>,
    patched_image: &PatchedImage,
    comparison: &Comparison,
) -> anyhow::Result<Promoted> {
    let session = patch.session;
    if let (true, Source::Registry { registry, manifest }) = (session.request.push, &patch.source) {
        return push(patch, patched_image, comparison, registry, &manifest.bytes).await;
    }
    let patched = &patch.target.patched;
    let name = patched_image.in_docker(patch).await?;
    session.docker.tag(name, patched).await?;
    let image = session.docker.inspect(patched).await?;
    let id = image
        .context("the patched image is missing from Docker")?
        .id;
    Ok(Promoted {
        vex: vex::document(patched, &id, false, comparison, &now()),
        digest: id,
        incremental: None,
    })
}

fn now() -> String {
    let now = jiff::Timestamp::now();
    now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

// The original's layers are in the repository: only new blobs are pushed. Then the manifest without a tag, the document,
// and last the tags.
async fn push(
    patch: &ImagePatch<'_, '_>,
    patched_image: &PatchedImage,
    comparison: &Comparison,
    registry: &Registry,
    original: &[u8],
) -> anyhow::Result<Promoted> {
    let session = patch.session;
    let patched = &patch.target.patched;
    let repository = patched.repository();
    let original: oci::Manifest = serde_json::from_slice(original).context("invalid manifest")?;
    let manifest = &patched_image.image.manifest;
    for blob in manifest.layers.iter().chain([&manifest.config]) {
        let known = original
            .layers
            .iter()
            .any(|layer| layer.digest == blob.digest);
        if !known {
            let file = session.local.fetch(&blob.digest).await?;
            registry.push_blob(repository, &blob.digest, &file).await?;
        }
    }
    let digest = registry.push_manifest(repository, manifest, None).await?;
    let vex = vex::document(patched, digest.as_str(), true, comparison, &now());
    if session.request.vex.attach {
        attach(patch, registry, &digest, manifest, &vex)
            .await
            .context("failed to attach the OpenVEX document")?;
    }
    let mut incremental = number(registry, patched, manifest, &digest).await?;
    let tag = patched.tag().context("the patched image has no tag")?;
    registry
        .push_manifest(repository, manifest, Some(tag))
        .await?;
    // A concurrent run may have taken the same number after all.
    if !is_at(registry, repository, &incremental, &digest).await? {
        incremental = number(registry, patched, manifest, &digest).await?;
    }
    patch.log.info(format!(
        "pushed {} and {tag}: {digest}",
        patched.with_tag(&incremental)?
    ));
    Ok(Promoted {
        digest: digest.to_string(),
        incremental: Some(incremental),
        vex,
    })
}

// Push `{patched-tag}-N`, one more than the highest N: a number is never used twice.
async fn number(
    registry: &Registry,
    patched: &ImageRef,
    manifest: &oci::Manifest,
    digest: &Digest,
) -> anyhow::Result<String> {
    let repository = patched.repository();
    let prefix = format!("{}-", patched.tag().unwrap_or_default());
    for _ in 0..ATTEMPTS {
        let tags = registry.tags(repository).await?;
        let tag = format!("{prefix}{}", next(&tags, &prefix));
        let taken = registry.manifest(repository, &tag).await?;
        if taken.is_some() {
            continue;
        }
        registry
            .push_manifest(repository, manifest, Some(&tag))
            .await?;
        // Of two concurrent runs with the same number, the later one has the tag; the other takes the next.
        if is_at(registry, repository, &tag, digest).await? {
            return Ok(tag);
        }
    }
    bail!(
        "concurrent runs took {ATTEMPTS} numbers of `{patched}`; run one at a time (`concurrency`)"
    )
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

// github.com/opencontainers/image-spec, manifest.md, guidelines for artifact usage.
async fn attach(
    patch: &ImagePatch<'_, '_>,
    registry: &Registry,
    digest: &Digest,
    image: &oci::Manifest,
    document: &serde_json::Value,
) -> anyhow::Result<()> {
    let local = &patch.session.local;
    let served = patch.served().await?;
    let repository = patch.target.patched.repository();
    let send = async |media_type: &str, bytes: Vec<u8>| {
        let blob = local.put_blob(served, &bytes)?;
        let file = local.fetch(blob.as_str()).await?;
        registry.push_blob(repository, blob.as_str(), &file).await?;
        anyhow::Ok(oci::Descriptor::new(media_type, &blob, bytes.len() as u64))
    };
    let config = send(oci::EMPTY, b"{}".to_vec()).await?;
    let layer = send(vex::MEDIA_TYPE, serde_json::to_vec(document)?).await?;
    let mut artifact = oci::Manifest::new(config, vec![layer]);
    artifact.artifact_type = Some(vex::MEDIA_TYPE.to_owned());
    let size = image.bytes()?.len() as u64;
    artifact.subject = Some(oci::Descriptor::new(oci::MANIFEST, digest, size));
    let created = "org.opencontainers.image.created".to_owned();
    artifact.annotations.insert(created, now());
    registry.push_manifest(repository, &artifact, None).await?;
    Ok(())
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
