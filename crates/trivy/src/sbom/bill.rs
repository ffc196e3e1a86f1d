//! What is in the artifact, and what needs what: the content of both formats.

use std::collections::{HashMap, HashSet};

use anyhow::Context as _;
use jiff::Timestamp;
use oci::Digest;

use super::inventory::{Inventory, Metadata, Package, Part};

/// Everything that a document says.
pub(super) struct Bill {
    /// What was scanned is the first; the others are in the order of the report.
    pub(super) parts: Vec<Component>,
    /// When the report was written, to the second.
    pub(super) created: String,
    /// Trivy's version.
    pub(super) scanner: String,
    /// An id that only the same report has.
    pub(super) id: uuid::Uuid,
}

/// What a component is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// An image.
    Image,
    /// A folder or a file.
    Folder,
    /// A distribution.
    System,
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
    pub(super) licences: Vec<String>,
    /// Algorithm and hexadecimal digits.
    pub(super) digest: Option<(String, String)>,
    /// What only Trivy has a word for; it reads its own words back.
    pub(super) properties: Vec<(String, String)>,
    /// Indices of what it contains or needs.
    pub(super) needs: Vec<usize>,
}

impl Bill {
    /// Read `raw`, a report.
    ///
    /// # Errors
    /// When it is none.
    pub(super) fn of(raw: &[u8]) -> anyhow::Result<Self> {
        let inventory: Inventory =
            serde_json::from_slice(raw).context("while reading the packages of Trivy's report")?;
        let mut bill = Self {
            parts: vec![root(&inventory)],
            created: created(&inventory),
            scanner: inventory.trivy.version.clone(),
            id: id(raw),
        };
        let mut seen = HashSet::from([bill.parts[0].reference.clone()]);
        for (index, part) in inventory.results.iter().enumerate() {
            if !part.packages.is_empty() {
                bill.add(
                    part,
                    index,
                    inventory.metadata.os.as_ref().map(|os| os.name.as_str()),
                    &mut seen,
                );
            }
        }
        Ok(bill)
    }

    fn add(&mut self, part: &Part, index: usize, system: Option<&str>, seen: &mut HashSet<String>) {
        let holder = match holder(part, index, system) {
            Some(holder) => {
                self.parts.push(holder);
                let at = self.parts.len() - 1;
                self.parts[0].needs.push(at);
                at
            }
            None => 0,
        };
        let first = self.parts.len();
        let mut by_id = HashMap::new();
        for (number, package) in part.packages.iter().enumerate() {
            by_id.entry(package.id.as_str()).or_insert(first + number);
            let purl = &package.identifier.purl;
            // One package in two places has one package URL.
            let reference = if purl.is_empty() || !seen.insert(purl.clone()) {
                format!("{index}-{number}-{}", package.identifier.uid)
            } else {
                purl.clone()
            };
            self.parts.push(component(package, part, reference));
        }
        for (number, package) in part.packages.iter().enumerate() {
            let known = package.depends_on.iter().filter(|id| !id.is_empty());
            let mut needs: Vec<_> = known
                .filter_map(|id| by_id.get(id.as_str()).copied())
                .collect();
            needs.sort_unstable();
            needs.dedup();
            self.parts[first + number].needs = needs;
        }
        let tops = self.tops(first);
        self.parts[holder].needs.extend(tops);
    }

    // Of the components from `first` on, those by which all of them are reached: what nothing needs, and one of
    // each circle.
    fn tops(&self, first: usize) -> Vec<usize> {
        let all = first..self.parts.len();
        let needed: HashSet<_> = all
            .clone()
            .flat_map(|at| self.parts[at].needs.clone())
            .collect();
        let mut tops: Vec<_> = all.clone().filter(|at| !needed.contains(at)).collect();
        let mut reached = HashSet::new();
        self.reach(&tops, &mut reached);
        for at in all {
            if !reached.contains(&at) {
                tops.push(at);
                self.reach(&[at], &mut reached);
            }
        }
        tops
    }

    fn reach(&self, from: &[usize], reached: &mut HashSet<usize>) {
        let mut next = from.to_vec();
        while let Some(at) = next.pop() {
            if reached.insert(at) {
                next.extend(&self.parts[at].needs);
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

fn root(inventory: &Inventory) -> Component {
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
        (Kind::Folder, None)
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

// What the packages of a result are in, if it is not the artifact itself.
fn holder(part: &Part, index: usize, system: Option<&str>) -> Option<Component> {
    let kind = match part.class.as_str() {
        "os-pkgs" => Kind::System,
        // Packages that are installed one by one have a file each, and the result has none.
        _ if part
            .packages
            .iter()
            .any(|package| !package.file_path.is_empty()) =>
        {
            return None;
        }
        _ => Kind::LockFile,
    };
    let is_system = kind == Kind::System;
    Some(Component {
        reference: format!("{index}-{}", part.r#type),
        name: if is_system {
            part.r#type.clone()
        } else {
            part.target.clone()
        },
        version: if is_system {
            system.unwrap_or_default().to_owned()
        } else {
            String::new()
        },
        properties: vec![
            ("Class".to_owned(), part.class.clone()),
            ("Type".to_owned(), part.r#type.clone()),
        ],
        ..Component::new(kind)
    })
}

fn component(package: &Package, part: &Part, reference: String) -> Component {
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
    add("PkgType", &part.r#type);
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
        licences: package
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
            licences: Vec::new(),
            digest: None,
            properties: Vec::new(),
            needs: Vec::new(),
        }
    }
}
