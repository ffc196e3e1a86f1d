//! What the patch fixed, for other tools: OpenVEX (github.com/openvex/spec, v0.2.0).

use std::collections::BTreeMap;

use oci::ImageRef;
use serde_json::{Value, json};

use crate::verify::Comparison;

/// The media type of a document, and the type of an artifact that is one.
pub(crate) const MEDIA_TYPE: &str = "application/vnd.openvex+json";

/// The document of what the patch fixed in `image`; `digest` is of its manifest in the registry, or else its id in
/// Docker, `now` is RFC 3339.
///
/// Tools identify an image by the digest of its manifest, which it has once it is `pushed`. Until then the statements are
/// about the packages in their new versions.
pub(crate) fn document(
    image: &ImageRef,
    digest: &str,
    pushed: bool,
    comparison: &Comparison,
    now: &str,
) -> Value {
    let purls: BTreeMap<_, _> = comparison
        .updated
        .iter()
        .map(|updated| (updated.package.as_str(), updated.purl.as_str()))
        .collect();
    let mut fixed: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
    for finding in &comparison.fixed {
        if let Some(purl) = purls.get(finding.package.as_str()) {
            fixed
                .entry(&finding.id)
                .or_default()
                .push(json!({"@id": purl}));
        }
    }
    let product = product(image, digest);
    let statements = fixed.into_iter().map(|(id, packages)| {
        let products = if pushed {
            json!([{"@id": product, "subcomponents": packages}])
        } else {
            packages.into()
        };
        json!({"vulnerability": {"name": id}, "products": products, "status": "fixed"})
    });
    json!({
        "@context": "https://openvex.dev/ns/v0.2.0",
        "@id": format!("urn:oci:{digest}:vex"),
        "author": "seaworthy copacetic-patch",
        "timestamp": now,
        "version": 1,
        "statements": statements.collect::<Vec<_>>(),
    })
}

// github.com/package-url/purl-spec, type `oci`.
fn product(image: &ImageRef, id: &str) -> String {
    let name = image.name();
    let version = id.replace(':', "%3A");
    let repository = image
        .registry()
        .map(|_| format!("?repository_url={}", image.without_version()));
    format!("pkg:oci/{name}@{version}{}", repository.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verify::comparison::tests::comparison;

    #[test]
    fn a_document_of_a_pushed_image() {
        let comparison = comparison(&[("openssl", "1", "2")], &[("openssl", "2", "-")]);
        let image = "seaworthy.azurecr.io/app:1-patched".parse().unwrap();
        let document = document(
            &image,
            "sha256:ab",
            true,
            &comparison,
            "2026-01-01T00:00:00Z",
        );
        insta::assert_json_snapshot!(document, @r#"
        {
          "@context": "https://openvex.dev/ns/v0.2.0",
          "@id": "urn:oci:sha256:ab:vex",
          "author": "seaworthy copacetic-patch",
          "statements": [
            {
              "products": [
                {
                  "@id": "pkg:oci/app@sha256%3Aab?repository_url=seaworthy.azurecr.io/app",
                  "subcomponents": [
                    {
                      "@id": "pkg:deb/debian/openssl@2?arch=amd64"
                    }
                  ]
                }
              ],
              "status": "fixed",
              "vulnerability": {
                "name": "CVE-openssl"
              }
            }
          ],
          "timestamp": "2026-01-01T00:00:00Z",
          "version": 1
        }
        "#);
    }

    #[test]
    fn an_image_without_a_digest_is_identified_by_its_packages() {
        let comparison = comparison(&[("openssl", "1", "2")], &[("openssl", "2", "-")]);
        let image = "app:1-patched".parse().unwrap();
        let document = document(
            &image,
            "sha256:ab",
            false,
            &comparison,
            "2026-01-01T00:00:00Z",
        );
        insta::assert_json_snapshot!(document["statements"][0]["products"], @r#"
        [
          {
            "@id": "pkg:deb/debian/openssl@2?arch=amd64"
          }
        ]
        "#);
    }
}
