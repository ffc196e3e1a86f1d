//! The index of the patched images.

use std::collections::BTreeMap;

use anyhow::Context as _;
use oci::RawManifest;
use serde_json::{Map, Value};

use super::promote::now;
use crate::lineage;
use crate::request::Target;

/// The annotation of an attestation in an index that names its image (docs.docker.com/build/metadata/attestations).
const ATTESTED: &str = "vnd.docker.reference.digest";
/// What an entry says about the very bytes of its manifest.
const OF_CONTENT: [&str; 2] = ["data", "urls"];

/// The index `original`, that of `target`, with the manifests `patched` in place of the images of these digests.
///
/// All else stays, in its order. An attestation is about the digest of its image: those of a replaced one are left out.
///
/// # Errors
/// When the original is invalid.
pub(crate) fn compose(
    original: &RawManifest,
    target: &Target,
    patched: &BTreeMap<String, RawManifest>,
) -> anyhow::Result<RawManifest> {
    const INVALID: &str = "invalid image index";
    let mut index: Value = serde_json::from_slice(&original.bytes).context(INVALID)?;
    let fields = index.as_object_mut().context(INVALID)?;
    let entries = fields.get_mut("manifests").and_then(Value::as_array_mut);
    let entries = entries.context(INVALID)?;
    entries.retain(|entry| {
        let attested = entry["annotations"][ATTESTED].as_str();
        attested.is_none_or(|digest| !patched.contains_key(digest))
    });
    for entry in entries {
        let digest = entry["digest"].as_str().unwrap_or_default();
        if let Some(manifest) = patched.get(digest)
            && let Some(entry) = entry.as_object_mut()
        {
            for field in OF_CONTENT {
                entry.remove(field);
            }
            entry.insert("mediaType".into(), manifest.media_type.as_str().into());
            entry.insert("digest".into(), manifest.digest.as_str().into());
            entry.insert("size".into(), manifest.bytes.len().into());
        }
    }
    // A manifest list of Docker has no annotations.
    fields.insert("mediaType".into(), oci::INDEX.into());
    let annotations = fields
        .entry("annotations")
        .or_insert_with(|| Map::new().into());
    let annotations = annotations.as_object_mut().context(INVALID)?;
    let (name, digest) = (&target.image, original.digest.as_str());
    let origin = lineage::origin_annotations(name, digest).into_iter();
    let origin = origin.chain(lineage::base_annotations(name, digest));
    annotations.extend(origin.map(|(key, value)| (key, value.into())));
    annotations.insert("org.opencontainers.image.created".into(), now().into());
    if let Some(version) = annotations.get_mut(lineage::VERSION)
        && let Some(original) = version.as_str()
    {
        *version = lineage::patched_version(original, &target.patched).into();
    }
    Ok(RawManifest::new(oci::INDEX, serde_json::to_vec(&index)?))
}

/// The digests of the entries of an index, in their order.
pub(crate) fn digests(index: &RawManifest) -> Vec<String> {
    let parsed = serde_json::from_slice::<oci::Index>(&index.bytes);
    let entries = parsed.map(|index| index.manifests).unwrap_or_default();
    entries.into_iter().map(|entry| entry.digest).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_index_keeps_its_order_and_what_is_not_patched() {
        let platform = |architecture: &str| json!({"os": "linux", "architecture": architecture});
        let entry = |digest: &str, platform: &Value| json!({"mediaType": "application/vnd.docker.distribution.manifest.v2+json", "digest": digest, "size": 1, "platform": platform});
        let attestation = |digest: &str, of: &str| json!({"mediaType": oci::MANIFEST, "digest": digest, "size": 2, "platform": {"os": "unknown", "architecture": "unknown"}, "annotations": {"vnd.docker.reference.type": "attestation-manifest", (ATTESTED): of}});
        let windows = json!({"os": "windows", "architecture": "amd64", "os.version": "10.0.1"});
        let mut arm = platform("arm");
        arm["variant"] = "v7".into();
        let index = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.docker.distribution.manifest.list.v2+json",
            "annotations": {"org.opencontainers.image.title": "app", "org.opencontainers.image.version": "1"},
            "manifests": [
                entry("sha256:windows", &windows), entry("sha256:arm", &arm), entry("sha256:amd64", &platform("amd64")),
                attestation("sha256:of-arm", "sha256:arm"), attestation("sha256:of-amd64", "sha256:amd64"),
            ],
        });
        let original = RawManifest::new(oci::INDEX, index.to_string().into_bytes());
        let new = RawManifest::new(oci::MANIFEST, b"{}".to_vec());
        let patched = [("sha256:amd64".to_owned(), new.clone())].into();
        let target = Target {
            image: "ghcr.io/team/app:1".parse().unwrap(),
            patched: "ghcr.io/team/app:1-patched".parse().unwrap(),
        };
        let composed = compose(&original, &target, &patched).unwrap();
        let json: Value = serde_json::from_slice(&composed.bytes).unwrap();
        let entries = json["manifests"].as_array().unwrap();
        let shown: Vec<_> = entries
            .iter()
            .map(|entry| {
                (
                    entry["digest"].as_str().unwrap(),
                    entry["size"].as_u64().unwrap(),
                    &entry["platform"],
                )
            })
            .collect();
        let unknown = platform("unknown");
        let unknown = json!({"os": "unknown", "architecture": unknown["architecture"]});
        assert_eq!(
            shown,
            [
                ("sha256:windows", 1, &windows),
                ("sha256:arm", 1, &arm),
                (new.digest.as_str(), 2, &platform("amd64")),
                ("sha256:of-arm", 2, &unknown),
            ]
        );
        let annotations = &json["annotations"];
        assert_eq!(annotations["org.opencontainers.image.title"], "app");
        assert_eq!(annotations["org.opencontainers.image.version"], "1-patched");
        assert_eq!(
            annotations["sh.copa.patch.origin.name"],
            "ghcr.io/team/app:1"
        );
        assert_eq!(
            annotations["sh.copa.patch.origin.digest"],
            original.digest.as_str()
        );
        assert_eq!(
            [
                &annotations["org.opencontainers.image.base.name"],
                &annotations["org.opencontainers.image.base.digest"],
            ],
            ["ghcr.io/team/app:1", original.digest.as_str()]
        );
        assert_eq!(
            (json["mediaType"].as_str(), composed.media_type.as_str()),
            (Some(oci::INDEX), oci::INDEX)
        );
    }
}
