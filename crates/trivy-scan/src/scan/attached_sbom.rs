//! The SBOM that is attached to an image in its registry: as a referrer, by BuildKit, or by cosign.
//!
//! Only one that is bound to the digest of the image counts: by the subject of its manifest or of its statement.

use anyhow::Context as _;
use oci::{Descriptor, Digest, ENVELOPE, Index, Manifest, RawManifest, Registry, STATEMENT};
use serde_json::Value;

use crate::statement::{is_about, payload};

/// Types of an artifact that is an SBOM (aquasecurity/trivy, `--sbom-sources oci`; spdx.dev/use/specifications).
const SBOMS: [&str; 3] = [
    "application/vnd.cyclonedx+json",
    "application/spdx+json",
    "text/spdx+json",
];
/// The annotation of an attestation in an index that names its image (docs.docker.com/build/metadata/attestations).
const ATTESTED: &str = "vnd.docker.reference.digest";
/// What is attached to one image, at most: the rest is not looked at.
const ATTACHED: usize = 32;

/// The SBOM of `image` in `repository`, which is an image of the index `root` or `root` itself.
///
/// # Errors
/// When the registry does not provide what it lists.
pub(super) async fn attached_sbom(
    registry: &Registry,
    repository: &str,
    root: &Digest,
    image: &Digest,
) -> anyhow::Result<Option<Vec<u8>>> {
    let referrers = registry.referrers(repository, image).await?;
    let may_be_sbom = |entry: &&Descriptor| {
        let kind = entry.artifact_type.as_deref().unwrap_or_default();
        SBOMS.contains(&kind) || kind == STATEMENT || kind == ENVELOPE
    };
    for entry in referrers.iter().filter(may_be_sbom).take(ATTACHED) {
        let manifest = registry.manifest(repository, &entry.digest).await?;
        if let Some(found) = in_manifest(registry, repository, manifest, image).await? {
            return Ok(Some(found));
        }
    }
    if root != image {
        for digest in attestations(registry, repository, root, image).await? {
            let manifest = registry.manifest(repository, &digest).await?;
            if let Some(found) = in_manifest(registry, repository, manifest, image).await? {
                return Ok(Some(found));
            }
        }
    }
    let tag = image.cosign_tag("att");
    let manifest = registry.manifest(repository, &tag).await?;
    in_manifest(registry, repository, manifest, image).await
}

/// Whether an SBOM refers to `image` in `repository`, by its type in the list of what does; it is not read.
///
/// # Errors
/// When the registry does not provide that list.
pub(super) async fn is_attached(
    registry: &Registry,
    repository: &str,
    image: &Digest,
) -> anyhow::Result<bool> {
    let referrers = registry.referrers(repository, image).await?;
    let mut kinds = referrers
        .iter()
        .filter_map(|entry| entry.artifact_type.as_deref());
    Ok(kinds.any(|kind| SBOMS.contains(&kind)))
}

// The attestations of `image` in the index `root`.
async fn attestations(
    registry: &Registry,
    repository: &str,
    root: &Digest,
    image: &Digest,
) -> anyhow::Result<Vec<String>> {
    let Some(root) = registry.manifest(repository, root.as_str()).await? else {
        return Ok(Vec::new());
    };
    let index: Index = serde_json::from_slice(&root.bytes).context("its index is not valid")?;
    let is_of_image = |entry: &Descriptor| {
        let attested = entry.annotations.get(ATTESTED);
        attested.is_some_and(|digest| digest == image.as_str())
    };
    let entries = index.manifests.into_iter().filter(is_of_image);
    Ok(entries.map(|entry| entry.digest).take(ATTACHED).collect())
}

async fn in_manifest(
    registry: &Registry,
    repository: &str,
    manifest: Option<RawManifest>,
    image: &Digest,
) -> anyhow::Result<Option<Vec<u8>>> {
    let Some(Ok(manifest)) = manifest.map(|raw| serde_json::from_slice::<Manifest>(&raw.bytes))
    else {
        return Ok(None);
    };
    let is_subject = |subject: &Descriptor| subject.digest == image.as_str();
    let is_bound = manifest.subject.as_ref().is_some_and(is_subject);
    for layer in manifest.layers.iter().take(ATTACHED) {
        let kind = layer.media_type.as_str();
        if !(SBOMS.contains(&kind) && is_bound || kind == STATEMENT || kind == ENVELOPE) {
            continue;
        }
        let bytes = registry.blob_bytes(repository, &layer.digest).await?;
        if let Some(found) = document(&bytes, image, is_bound) {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// The SBOM in `bytes`: itself if it `is_bound` to the image, or the predicate of a statement about the image.
pub(crate) fn document(bytes: &[u8], image: &Digest, is_bound: bool) -> Option<Vec<u8>> {
    let mut json: Value = serde_json::from_slice(bytes).ok()?;
    if json["payload"].is_string() {
        json = payload(&json).ok()?;
    }
    if is_bound && is_sbom(&json) {
        return serde_json::to_vec(&json).ok();
    }
    let predicate = &json["predicate"];
    (is_about(&json, image) && is_sbom(predicate)).then(|| serde_json::to_vec(predicate).ok())?
}

fn is_sbom(json: &Value) -> bool {
    json["bomFormat"] == "CycloneDX" || json["spdxVersion"].as_str().is_some()
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use serde_json::json;

    use super::*;

    #[test]
    fn only_an_sbom_that_is_bound_to_the_image_counts() {
        let (image, other) = (Digest::sha256(b"image"), Digest::sha256(b"other"));
        let sbom = json!({"spdxVersion": "SPDX-2.3", "packages": []});
        let statement = |digest: &Digest, predicate: &Value| json!({"subject": [{"name": "x", "digest": {"sha256": digest.hex()}}], "predicate": predicate});
        let signed = |statement: &Value| json!({"payloadType": STATEMENT, "payload": STANDARD.encode(statement.to_string())});
        let provenance = json!({"buildType": "x"});
        let table = [
            (sbom.clone(), true, true),
            (sbom.clone(), false, false),
            (statement(&image, &sbom), false, true),
            (statement(&other, &sbom), false, false),
            (statement(&image, &provenance), false, false),
            (signed(&statement(&image, &sbom)), false, true),
            (signed(&statement(&other, &sbom)), true, false),
            (json!({"payload": "%"}), true, false),
        ];
        for (json, is_bound, expected) in table {
            let found = document(json.to_string().as_bytes(), &image, is_bound);
            let found = found.map(|bytes| serde_json::from_slice::<Value>(&bytes).unwrap());
            assert_eq!(found, expected.then(|| sbom.clone()), "{json}");
        }
        assert_eq!(document(b"x", &image, true), None);
    }
}
