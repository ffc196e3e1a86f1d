//! SPDX 2.3 (spdx.github.io/spdx-spec/v2.3).

use std::collections::BTreeMap;

use oci::Digest;
use serde::Serialize;

use super::bill::{Bill, Component, Kind};

const NO_ASSERTION: &str = "NOASSERTION";

/// A document.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Document {
    spdx_version: &'static str,
    data_license: &'static str,
    #[serde(rename = "SPDXID")]
    id: &'static str,
    name: String,
    document_namespace: String,
    creation_info: Creation,
    packages: Vec<Package>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    has_extracted_licensing_infos: Vec<Licence>,
    relationships: Vec<Relationship>,
}

#[derive(Serialize)]
struct Creation {
    creators: Vec<String>,
    created: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Package {
    name: String,
    #[serde(rename = "SPDXID")]
    id: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    version_info: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    supplier: String,
    download_location: &'static str,
    files_analyzed: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    checksums: Vec<Checksum>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source_info: Option<String>,
    license_concluded: &'static str,
    license_declared: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    external_refs: Vec<ExternalRef>,
    primary_package_purpose: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    annotations: Vec<Annotation>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Checksum {
    algorithm: String,
    checksum_value: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ExternalRef {
    reference_category: &'static str,
    reference_type: &'static str,
    reference_locator: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Annotation {
    annotator: String,
    annotation_date: String,
    annotation_type: &'static str,
    comment: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Licence {
    license_id: String,
    name: String,
    extracted_text: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Relationship {
    spdx_element_id: String,
    related_spdx_element: String,
    relationship_type: &'static str,
}

impl Document {
    /// The document of `bill`.
    pub(super) fn of(bill: &Bill) -> Self {
        let mut licences = BTreeMap::new();
        let packages = bill
            .parts
            .iter()
            .map(|part| package(bill, part, &mut licences))
            .collect();
        let mut relationships = vec![Relationship {
            spdx_element_id: "SPDXRef-DOCUMENT".into(),
            related_spdx_element: id(&bill.parts[0]),
            relationship_type: "DESCRIBES",
        }];
        for part in &bill.parts {
            relationships.extend(part.needs.iter().map(|at| Relationship {
                spdx_element_id: id(part),
                related_spdx_element: id(&bill.parts[*at]),
                relationship_type: if part.kind == Kind::Package {
                    "DEPENDS_ON"
                } else {
                    "CONTAINS"
                },
            }));
        }
        let extracted = licences.into_iter().map(|(license_id, text)| Licence {
            license_id,
            name: text.clone(),
            extracted_text: text,
        });
        Self {
            spdx_version: "SPDX-2.3",
            data_license: "CC0-1.0",
            id: "SPDXRef-DOCUMENT",
            name: bill.parts[0].name.clone(),
            document_namespace: format!("https://spdx.org/spdxdocs/seaworthy-{}", bill.id),
            creation_info: Creation {
                creators: vec![
                    format!("Tool: seaworthy-{}", env!("CARGO_PKG_VERSION")),
                    annotator(bill),
                ],
                created: bill.created.clone(),
            },
            packages,
            has_extracted_licensing_infos: extracted.collect(),
            relationships,
        }
    }
}

fn annotator(bill: &Bill) -> String {
    format!("Tool: trivy-{}", bill.scanner)
}

// Letters, digits, `.` and `-` only: from the digest of what is unique already.
fn id(part: &Component) -> String {
    let kind = match part.kind {
        Kind::Image => "ContainerImage",
        Kind::Folder => "Filesystem",
        Kind::System => "OperatingSystem",
        Kind::LockFile => "Application",
        Kind::Package => "Package",
    };
    format!("SPDXRef-{kind}-{}", short(&part.reference))
}

fn short(text: &str) -> String {
    let digest = Digest::sha256(text.as_bytes());
    let digits = digest.as_str().trim_start_matches("sha256:");
    digits.chars().take(16).collect()
}

fn package(bill: &Bill, part: &Component, licences: &mut BTreeMap<String, String>) -> Package {
    let annotations = part.properties.iter().map(|(name, value)| Annotation {
        annotator: annotator(bill),
        annotation_date: bill.created.clone(),
        annotation_type: "OTHER",
        comment: format!("{name}: {value}"),
    });
    let purl = (!part.purl.is_empty()).then(|| ExternalRef {
        reference_category: "PACKAGE-MANAGER",
        reference_type: "purl",
        reference_locator: part.purl.clone(),
    });
    Package {
        name: part.name.clone(),
        id: id(part),
        version_info: part.version.clone(),
        supplier: match (part.kind, part.maintainer.as_str()) {
            (Kind::Package, "") => NO_ASSERTION.to_owned(),
            (_, "") => String::new(),
            (_, maintainer) => format!("Organization: {maintainer}"),
        },
        download_location: "NONE",
        files_analyzed: false,
        checksums: part.digest.iter().filter_map(checksum).collect(),
        source_info: part
            .source
            .as_ref()
            .map(|source| format!("built package from: {source}")),
        license_concluded: NO_ASSERTION,
        license_declared: declared(&part.licences, licences),
        external_refs: purl.into_iter().collect(),
        primary_package_purpose: match part.kind {
            Kind::Image => "CONTAINER",
            Kind::Folder => "SOURCE",
            Kind::System => "OPERATING-SYSTEM",
            Kind::LockFile => "APPLICATION",
            Kind::Package => "LIBRARY",
        },
        annotations: annotations.collect(),
    }
}

fn checksum((algorithm, value): &(String, String)) -> Option<Checksum> {
    let known = ["md5", "sha1", "sha256", "sha512"].contains(&algorithm.as_str());
    known.then(|| Checksum {
        algorithm: algorithm.to_uppercase(),
        checksum_value: value.clone(),
    })
}

// An expression of all of them. What is none of SPDX's becomes a reference, whose text goes into `known`.
fn declared(texts: &[String], known: &mut BTreeMap<String, String>) -> String {
    let terms: Vec<_> = texts
        .iter()
        .map(|text| match spdx::Expression::parse(text) {
            Ok(_) if texts.len() > 1 && text.contains(' ') => format!("({text})"),
            Ok(_) => text.clone(),
            Err(_) => {
                let reference = format!("LicenseRef-{}", short(text));
                known.insert(reference.clone(), text.clone());
                reference
            }
        })
        .collect();
    if terms.is_empty() {
        return NO_ASSERTION.to_owned();
    }
    terms.join(" AND ")
}
