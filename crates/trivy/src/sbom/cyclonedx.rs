//! CycloneDX 1.6 (cyclonedx.org/docs/1.6/json).

use serde::Serialize;

use super::contents::{self, Contents, Kind};

/// A document. Its serial number is derived from the report, so that the same report gives the same bytes.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Document {
    #[serde(rename = "$schema")]
    schema: &'static str,
    bom_format: &'static str,
    spec_version: &'static str,
    serial_number: String,
    version: u32,
    metadata: Metadata,
    components: Vec<Component>,
    dependencies: Vec<Dependency>,
}

#[derive(Serialize)]
struct Metadata {
    timestamp: String,
    tools: Tools,
    component: Component,
}

#[derive(Serialize)]
struct Tools {
    components: Vec<Tool>,
}

#[derive(Serialize)]
struct Tool {
    r#type: &'static str,
    name: &'static str,
    #[serde(skip_serializing_if = "String::is_empty")]
    version: String,
}

#[derive(Serialize)]
struct Component {
    #[serde(rename = "bom-ref")]
    reference: String,
    r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    supplier: Option<Supplier>,
    name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    version: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    hashes: Vec<Hash>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    licenses: Vec<License>,
    #[serde(skip_serializing_if = "String::is_empty")]
    purl: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    properties: Vec<Property>,
}

#[derive(Serialize)]
struct Supplier {
    name: String,
}

#[derive(Serialize)]
struct Hash {
    alg: &'static str,
    content: String,
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum License {
    License(Named),
    Expression(String),
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Named {
    Id(String),
    Name(String),
}

#[derive(Serialize)]
struct Property {
    name: String,
    value: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Dependency {
    r#ref: String,
    depends_on: Vec<String>,
}

impl Document {
    /// The document of `contents`.
    pub(super) fn new(contents: &Contents) -> Self {
        let tool = |name, version: &str| Tool {
            r#type: "application",
            name,
            version: version.to_owned(),
        };
        let dependencies = contents.components.iter().map(|component| Dependency {
            r#ref: component.reference.clone(),
            depends_on: component
                .depends_on
                .iter()
                .map(|at| contents.components[*at].reference.clone())
                .collect(),
        });
        let mut components = contents.components.iter().map(component);
        let artifact = components.next();
        Self {
            schema: "http://cyclonedx.org/schema/bom-1.6.schema.json",
            bom_format: "CycloneDX",
            spec_version: "1.6",
            serial_number: contents.id.urn().to_string(),
            version: 1,
            metadata: Metadata {
                timestamp: contents.created.clone(),
                tools: Tools {
                    components: vec![
                        tool("trivy", &contents.scanner),
                        tool("seaworthy", env!("CARGO_PKG_VERSION")),
                    ],
                },
                component: artifact.unwrap_or_else(|| component(&contents.components[0])),
            },
            components: components.collect(),
            dependencies: dependencies.collect(),
        }
    }
}

fn component(component: &contents::Component) -> Component {
    let properties = component.properties.iter().map(|(name, value)| Property {
        name: format!("aquasecurity:trivy:{name}"),
        value: value.clone(),
    });
    Component {
        reference: component.reference.clone(),
        r#type: match component.kind {
            Kind::Image => "container",
            Kind::Directory | Kind::LockFile => "application",
            Kind::OperatingSystem => "operating-system",
            Kind::Package => "library",
        },
        supplier: (!component.maintainer.is_empty()).then(|| Supplier {
            name: component.maintainer.clone(),
        }),
        name: component.name.clone(),
        version: component.version.clone(),
        hashes: component.digest.iter().filter_map(hash).collect(),
        licenses: licenses(&component.licenses),
        purl: component.purl.clone(),
        properties: properties.collect(),
    }
}

fn hash((algorithm, content): &(String, String)) -> Option<Hash> {
    let (alg, digits) = match algorithm.as_str() {
        "md5" => ("MD5", 32),
        "sha1" => ("SHA-1", 40),
        "sha256" => ("SHA-256", 64),
        "sha512" => ("SHA-512", 128),
        _ => return None,
    };
    let is_valid = content.len() == digits && content.bytes().all(|b| b.is_ascii_hexdigit());
    is_valid.then(|| Hash {
        alg,
        content: content.clone(),
    })
}

// One expression, or a list of licenses without expressions: the format does not mix them.
fn licenses(texts: &[String]) -> Vec<License> {
    if let [text] = texts
        && spdx::license_id(text).is_none()
        && spdx::Expression::parse(text).is_ok()
    {
        return vec![License::Expression(text.clone())];
    }
    let named = texts.iter().map(|text| match spdx::license_id(text) {
        Some(id) => Named::Id(id.name.to_owned()),
        None => Named::Name(text.clone()),
    });
    named.map(License::License).collect()
}
