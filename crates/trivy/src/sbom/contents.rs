//! The components of the artifact and their dependencies: the contents of both formats.

use std::collections::{HashMap, HashSet};

use anyhow::Context as _;
use jiff::Timestamp;
use oci::Digest;

use super::inventory::{Inventory, Metadata, Package, ScanResult};

/// The contents of a document.
pub(super) struct Contents {
    /// The artifact first; the others in the order of the report.
    pub(super) components: Vec<Component>,
    /// When the report was written, RFC 3339 in seconds.
    pub(super) created: String,
    /// Trivy's version.
    pub(super) scanner: String,
    /// Derived from the report.
    pub(super) id: uuid::Uuid,
}

/// The kind of a component.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// An image.
    Image,
    /// A directory or a file.
    Directory,
    /// A distribution.
    OperatingSystem,
    /// A file that lists packages.
    LockFile,
    /// A package.
    Package,
}

/// One component.
pub(super) struct Component {
    pub(super) kind: Kind,
    /// Unique in the document.
    pub(super) reference: String,
    pub(super) name: String,
    pub(super) version: String,
    /// Package URL.
    pub(super) purl: String,
    pub(super) maintainer: String,
    /// Name and version of the source package.
    pub(super) source: Option<String>,
    pub(super) licenses: Vec<String>,
    /// Algorithm and hexadecimal digits.
    pub(super) digest: Option<(String, String)>,
    /// Trivy's own fields; Trivy reads them again when it scans the SBOM.
    pub(super) properties: Vec<(String, String)>,
    /// Indices of what it contains or depends on.
    pub(super) depends_on: Vec<usize>,
}

impl Contents {
    /// Parse the report `raw`.
    ///
    /// # Errors
    /// When it is not a report.
    pub(super) fn parse(raw: &[u8]) -> anyhow::Result<Self> {
        let inventory: Inventory =
            serde_json::from_slice(raw).context("failed to read the packages of Trivy's report")?;
        let mut contents = Self {
            components: vec![artifact(&inventory)],
            created: created(&inventory),
            scanner: inventory.trivy.version.clone(),
            id: id(raw),
        };
        let mut references = HashSet::from([contents.components[0].reference.clone()]);
        for (index, result) in inventory.results.iter().enumerate() {
            if !result.packages.is_empty() {
                contents.add(
                    result,
                    index,
                    inventory.metadata.os.as_ref().map(|os| os.name.as_str()),
                    &mut references,
                );
            }
        }
        Ok(contents)
    }

    fn add(
        &mut self,
        result: &ScanResult,
        index: usize,
        system: Option<&str>,
        references: &mut HashSet<String>,
    ) {
        let container = match container(result, index, system) {
            Some(component) => {
                self.components.push(component);
                let at = self.components.len() - 1;
                self.components[0].depends_on.push(at);
                at
            }
            None => 0,
        };
        let first = self.components.len();
        let mut by_id = HashMap::new();
        for (number, package) in result.packages.iter().enumerate() {
            by_id.entry(package.id.as_str()).or_insert(first + number);
            let purl = &package.identifier.purl;
            // One package in two places has one package URL.
            let reference = if purl.is_empty() || !references.insert(purl.clone()) {
                format!("{index}-{number}-{}", package.identifier.uid)
            } else {
                purl.clone()
            };
            self.components.push(component(package, result, reference));
        }
        for (number, package) in result.packages.iter().enumerate() {
            let known = package.depends_on.iter().filter(|id| !id.is_empty());
            let mut depends_on: Vec<_> = known
                .filter_map(|id| by_id.get(id.as_str()).copied())
                .collect();
            depends_on.sort_unstable();
            depends_on.dedup();
            self.components[first + number].depends_on = depends_on;
        }
        let roots = self.roots(first);
        self.components[container].depends_on.extend(roots);
    }

    // Of the components from `first` on, those from which all of them are reachable: those that no other depends on, and
    // one of each cycle.
    fn roots(&self, first: usize) -> Vec<usize> {
        let all = first..self.components.len();
        let dependencies: HashSet<_> = all
            .clone()
            .flat_map(|at| self.components[at].depends_on.clone())
            .collect();
        let mut roots: Vec<_> = all
            .clone()
            .filter(|at| !dependencies.contains(at))
            .collect();
        let mut reached = HashSet::new();
        self.reach(&roots, &mut reached);
        for at in all {
            if !reached.contains(&at) {
                roots.push(at);
                self.reach(&[at], &mut reached);
            }
        }
        roots
    }

    fn reach(&self, from: &[usize], reached: &mut HashSet<usize>) {
        let mut next = from.to_vec();
        while let Some(at) = next.pop() {
            if reached.insert(at) {
                next.extend(&self.components[at].depends_on);
            }
        }
    }
}

fn created(inventory: &Inventory) -> String {
    // A Trivy that does not say it wrote the report just now.
    let at: Timestamp = inventory
        .created_at
        .parse()
        .unwrap_or_else(|_| Timestamp::now());
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

// RFC 9562, version 8: from the digest of the report.
fn id(raw: &[u8]) -> uuid::Uuid {
    let digest = Digest::sha256(raw);
    let digits = digest.as_str().trim_start_matches("sha256:");
    let number = digits
        .get(..32)
        .and_then(|digits| u128::from_str_radix(digits, 16).ok());
    uuid::Builder::from_custom_bytes(number.unwrap_or_default().to_be_bytes()).into_uuid()
}

fn artifact(inventory: &Inventory) -> Component {
    let metadata = &inventory.metadata;
    let mut properties = Vec::new();
    let mut add = |name: &str, value: &str| {
        if !value.is_empty() {
            properties.push((name.to_owned(), value.to_owned()));
        }
    };
    for diff_id in &metadata.diff_ids {
        add("DiffID", diff_id);
    }
    add("ImageID", &metadata.image_id);
    for (name, value) in metadata.image_config.config.labels.iter().flatten() {
        add(&format!("Labels:{name}"), value);
    }
    for digest in &metadata.repo_digests {
        add("RepoDigest", digest);
    }
    for tag in &metadata.repo_tags {
        add("RepoTag", tag);
    }
    add("SchemaVersion", "2");
    if metadata.size > 0 {
        add("Size", &metadata.size.to_string());
    }
    let (kind, purl) = if inventory.artifact_type == "container_image" {
        (Kind::Image, image_purl(metadata))
    } else {
        (Kind::Directory, None)
    };
    Component {
        reference: purl.clone().unwrap_or_else(|| "artifact".to_owned()),
        name: match inventory.artifact_name.as_str() {
            "" => "artifact".to_owned(),
            name => name.to_owned(),
        },
        purl: purl.unwrap_or_default(),
        properties,
        ..Component::new(kind)
    }
}

// github.com/package-url/purl-spec/blob/main/types-doc/oci-definition.md
fn image_purl(metadata: &Metadata) -> Option<String> {
    let (repository, digest) = metadata.repo_digests.first()?.split_once('@')?;
    let name = repository.rsplit('/').next()?.to_lowercase();
    let escaped = repository.replace('/', "%2F").replace(':', "%3A");
    let architecture = match metadata.image_config.architecture.as_str() {
        "" => String::new(),
        known => format!("arch={known}&"),
    };
    let digest = digest.replace(':', "%3A");
    Some(format!(
        "pkg:oci/{name}@{digest}?{architecture}repository_url={escaped}"
    ))
}

// The component that contains the packages of a result; `None` for the artifact itself.
fn container(result: &ScanResult, index: usize, system: Option<&str>) -> Option<Component> {
    let kind = match result.class.as_str() {
        "os-pkgs" => Kind::OperatingSystem,
        // Installed packages have a file each, and the result has none.
        _ if result
            .packages
            .iter()
            .any(|package| !package.file_path.is_empty()) =>
        {
            return None;
        }
        _ => Kind::LockFile,
    };
    let is_system = kind == Kind::OperatingSystem;
    Some(Component {
        reference: format!("{index}-{}", result.r#type),
        name: if is_system {
            result.r#type.clone()
        } else {
            result.target.clone()
        },
        version: if is_system {
            system.unwrap_or_default().to_owned()
        } else {
            String::new()
        },
        properties: vec![
            ("Class".to_owned(), result.class.clone()),
            ("Type".to_owned(), result.r#type.clone()),
        ],
        ..Component::new(kind)
    })
}

fn component(package: &Package, result: &ScanResult, reference: String) -> Component {
    let mut properties = Vec::new();
    let mut add = |name: &str, value: &str| {
        if !value.is_empty() && value != "0" {
            properties.push((name.to_owned(), value.to_owned()));
        }
    };
    add("FilePath", &package.file_path);
    add("LayerDiffID", &package.layer.diff_id);
    add("LayerDigest", &package.layer.digest);
    add("Modularitylabel", &package.modularitylabel);
    add("PkgID", &package.id);
    add("PkgType", &result.r#type);
    add("SrcEpoch", &package.src_epoch.to_string());
    add("SrcName", &package.src_name);
    add("SrcRelease", &package.src_release);
    add("SrcVersion", &package.src_version);
    let digest = package.digest.split_once(':');
    Component {
        reference,
        name: package.name.clone(),
        version: package.full_version(),
        purl: package.identifier.purl.clone(),
        maintainer: package.maintainer.clone(),
        source: package.source(),
        licenses: package
            .licenses
            .iter()
            .filter(|text| !text.trim().is_empty())
            .cloned()
            .collect(),
        digest: digest.map(|(algorithm, digits)| (algorithm.to_owned(), digits.to_owned())),
        properties,
        ..Component::new(Kind::Package)
    }
}

impl Component {
    fn new(kind: Kind) -> Self {
        Self {
            kind,
            reference: String::new(),
            name: String::new(),
            version: String::new(),
            purl: String::new(),
            maintainer: String::new(),
            source: None,
            licenses: Vec::new(),
            digest: None,
            properties: Vec::new(),
            depends_on: Vec::new(),
        }
    }
}
