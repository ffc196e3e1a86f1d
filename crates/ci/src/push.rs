//! The names of the image in Docker, and its push: once to each repository, where further tags are set by digest.

use actions_toolkit::{Context, with_timeout};
use anyhow::{Context as _, bail};
use docker::{Docker, ImageInfo};
use oci::{Digest, ImageRef, Logins, RawManifest, Registry};
use serde_json::Value;

use crate::action::Inputs;
use crate::builder::RunBuilder;
use crate::outcome::ImageOutcome;
use crate::request::{Push, Request};

/// An image in a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pushed {
    /// By digest.
    pub(crate) image: ImageRef,
    pub(crate) digest: Digest,
}

/// What has the image that is pushed.
enum Source<'a> {
    Docker(&'a Docker, &'a ImageInfo),
    /// The BuildKit of the run, and its name there: an index, where there is one.
    Builder(&'a RunBuilder<'a>, &'a ImageRef),
}

/// Give the image `built`, which has passed every check, its names, and push it if that is requested.
///
/// # Errors
/// When a registry refuses it, or has something else than what was tested.
pub(crate) async fn publish(
    ctx: &Context,
    docker: &Docker,
    request: &Request,
    (built, logins): (&ImageRef, &Logins),
    builder: Option<&RunBuilder<'_>>,
    outcome: &mut ImageOutcome,
) -> anyhow::Result<()> {
    let log = ctx.log();
    for (line, reason) in &request.names.left_out {
        log.info(format!("`tags`: `{line}` is left out: {reason}"));
    }
    let names = &request.names.names;
    for name in names {
        docker.tag(built, name).await?;
    }
    outcome.is_tagged = true;
    match &request.push {
        Push::No => return Ok(()),
        Push::Skipped(reason) => {
            log.notice(format!("nothing is pushed: {reason}"));
            return Ok(());
        }
        Push::Yes => {}
    }
    let Some(image) = &outcome.image else {
        return Ok(());
    };
    let mut repositories: Vec<Vec<&ImageRef>> = Vec::new();
    for name in names {
        let same = |other: &&mut Vec<&ImageRef>| {
            let first = other.first().map(|first| first.in_registry());
            first == Some(name.in_registry())
        };
        match repositories.iter_mut().find(same) {
            Some(repository) => repository.push(name),
            None => repositories.push(vec![name]),
        }
    }
    for names in repositories {
        let (host, _) = names[0].in_registry();
        let source = match builder {
            Some(builder) => Source::Builder(builder, built),
            None => Source::Docker(docker, image),
        };
        let pushed = push(ctx, request, (&names, logins), source).await;
        let pushed = pushed.map_err(|e| registries::explain(e, host, logins))?;
        ctx.report().artifact(subject(&pushed));
        outcome.pushed.push(pushed);
    }
    Ok(())
}

// Push `image` by the first of the `names` of one repository, and tag what the registry has with the others.
async fn push(
    ctx: &Context,
    request: &Request,
    (names, logins): (&[&ImageRef], &Logins),
    source: Source<'_>,
) -> anyhow::Result<Pushed> {
    let log = ctx.log();
    let (first, others) = names.split_first().context("there is no name to push")?;
    let (host, repository) = first.in_registry();
    let http = ctx.http()?.clone();
    let registry = Registry::new(http, host, logins.auth(host), log.masker());
    let push = async {
        match source {
            Source::Builder(builder, built) => {
                let to = (&*repository, first.tag().unwrap_or("latest"));
                builder.push(built, &registry, to).await
            }
            Source::Docker(docker, image) => {
                let retried = |e: &anyhow::Error| log.info(format!("{e:#}; retrying the push"));
                let digest = docker.push_with_retries(first, logins.get(host), retried);
                let digest = digest.await?;
                verify(&registry, (first, &repository), (&digest, image)).await
            }
        }
    };
    let timeout = (Inputs::push_timeout, request.push_timeout);
    let manifest = with_timeout(log, &format!("the push of {first}"), timeout, push).await??;
    let digest = manifest.digest.clone();
    log.info(format!("pushed {first} ({digest})"));
    for name in others {
        let tag = name.tag().unwrap_or("latest");
        registry.tag(&repository, tag, &manifest).await?;
        log.info(format!("tagged {name}"));
    }
    Ok(Pushed {
        image: first.with_digest(&digest),
        digest,
    })
}

// The manifest of `image` as the registry has it under `digest`, not as Docker reports it.
async fn verify(
    registry: &Registry,
    (name, repository): (&ImageRef, &str),
    (digest, image): (&Digest, &ImageInfo),
) -> anyhow::Result<RawManifest> {
    let manifest = registry.manifest(repository, digest.as_str()).await?;
    let manifest = manifest
        .with_context(|| format!("`{name}` was pushed, but the registry does not have {digest}"))?;
    if !is_image(&manifest, &image.id) {
        bail!(
            "`{name}` in the registry is not the image that was tested ({}); does another run push the same tag?",
            image.id
        );
    }
    Ok(manifest)
}

// Docker's ID of an image is the digest of its configuration, or with containerd's image store that of its manifest or
// index.
fn is_image(manifest: &RawManifest, id: &str) -> bool {
    let config = serde_json::from_slice::<Value>(&manifest.bytes).unwrap_or_default();
    let config = config.pointer("/config/digest").and_then(Value::as_str);
    config == Some(id) || manifest.digest.as_str() == id
}

// What `actions/attest` calls it: Docker Hub by the name of its first API.
fn subject(pushed: &Pushed) -> String {
    let (host, repository) = pushed.image.in_registry();
    let host = if host == "docker.io" {
        "index.docker.io"
    } else {
        host
    };
    format!("{host}/{repository}@{}", pushed.digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pushed_image_is_the_tested_one() {
        let manifest = |bytes: &[u8]| RawManifest {
            digest: Digest::sha256(bytes),
            media_type: oci::MANIFEST.to_owned(),
            bytes: bytes.to_vec(),
        };
        let (own, other) = (Digest::sha256(b"own"), Digest::sha256(b"other"));
        let image = manifest(format!(r#"{{"config": {{"digest": "{own}"}}}}"#).as_bytes());
        assert!(is_image(&image, own.as_str()));
        assert!(!is_image(&image, other.as_str()));
        // An index has no configuration.
        let index = manifest(br#"{"manifests": []}"#);
        assert!(is_image(&index, index.digest.as_str()));
        assert!(!is_image(&index, own.as_str()));
    }

    #[test]
    fn a_subject_is_a_full_name_without_a_tag() {
        let digest = Digest::sha256(b"");
        let table = [
            ("ghcr.io/octo-org/app:1", "ghcr.io/octo-org/app"),
            ("team/app:1", "index.docker.io/team/app"),
        ];
        for (image, name) in table {
            let image: ImageRef = image.parse().unwrap();
            let pushed = Pushed {
                image: image.with_digest(&digest),
                digest: digest.clone(),
            };
            assert_eq!(subject(&pushed), format!("{name}@{digest}"));
        }
    }
}
