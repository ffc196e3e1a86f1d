//! CycloneDX 1.6 (cyclonedx.org/docs/1.6/json).

use serde::Serialize;

use super::bill::{Bill, Component as Part, Kind};

/// A document.
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
    licenses: Vec<Licence>,
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
enum Licence {
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
    /// The document of `bill`.
    pub(super) fn of(bill: &Bill) -> Self {
        let tool = |name, version: &str| Tool {
            r#type: "application",
            name,
            version: version.to_owned(),
        };
        let dependencies = bill.parts.iter().map(|part| Dependency {
            r#ref: part.reference.clone(),
            depends_on: part
                .needs
                .iter()
                .map(|at| bill.parts[*at].reference.clone())
                .collect(),
        });
        let mut components = bill.parts.iter().map(component);
        let artifact = components.next();
        Self {
            schema: "http://cyclonedx.org/schema/bom-1.6.schema.json",
            bom_format: "CycloneDX",
            spec_version: "1.6",
            serial_number: bill.id.urn().to_string(),
            version: 1,
            metadata: Metadata {
                timestamp: bill.created.clone(),
                tools: Tools {
                    components: vec![
                        tool("trivy", &bill.scanner),
                        tool("seaworthy", env!("CARGO_PKG_VERSION")),
                    ],
                },
                component: artifact.unwrap_or_else(|| component(&bill.parts[0])),
            },
            components: components.collect(),
            dependencies: dependencies.collect(),
        }
    }
}

fn component(part: &Part) -> Component {
    let properties = part.properties.iter().map(|(name, value)| Property {
        name: format!("aquasecurity:trivy:{name}"),
        value: value.clone(),
    });
    Component {
        reference: part.reference.clone(),
        r#type: match part.kind {
            Kind::Image => "container",
            Kind::Folder | Kind::LockFile => "application",
            Kind::System => "operating-system",
            Kind::Package => "library",
        },
        supplier: (!part.maintainer.is_empty()).then(|| Supplier {
            name: part.maintainer.clone(),
        }),
        name: part.name.clone(),
        version: part.version.clone(),
        hashes: part.digest.iter().filter_map(hash).collect(),
        licenses: licences(&part.licences),
        purl: part.purl.clone(),
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
    let sound = content.len() == digits && content.bytes().all(|b| b.is_ascii_hexdigit());
    sound.then(|| Hash {
        alg,
        content: content.clone(),
    })
}

// One expression, or a list of licences that are no expressions: the format has no mixture.
fn licences(texts: &[String]) -> Vec<Licence> {
    if let [text] = texts
        && spdx::license_id(text).is_none()
        && spdx::Expression::parse(text).is_ok()
    {
        return vec![Licence::Expression(text.clone())];
    }
    let named = texts.iter().map(|text| match spdx::license_id(text) {
        Some(id) => Named::Id(id.name.to_owned()),
        None => Named::Name(text.clone()),
    });
    named.map(Licence::License).collect()
}
