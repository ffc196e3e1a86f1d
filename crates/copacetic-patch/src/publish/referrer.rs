//! What is attached to a pushed image, as artifacts that refer to it.

use anyhow::Context as _;
use oci::{PREDICATE, RawManifest, Registry, STATEMENT};
use serde_json::{Value, json};
use trivy::{SbomFormat, Scanned};

use super::promote::now;
use super::provenance::{self, Builder, Original};
use super::vex;
use crate::targets::{ImagePatch, Source};
use crate::verify::Comparison;

/// The type of an artifact that is an SBOM, by which scanners find it (aquasecurity/trivy, `--sbom-sources oci`).
const SBOM: &str = "application/vnd.cyclonedx+json";

/// What is attached.
struct Artifact {
    /// Of the content, and the type of the artifact.
    media_type: &'static str,
    /// What a statement is about.
    predicate: Option<&'static str>,
    content: Vec<u8>,
}

/// Attach the OpenVEX `document` to `subject`, an image or an index in the repository of the patched image.
///
/// It is the predicate of a statement: that is the form in which scanners look for it (aquasecurity/trivy, pkg/vex/oci).
///
/// # Errors
/// When the registry does not take it.
pub(crate) async fn attach_vex(
    patch: &ImagePatch<'_, '_>,
    registry: &Registry,
    subject: &RawManifest,
    document: &Value,
) -> anyhow::Result<()> {
    let artifact = Artifact {
        media_type: STATEMENT,
        predicate: Some(vex::CONTEXT),
        content: serde_json::to_vec(&statement(patch, subject, vex::CONTEXT, document))?,
    };
    attach(patch, registry, subject, artifact)
        .await
        .context("failed to attach the OpenVEX document")
}

/// Attach how `subject`, an image or an index in the repository of the patched image, was made of `original` by `comparisons`.
///
/// # Errors
/// When the registry does not take it.
pub(crate) async fn attach_provenance(
    patch: &ImagePatch<'_, '_>,
    registry: &Registry,
    subject: &RawManifest,
    original: &str,
    comparisons: &[&Comparison],
) -> anyhow::Result<()> {
    let builder = Builder::new(&patch.session.ctx.github());
    let original = Original {
        image: &patch.target.image,
        digest: original,
        is_in_registry: matches!(patch.source, Source::Registry { .. }),
    };
    let made = provenance::predicate(&builder, &original, comparisons, &now());
    let kind = provenance::PREDICATE;
    let artifact = Artifact {
        media_type: STATEMENT,
        predicate: Some(kind),
        content: serde_json::to_vec(&statement(patch, subject, kind, &made))?,
    };
    attach(patch, registry, subject, artifact)
        .await
        .context("failed to attach the provenance")
}

/// Attach the SBOM of `subject`, the patched image that `scanned` is of.
///
/// # Errors
/// When the registry does not take it.
pub(crate) async fn attach_sbom(
    patch: &ImagePatch<'_, '_>,
    registry: &Registry,
    subject: &RawManifest,
    scanned: &Scanned,
) -> anyhow::Result<()> {
    let artifact = Artifact {
        media_type: SBOM,
        predicate: None,
        content: SbomFormat::CycloneDx.render(&scanned.raw)?,
    };
    attach(patch, registry, subject, artifact)
        .await
        .context("failed to attach the SBOM")
}

// What `predicate` says about `subject`.
fn statement(
    patch: &ImagePatch<'_, '_>,
    subject: &RawManifest,
    kind: &str,
    predicate: &Value,
) -> Value {
    let hex = subject.digest.hex();
    json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": patch.target.patched.without_version(), "digest": {"sha256": hex}}],
        "predicateType": kind,
        "predicate": predicate,
    })
}

// github.com/opencontainers/image-spec, manifest.md, guidelines for artifact usage.
async fn attach(
    patch: &ImagePatch<'_, '_>,
    registry: &Registry,
    subject: &RawManifest,
    artifact: Artifact,
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
    let layer = send(artifact.media_type, artifact.content).await?;
    let mut manifest = oci::Manifest::new(config, vec![layer]);
    manifest.artifact_type = Some(artifact.media_type.to_owned());
    let size = subject.bytes.len() as u64;
    manifest.subject = Some(oci::Descriptor::new(
        &subject.media_type,
        &subject.digest,
        size,
    ));
    let created = ("org.opencontainers.image.created", now());
    let predicate = artifact.predicate.map(|kind| (PREDICATE, kind.to_owned()));
    let annotations = std::iter::once(created).chain(predicate);
    let annotations = annotations.map(|(name, value)| (name.to_owned(), value));
    manifest.annotations.extend(annotations);
    registry.push_manifest(repository, &manifest, None).await?;
    Ok(())
}
