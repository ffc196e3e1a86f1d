//! What a manifest is of.

use oci::{Manifest, RawManifest};

/// What `manifest` is of, if not of an image: a chart, an SBOM, a signature. An index is not one either.
pub fn not_an_image(manifest: &RawManifest) -> Option<String> {
    let Ok(parsed) = serde_json::from_slice::<Manifest>(&manifest.bytes) else {
        let kind = &manifest.media_type;
        return Some(format!("its manifest has the type `{kind}`"));
    };
    if let Some(kind) = &parsed.artifact_type {
        return Some(format!("it is an artifact of the type `{kind}`"));
    }
    let config = &parsed.config.media_type;
    let is_image = oci::CONFIGS.contains(&config.as_str());
    (!is_image).then(|| format!("its configuration has the type `{config}`"))
}

#[cfg(test)]
mod tests {
    use oci::Digest;

    use super::*;

    fn manifest(media_type: &str, json: &str) -> RawManifest {
        RawManifest {
            digest: Digest::sha256(json.as_bytes()),
            media_type: media_type.to_owned(),
            bytes: json.as_bytes().to_vec(),
        }
    }

    #[test]
    fn what_is_no_image_is_named() {
        let with = |config: &str, more: &str| {
            let json = format!(
                r#"{{"schemaVersion": 2, "config": {{"mediaType": "{config}", "digest": "sha256:0", "size": 2}}, "layers": []{more}}}"#
            );
            not_an_image(&manifest(oci::MANIFEST, &json))
        };
        for config in oci::CONFIGS {
            assert_eq!(with(config, ""), None);
        }
        let chart = "application/vnd.cncf.helm.config.v1+json";
        insta::assert_snapshot!(with(chart, "").unwrap(), @"its configuration has the type `application/vnd.cncf.helm.config.v1+json`");
        let kind = r#", "artifactType": "application/spdx+json""#;
        insta::assert_snapshot!(with(oci::EMPTY, kind).unwrap(), @"it is an artifact of the type `application/spdx+json`");
        let schema1 = "application/vnd.docker.distribution.manifest.v1+prettyjws";
        let what = not_an_image(&manifest(schema1, "{}")).unwrap();
        insta::assert_snapshot!(what, @"its manifest has the type `application/vnd.docker.distribution.manifest.v1+prettyjws`");
    }
}
