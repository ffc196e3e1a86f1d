//! The step from an image that nobody can see to one with a tag.

use anyhow::{Context as _, bail};
use oci::{Digest, ImageRef, Registry};

use crate::job::{Job, Source};
use crate::proof::Proof;
use crate::stage::Staged;
use crate::vex;

/// Runs at once that may take the number that we wanted.
const RACES: usize = 5;

/// What was promoted.
pub(crate) struct Promoted {
    /// The digest of the manifest in the registry, or the id in Docker.
    pub(crate) digest: String,
    /// The tag that never moves.
    pub(crate) incremental: Option<String>,
    pub(crate) vex: serde_json::Value,
}

/// Try a container of the image, if there is anything to try in it.
///
/// # Errors
/// `PolicyFailure` when it does not work; anything else when that can't be found out.
pub(crate) async fn tried(job: &Job<'_, '_>, staged: &Staged) -> anyhow::Result<()> {
    let session = job.session;
    let (smoke, image) = (&session.request.smoke, &staged.image.info);
    if !smoke.is_wanted(image) {
        return Ok(());
    }
    let name = staged.in_docker(job).await?;
    smoke.test(&session.docker, name, image, &session.id).await
}

/// Give the image its tags, if its `trial` ended well: what fails before that leaves every tag as it was.
///
/// # Errors
/// When it does not work, or can't be pushed.
pub(crate) async fn promote(
    job: &Job<'_, '_>,
    staged: &Staged,
    proof: &Proof,
    trial: anyhow::Result<()>,
) -> anyhow::Result<Promoted> {
    let session = job.session;
    let to_registry = session.request.push;
    trial.with_context(|| format!("`{}` is untouched", job.order.patched))?;
    match &job.source {
        Source::Registry { registry, manifest } if to_registry => {
            push(job, staged, proof, registry, &manifest.bytes).await
        }
        _ => {
            let name = staged.in_docker(job).await?;
            session.docker.tag(name, &job.order.patched).await?;
            let found = session.docker.inspect(&job.order.patched).await?;
            let id = found.context("Docker lost the patched image")?.id;
            let vex = vex::document(&job.order.patched, &id, false, &proof.difference, &now());
            Ok(Promoted {
                digest: id,
                incremental: None,
                vex,
            })
        }
    }
}

fn now() -> String {
    let now = jiff::Timestamp::now();
    now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

// The layers that the image had are in the repository: only what is new is sent. Then the manifest, which
// has no tag yet, and last the tags.
async fn push(
    job: &Job<'_, '_>,
    staged: &Staged,
    proof: &Proof,
    registry: &Registry,
    original: &[u8],
) -> anyhow::Result<Promoted> {
    let session = job.session;
    let patched = &job.order.patched;
    let repository = patched.repository();
    let original: oci::Manifest = serde_json::from_slice(original).context("in a manifest")?;
    let manifest = &staged.image.manifest;
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
    let vex = vex::document(patched, digest.as_str(), true, &proof.difference, &now());
    if session.request.vex.attach {
        attach(job, registry, &digest, manifest, &vex)
            .await
            .context("while attaching the OpenVEX document")?;
    }
    let mut incremental = number(registry, patched, manifest, &digest).await?;
    let tag = patched.tag().context("the patched image has no tag")?;
    registry
        .push_manifest(repository, manifest, Some(tag))
        .await?;
    // A run that looked for a number when we did may have taken it after all.
    if !is_at(registry, repository, &incremental, &digest).await? {
        incremental = number(registry, patched, manifest, &digest).await?;
    }
    session.ctx.log().info(format!(
        "pushed {} and {tag}: {digest}",
        patched.with_tag(&incremental)?
    ));
    Ok(Promoted {
        digest: digest.to_string(),
        incremental: Some(incremental),
        vex,
    })
}

// `{patched-tag}-N`, one more than the highest: a tag that was given is never given again.
async fn number(
    registry: &Registry,
    patched: &ImageRef,
    manifest: &oci::Manifest,
    digest: &Digest,
) -> anyhow::Result<String> {
    let repository = patched.repository();
    let prefix = format!("{}-", patched.tag().unwrap_or_default());
    for _ in 0..RACES {
        let tags = registry.tags(repository).await?;
        let tag = format!("{prefix}{}", highest(&tags, &prefix) + 1);
        let taken = registry.manifest(repository, &tag).await?;
        if taken.is_some() {
            continue;
        }
        registry
            .push_manifest(repository, manifest, Some(&tag))
            .await?;
        // Another run may have had the same thought: the later one has the tag, and this one goes on.
        if is_at(registry, repository, &tag, digest).await? {
            return Ok(tag);
        }
    }
    bail!("other runs take every number of `{patched}`; run one at a time (`concurrency`)")
}

async fn is_at(
    registry: &Registry,
    repository: &str,
    tag: &str,
    digest: &Digest,
) -> anyhow::Result<bool> {
    let there = registry.manifest(repository, tag).await?;
    Ok(there.is_some_and(|there| there.digest == *digest))
}

fn highest(tags: &[String], prefix: &str) -> u64 {
    let numbers = tags
        .iter()
        .filter_map(|tag| tag.strip_prefix(prefix)?.parse().ok());
    numbers.max().unwrap_or(0)
}

// github.com/opencontainers/image-spec, manifest.md, guidelines for artifact usage.
async fn attach(
    job: &Job<'_, '_>,
    registry: &Registry,
    digest: &Digest,
    image: &oci::Manifest,
    document: &serde_json::Value,
) -> anyhow::Result<()> {
    let local = &job.session.local;
    let repository = job.order.patched.repository();
    let send = async |media_type: &str, bytes: Vec<u8>| {
        let blob = local.put_blob(&bytes)?;
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
    fn the_next_number_is_one_that_was_never_given() {
        let tags = [
            "1-patched",
            "1-patched-2",
            "1-patched-10",
            "1-patched-x",
            "2-patched-40",
        ];
        let tags: Vec<_> = tags.map(ToOwned::to_owned).into();
        assert_eq!(super::highest(&tags, "1-patched-"), 10);
        assert_eq!(super::highest(&tags, "3-patched-"), 0);
    }
}
