//! The labels and annotations that say what a patched image was made from.

use std::collections::BTreeMap;

use anyhow::Context as _;
use docker::ImageInfo;
use oci::{ImageRef, RawManifest};
use serde_json::{Map, Value};

/// The label in which Copa notes the image that it patched: here, a name on a loopback port of this run.
const BASE: &str = "BaseImage";
/// What precedes `name` and `digest` of the original (project-copacetic/copacetic, issue 1678).
const ORIGIN: &str = "sh.copa.patch.origin.";

/// The annotation with the version of what is in an image.
pub(crate) const VERSION: &str = "org.opencontainers.image.version";
/// What precedes them in the annotations of the OCI.
const OCI_BASE: &str = "org.opencontainers.image.base.";

/// What a patched image was made from.
pub(crate) struct Lineage([(String, String); 3]);

impl Lineage {
    /// Of a patch of `image`, which is called `name` and identified by `digest`.
    pub(crate) fn new(image: &ImageInfo, name: &ImageRef, digest: &str) -> Self {
        let [origin_name, origin_digest] = origin_annotations(name, digest);
        // An image that was patched before keeps the base that Copa starts from.
        let base = image.config.labels.get(BASE).cloned();
        Self([
            (BASE.to_owned(), base.unwrap_or_else(|| name.to_string())),
            origin_name,
            origin_digest,
        ])
    }

    /// The annotations of the manifest.
    pub(crate) fn annotations(self) -> impl Iterator<Item = (String, String)> {
        let [_, origin @ ..] = self.0;
        origin.into_iter()
    }

    /// The image configuration `config` with the labels.
    ///
    /// Copa notes the name under which it got the image, which means nothing beyond this run, and under `labels`,
    /// which only Docker reads: the specification writes `Labels`.
    pub(crate) fn label(&self, config: &[u8]) -> anyhow::Result<Vec<u8>> {
        const INVALID: &str = "invalid image configuration";
        let mut json: Value = serde_json::from_slice(config).context(INVALID)?;
        let fields = json.as_object_mut().context(INVALID)?;
        let config = fields.entry("config").or_insert_with(|| Map::new().into());
        let config = config.as_object_mut().context(INVALID)?;
        let mut labels = Map::new();
        for name in ["labels", "Labels"] {
            if let Some(Value::Object(known)) = config.remove(name) {
                labels.extend(known);
            }
        }
        for (name, value) in &self.0 {
            labels.insert(name.clone(), value.clone().into());
        }
        config.insert("Labels".into(), labels.into());
        serde_json::to_vec(&json).context("failed to serialize the image configuration")
    }
}

/// What a manifest, or an index, that was made from `name` notes of it; `digest` identifies it.
pub(crate) fn origin_annotations(name: &ImageRef, digest: &str) -> [(String, String); 2] {
    [
        (format!("{ORIGIN}name"), name.to_string()),
        (format!("{ORIGIN}digest"), digest.to_owned()),
    ]
}

/// The same as the OCI has it (github.com/opencontainers/image-spec, annotations.md): a patch shares the layers of `name`, which a
/// registry has under `digest`.
pub(crate) fn base_annotations(name: &ImageRef, digest: &str) -> [(String, String); 2] {
    [
        (format!("{OCI_BASE}name"), name.normalized()),
        (format!("{OCI_BASE}digest"), digest.to_owned()),
    ]
}

/// The annotation [`VERSION`] of a patch whose original has `version` there, and that gets the tag of `patched`: as Copa has it
/// (project-copacetic/copacetic, `rewriteVersionAnnotation` in pkg/patch/build.go), which knows a tag of this run only.
pub(crate) fn patched_version(version: &str, patched: &ImageRef) -> String {
    let tag = patched.tag().unwrap_or_default();
    if tag.contains(version) {
        tag.to_owned()
    } else {
        format!("{version}-{tag}")
    }
}

/// The digest of what `manifest`, of an image or an index, was made from.
pub(crate) fn origin_digest_of(manifest: &RawManifest) -> Option<String> {
    let manifest: Value = serde_json::from_slice(&manifest.bytes).ok()?;
    let digest = manifest["annotations"][format!("{ORIGIN}digest")].as_str();
    digest.map(ToOwned::to_owned)
}

/// The name of what `manifest`, of an image or an index, was made from.
pub(crate) fn origin_name_of(manifest: &RawManifest) -> Option<String> {
    let manifest: Value = serde_json::from_slice(&manifest.bytes).ok()?;
    let name = manifest["annotations"][format!("{ORIGIN}name")].as_str();
    name.map(ToOwned::to_owned)
}

/// Whether `image`, a patch of the image that is called `origin`, is one under a number: `{tag}-N` of a tag that is replaced by
/// its patches.
pub(crate) fn is_number_of(image: &ImageRef, origin: &str) -> bool {
    let Ok(origin) = origin.parse::<ImageRef>() else {
        return false;
    };
    let number = || {
        let rest = image.tag()?.strip_prefix(origin.tag()?)?;
        rest.strip_prefix('-')?.parse::<u32>().ok()
    };
    number().is_some()
}

/// Whether a patch may set the label `name`.
pub(crate) fn is_lineage(name: &str) -> bool {
    name == BASE || name.starts_with(ORIGIN)
}

/// The name of the image that the image with these annotations of its manifest was patched from.
///
/// Labels do not say so: an image that is built `FROM` a patched one has them too.
pub(crate) fn origin_name(annotations: &BTreeMap<String, String>) -> Option<&str> {
    annotations
        .get(&format!("{ORIGIN}name"))
        .map(String::as_str)
}

/// The digest or id of the image that `image` was patched from.
pub(crate) fn origin_digest(image: &ImageInfo) -> Option<&str> {
    let digest = image.config.labels.get(&format!("{ORIGIN}digest"));
    digest.map(String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_of_a_patch_is_not_that_of_its_original() {
        for (version, tag, expected) in [
            ("1.0.0", "1.0.0-patched", "1.0.0-patched"),
            ("1.0.0", "latest-patched", "1.0.0-latest-patched"),
            ("1.0.0", "1.0.0", "1.0.0"),
        ] {
            let patched = format!("r.example/app:{tag}").parse().unwrap();
            assert_eq!(patched_version(version, &patched), expected);
        }
    }

    #[test]
    fn a_number_follows_the_tag_of_the_original() {
        for (tag, origin, expected) in [
            ("1-1", "r.example/app:1", true),
            ("1.2-17", "r.example/app:1.2", true),
            // It is itself what was patched, and a revision of Debian may look like a number.
            ("1-1", "r.example/app:1-1", false),
            ("1-1", "r.example/app:2", false),
            ("1-patched", "r.example/app:1", false),
            ("1-1", "r.example/app", false),
            ("1-1", "", false),
        ] {
            let image = format!("r.example/app:{tag}").parse().unwrap();
            assert_eq!(is_number_of(&image, origin), expected, "{tag} {origin}");
        }
    }

    #[test]
    fn the_lineage_is_written_where_the_specification_has_labels() {
        let config = br#"{"config": {"User": "1", "Labels": {"team": "web"}, "labels": {"BaseImage": "127.0.0.1:1/x"}}}"#;
        let lineage = Lineage([
            ("BaseImage".to_owned(), "app:1".to_owned()),
            ("sh.copa.patch.origin.name".to_owned(), "app:1".to_owned()),
            (
                "sh.copa.patch.origin.digest".to_owned(),
                "sha256:a".to_owned(),
            ),
        ]);
        let json: Value = serde_json::from_slice(&lineage.label(config).unwrap()).unwrap();
        insta::assert_json_snapshot!(json, @r#"
        {
          "config": {
            "Labels": {
              "BaseImage": "app:1",
              "sh.copa.patch.origin.digest": "sha256:a",
              "sh.copa.patch.origin.name": "app:1",
              "team": "web"
            },
            "User": "1"
          }
        }
        "#);
    }
}
