//! What the patch fixed, for other tools: OpenVEX (github.com/openvex/spec, v0.2.0).

use std::collections::BTreeMap;

use oci::ImageRef;
use serde_json::{Value, json};

use crate::verify::Comparison;

/// What a document is, and the type of a statement about an image that has one.
pub(crate) const CONTEXT: &str = "https://openvex.dev/ns/v0.2.0";

/// What a patch fixed, and in what.
pub(crate) struct Fixed<'a> {
    pub(crate) comparison: &'a Comparison,
    /// The digests of the manifests that have it, once they are pushed: tools identify an image by them. Until then the
    /// statements are about the packages in their new versions.
    pub(crate) digests: Vec<&'a str>,
}

/// The document of what was `fixed` in `image`; `id` is the digest of its manifest in the registry, or else its id in Docker,
/// `now` is RFC 3339.
pub(crate) fn document(image: &ImageRef, id: &str, fixed: &[Fixed<'_>], now: &str) -> Value {
    let mut products: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
    for Fixed {
        comparison,
        digests,
    } in fixed
    {
        let updated = comparison.updated.iter();
        let purls: BTreeMap<_, _> = updated
            .map(|updated| (updated.package.as_str(), updated.purl.as_str()))
            .collect();
        let mut packages: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
        for finding in &comparison.fixed {
            if let Some(purl) = purls.get(finding.package.as_str()) {
                let packages = packages.entry(&finding.id).or_default();
                packages.push(json!({"@id": purl}));
            }
        }
        for (id, packages) in packages {
            let products = products.entry(id).or_default();
            if digests.is_empty() {
                products.extend(packages);
                continue;
            }
            products.extend(
                digests.iter().map(
                    |digest| json!({"@id": product(image, digest), "subcomponents": packages}),
                ),
            );
        }
    }
    let statements = products.into_iter().map(|(id, products)| {
        json!({"vulnerability": {"name": id}, "products": products, "status": "fixed"})
    });
    let statements: Vec<_> = statements.collect();
    whole(&format!("urn:oci:{id}:vex"), &statements, now)
}

/// The document `id` of `statements`.
pub(crate) fn whole(id: &str, statements: &[Value], now: &str) -> Value {
    json!({
        "@context": CONTEXT,
        "@id": id,
        "author": "seaworthy copacetic-patch",
        "timestamp": now,
        "version": 1,
        "statements": statements,
    })
}

// github.com/package-url/purl-spec, type `oci`.
pub(super) fn product(image: &ImageRef, id: &str) -> String {
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
        let fixed = Fixed {
            comparison: &comparison,
            digests: vec!["sha256:ab"],
        };
        let document = document(&image, "sha256:ab", &[fixed], "2026-01-01T00:00:00Z");
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
        let fixed = Fixed {
            comparison: &comparison,
            digests: Vec::new(),
        };
        let document = document(&image, "sha256:ab", &[fixed], "2026-01-01T00:00:00Z");
        insta::assert_json_snapshot!(document["statements"][0]["products"], @r#"
        [
          {
            "@id": "pkg:deb/debian/openssl@2?arch=amd64"
          }
        ]
        "#);
    }
}
