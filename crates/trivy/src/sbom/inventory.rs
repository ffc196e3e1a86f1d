//! The fields of a report that an SBOM is made of (`pkg/fanal/types/artifact.go` of Trivy).

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};

fn list<'de, D: Deserializer<'de>, T: Deserialize<'de>>(d: D) -> Result<Vec<T>, D::Error> {
    Ok(Option::deserialize(d)?.unwrap_or_default())
}

/// A report without its findings.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Inventory {
    #[serde(default)]
    pub(super) trivy: Generator,
    #[serde(default)]
    pub(super) created_at: String,
    #[serde(default)]
    pub(super) artifact_name: String,
    #[serde(default)]
    pub(super) artifact_type: String,
    #[serde(default)]
    pub(super) metadata: Metadata,
    #[serde(default, deserialize_with = "list")]
    pub(super) results: Vec<ScanResult>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Generator {
    pub(super) version: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Metadata {
    pub(super) size: u64,
    #[serde(rename = "OS")]
    pub(super) os: Option<Os>,
    #[serde(rename = "ImageID")]
    pub(super) image_id: String,
    #[serde(rename = "DiffIDs", deserialize_with = "list")]
    pub(super) diff_ids: Vec<String>,
    #[serde(deserialize_with = "list")]
    pub(super) repo_tags: Vec<String>,
    #[serde(deserialize_with = "list")]
    pub(super) repo_digests: Vec<String>,
    pub(super) image_config: ImageConfig,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Os {
    pub(super) family: String,
    pub(super) name: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct ImageConfig {
    pub(super) architecture: String,
    pub(super) config: Config,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Config {
    #[serde(rename = "Labels")]
    pub(super) labels: Option<BTreeMap<String, String>>,
}

/// The packages of the operating system, or of one file.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ScanResult {
    #[serde(default)]
    pub(super) target: String,
    #[serde(default)]
    pub(super) class: String,
    #[serde(default)]
    pub(super) r#type: String,
    #[serde(default, deserialize_with = "list")]
    pub(super) packages: Vec<Package>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Package {
    #[serde(rename = "ID")]
    pub(super) id: String,
    pub(super) name: String,
    pub(super) identifier: Identifier,
    pub(super) version: String,
    pub(super) release: String,
    pub(super) epoch: u32,
    pub(super) src_name: String,
    pub(super) src_version: String,
    pub(super) src_release: String,
    pub(super) src_epoch: u32,
    pub(super) modularitylabel: String,
    #[serde(deserialize_with = "list")]
    pub(super) licenses: Vec<String>,
    pub(super) maintainer: String,
    #[serde(deserialize_with = "list")]
    pub(super) depends_on: Vec<String>,
    pub(super) layer: Layer,
    pub(super) file_path: String,
    pub(super) digest: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Identifier {
    #[serde(rename = "PURL")]
    pub(super) purl: String,
    #[serde(rename = "UID")]
    pub(super) uid: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Layer {
    pub(super) digest: String,
    #[serde(rename = "DiffID")]
    pub(super) diff_id: String,
}

impl Package {
    /// `epoch:version-release`, as the package manager writes it.
    pub(super) fn full_version(&self) -> String {
        full_version(self.epoch, &self.version, &self.release)
    }

    /// Name and version of the source package, if the distribution has one.
    pub(super) fn source(&self) -> Option<String> {
        let version = full_version(self.src_epoch, &self.src_version, &self.src_release);
        (!self.src_name.is_empty()).then(|| format!("{} {version}", self.src_name))
    }
}

// Without the parts that are absent.
fn full_version(epoch: u32, version: &str, release: &str) -> String {
    let mut text = match (version, epoch) {
        ("", _) => return String::new(),
        (version, 0) => version.to_owned(),
        (version, epoch) => format!("{epoch}:{version}"),
    };
    if !release.is_empty() {
        text.push('-');
        text.push_str(release);
    }
    text
}
