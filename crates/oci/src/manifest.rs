//! Manifests of the OCI image specification (v1.1).

use std::collections::BTreeMap;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use crate::{Digest, Platform};

/// The media type of a manifest.
pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// The media type of an index.
pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// The media type of an image's configuration.
pub const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// The same by OCI's specification and by Docker's.
pub const CONFIGS: [&str; 2] = [CONFIG, "application/vnd.docker.container.image.v1+json"];
/// The media type of an uncompressed layer.
pub const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
/// The media type of an empty configuration: that of an artifact.
pub const EMPTY: &str = "application/vnd.oci.empty.v1+json";

/// The media type of a statement about an image, such as an attestation (github.com/in-toto/attestation, spec/v1).
pub const STATEMENT: &str = "application/vnd.in-toto+json";
/// The media type of a signed one (github.com/secure-systems-lab/dsse).
pub const ENVELOPE: &str = "application/vnd.dsse.envelope.v1+json";
/// The annotation with the type of a statement's predicate, by which scanners find the statement.
pub const PREDICATE: &str = "in-toto.io/predicate-type";

const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar";
const DOCKER_INDEX: &str = "application/vnd.docker.distribution.manifest.list.v2+json";

/// A reference to a blob or manifest by its digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// The media type of the content.
    pub media_type: String,
    /// Its digest, `sha256:…`.
    pub digest: String,
    /// Its size in bytes.
    pub size: u64,
    /// The type of an artifact in a list of referrers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// The platform of an image in an index.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// Annotations, in a fixed order: equal manifests have equal digests.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// The manifest of an image or artifact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// Always 2.
    pub schema_version: u32,
    /// The media type of the manifest itself.
    #[serde(default)]
    pub media_type: String,
    /// The type of an artifact; absent for an image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// The configuration.
    pub config: Descriptor,
    /// The layers, from the base up.
    pub layers: Vec<Descriptor>,
    /// The manifest that an artifact belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
    /// Annotations, in a fixed order.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// A list of manifests: of one image for several platforms, or of referrers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    /// Always 2.
    pub schema_version: u32,
    /// The media type of the index itself.
    #[serde(default)]
    pub media_type: String,
    /// The manifests.
    pub manifests: Vec<Descriptor>,
    /// Annotations, in a fixed order.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

impl Descriptor {
    /// The content `digest` of `size` bytes.
    pub fn new(media_type: &str, digest: &Digest, size: u64) -> Self {
        Self {
            media_type: media_type.to_owned(),
            digest: digest.to_string(),
            size,
            artifact_type: None,
            platform: None,
            annotations: BTreeMap::new(),
        }
    }
}

impl Manifest {
    /// Bytes of all layers, compressed.
    pub fn layer_bytes(&self) -> u64 {
        let bytes = self.layers.iter().map(|layer| layer.size);
        bytes.fold(0, u64::saturating_add)
    }

    /// Whether it is the manifest of an image, and not of another artifact.
    pub fn is_image(&self) -> bool {
        self.artifact_type.is_none() && CONFIGS.contains(&self.config.media_type.as_str())
    }

    /// The manifest of an image.
    pub fn new(config: Descriptor, layers: Vec<Descriptor>) -> Self {
        Self {
            schema_version: 2,
            media_type: MANIFEST.to_owned(),
            artifact_type: None,
            config,
            layers,
            subject: None,
            annotations: BTreeMap::new(),
        }
    }

    /// The same manifest with OCI media types: Docker's manifests have no annotations. The blobs do not change.
    #[must_use]
    pub fn as_oci(mut self) -> Self {
        MANIFEST.clone_into(&mut self.media_type);
        CONFIG.clone_into(&mut self.config.media_type);
        for layer in &mut self.layers {
            if let Some(rest) = layer.media_type.strip_prefix(DOCKER_LAYER) {
                // `.gzip` there is `+gzip` here.
                layer.media_type = format!("{LAYER}{}", rest.replace('.', "+"));
            }
        }
        self
    }

    /// The JSON whose digest is the manifest's.
    ///
    /// # Errors
    /// Never for a manifest that was built by [`Manifest::new`].
    pub fn bytes(&self) -> anyhow::Result<Vec<u8>> {
        serde_json::to_vec(self).context("failed to serialize a manifest")
    }
}

/// Whether `media_type` is an index of the OCI or a manifest list of Docker.
pub fn is_index(media_type: &str) -> bool {
    let media_type = media_type.split(';').next().unwrap_or_default().trim();
    media_type == INDEX || media_type == DOCKER_INDEX
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn docker_media_types_become_oci_media_types() {
        let blob = |media_type: &str| Descriptor::new(media_type, &Digest::sha256(b""), 0);
        let manifest = Manifest::new(
            blob("application/vnd.docker.container.image.v1+json"),
            vec![
                blob("application/vnd.docker.image.rootfs.diff.tar.gzip"),
                blob("application/vnd.oci.image.layer.v1.tar+zstd"),
            ],
        )
        .as_oci();
        assert_eq!(manifest.config.media_type, CONFIG);
        let layers: Vec<_> = manifest
            .layers
            .iter()
            .map(|l| l.media_type.as_str())
            .collect();
        assert_eq!(
            layers,
            [
                "application/vnd.oci.image.layer.v1.tar+gzip",
                "application/vnd.oci.image.layer.v1.tar+zstd"
            ]
        );
    }
}
