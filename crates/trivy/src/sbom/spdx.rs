//! SPDX 2.3 (spdx.github.io/spdx-spec/v2.3).

use std::collections::BTreeMap;

use oci::Digest;
use serde_spdx::spdx::v_2_3::{
    Spdx, SpdxBuilder, SpdxCreationInfoBuilder, SpdxItemHasExtractedLicensingInfos,
    SpdxItemPackages, SpdxItemPackagesBuilder, SpdxItemPackagesItemAnnotations,
    SpdxItemPackagesItemChecksums, SpdxItemPackagesItemExternalRefs, SpdxItemRelationships,
};

use super::contents::{Component, Contents, Kind};

const DOCUMENT: &str = "SPDXRef-DOCUMENT";
const NO_ASSERTION: &str = "NOASSERTION";

/// The document of `contents`.
///
/// # Errors
/// When a required field is not set, which is a bug.
pub(super) fn document(contents: &Contents) -> anyhow::Result<Spdx> {
    let mut licenses = Licenses::default();
    let packages = contents
        .components
        .iter()
        .map(|component| package(contents, component, &mut licenses))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let creation_info = SpdxCreationInfoBuilder::default()
        .creators(vec![
            format!("Tool: seaworthy-{}", env!("CARGO_PKG_VERSION")),
            annotator(contents),
        ])
        .created(contents.created.as_str())
        .build()?;
    let mut document = SpdxBuilder::default();
    document
        .spdx_version("SPDX-2.3")
        .data_license("CC0-1.0")
        .spdxid(DOCUMENT)
        .name(contents.components[0].name.as_str())
        .document_namespace(format!(
            "https://spdx.org/spdxdocs/seaworthy-{}",
            contents.id
        ))
        .creation_info(creation_info)
        .packages(packages)
        .relationships(relationships(contents));
    let extracted = licenses.into_extracted();
    if !extracted.is_empty() {
        document.has_extracted_licensing_infos(extracted);
    }
    Ok(document.build()?)
}

fn relationships(contents: &Contents) -> Vec<SpdxItemRelationships> {
    let relationship = |from: String, kind: &str, to: &Component| SpdxItemRelationships {
        comment: None,
        spdx_element_id: from,
        relationship_type: kind.to_owned(),
        related_spdx_element: id(to),
    };
    let artifact = &contents.components[0];
    let mut relationships = vec![relationship(DOCUMENT.to_owned(), "DESCRIBES", artifact)];
    for component in &contents.components {
        let kind = match component.kind {
            Kind::Package => "DEPENDS_ON",
            _ => "CONTAINS",
        };
        let dependencies = component.depends_on.iter();
        relationships.extend(
            dependencies.map(|at| relationship(id(component), kind, &contents.components[*at])),
        );
    }
    relationships
}

fn annotator(contents: &Contents) -> String {
    format!("Tool: trivy-{}", contents.scanner)
}

// Letters, digits, `.` and `-` only: from the digest of the unique reference.
fn id(component: &Component) -> String {
    let kind = match component.kind {
        Kind::Image => "ContainerImage",
        Kind::Directory => "Filesystem",
        Kind::OperatingSystem => "OperatingSystem",
        Kind::LockFile => "Application",
        Kind::Package => "Package",
    };
    format!("SPDXRef-{kind}-{}", short_digest(&component.reference))
}

fn short_digest(text: &str) -> String {
    let digest = Digest::sha256(text.as_bytes());
    digest.hex().chars().take(16).collect()
}

fn package(
    contents: &Contents,
    component: &Component,
    licenses: &mut Licenses,
) -> anyhow::Result<SpdxItemPackages> {
    let purpose = match component.kind {
        Kind::Image => "CONTAINER",
        Kind::Directory => "SOURCE",
        Kind::OperatingSystem => "OPERATING-SYSTEM",
        Kind::LockFile => "APPLICATION",
        Kind::Package => "LIBRARY",
    };
    let mut package = SpdxItemPackagesBuilder::default();
    package
        .name(component.name.as_str())
        .spdxid(id(component))
        .download_location("NONE")
        .files_analyzed(false)
        .license_concluded(NO_ASSERTION)
        .license_declared(licenses.expression(&component.licenses))
        .primary_package_purpose(purpose);
    if !component.version.is_empty() {
        package.version_info(component.version.as_str());
    }
    match (component.kind, component.maintainer.as_str()) {
        (Kind::Package, "") => drop(package.supplier(NO_ASSERTION)),
        (_, "") => {}
        (_, maintainer) => drop(package.supplier(format!("Organization: {maintainer}"))),
    }
    if let Some(checksum) = component.digest.as_ref().and_then(checksum) {
        package.checksums(vec![checksum]);
    }
    if let Some(source) = &component.source {
        package.source_info(format!("built package from: {source}"));
    }
    if !component.purl.is_empty() {
        package.external_refs(vec![SpdxItemPackagesItemExternalRefs {
            comment: None,
            reference_category: "PACKAGE-MANAGER".to_owned(),
            reference_type: "purl".to_owned(),
            reference_locator: component.purl.clone(),
        }]);
    }
    let annotations =
        component
            .properties
            .iter()
            .map(|(name, value)| SpdxItemPackagesItemAnnotations {
                annotator: annotator(contents),
                annotation_date: contents.created.clone(),
                annotation_type: "OTHER".to_owned(),
                comment: format!("{name}: {value}"),
            });
    let annotations: Vec<_> = annotations.collect();
    if !annotations.is_empty() {
        package.annotations(annotations);
    }
    Ok(package.build()?)
}

fn checksum((algorithm, value): &(String, String)) -> Option<SpdxItemPackagesItemChecksums> {
    let is_known = ["md5", "sha1", "sha256", "sha512"].contains(&algorithm.as_str());
    is_known.then(|| SpdxItemPackagesItemChecksums {
        algorithm: algorithm.to_uppercase(),
        checksum_value: value.clone(),
    })
}

/// Texts that are not licenses of SPDX, by the reference that stands in an expression for each.
#[derive(Default)]
struct Licenses(BTreeMap<String, String>);

impl Licenses {
    /// An SPDX expression of all `texts`.
    fn expression(&mut self, texts: &[String]) -> String {
        let terms: Vec<_> = texts
            .iter()
            .map(|text| match spdx::Expression::parse(text) {
                Ok(_) if texts.len() > 1 && text.contains(' ') => format!("({text})"),
                Ok(_) => text.clone(),
                Err(_) => {
                    let reference = format!("LicenseRef-{}", short_digest(text));
                    self.0.insert(reference.clone(), text.clone());
                    reference
                }
            })
            .collect();
        if terms.is_empty() {
            return NO_ASSERTION.to_owned();
        }
        terms.join(" AND ")
    }

    fn into_extracted(self) -> Vec<SpdxItemHasExtractedLicensingInfos> {
        let licenses = self.0.into_iter();
        licenses
            .map(|(license_id, text)| SpdxItemHasExtractedLicensingInfos {
                comment: None,
                cross_refs: None,
                extracted_text: text.clone(),
                license_id,
                name: Some(text),
                see_alsos: None,
            })
            .collect()
    }
}
