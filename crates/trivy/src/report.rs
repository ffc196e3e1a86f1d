//! The JSON report of Trivy, schema version 2 (`pkg/types/report.go` of Trivy).
//!
//! Only fields that are used are parsed. Every field may be absent: Trivy omits empty ones, and versions add new ones.

use std::collections::HashSet;
use std::fmt;

use serde::de::{Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::{Severity, Unread};

/// A list that may be absent or `null`.
fn list<'de, D: Deserializer<'de>, T: Deserialize<'de>>(d: D) -> Result<Vec<T>, D::Error> {
    Ok(Option::deserialize(d)?.unwrap_or_default())
}

// An advisory may be in thousands of packages, and each finding has its texts: those of the first one are kept.
fn vulnerabilities<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<Vulnerability>, D::Error> {
    d.deserialize_option(Vulnerabilities)
}

struct Vulnerabilities;

impl<'de> Visitor<'de> for Vulnerabilities {
    type Value = Vec<Vulnerability>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of vulnerabilities")
    }

    fn visit_none<E: Error>(self) -> Result<Self::Value, E> {
        Ok(Vec::new())
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(Vec::new())
    }

    fn visit_some<D: Deserializer<'de>>(self, d: D) -> Result<Self::Value, D::Error> {
        d.deserialize_seq(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut known = HashSet::new();
        let mut all = Vec::new();
        while let Some(mut one) = list.next_element::<Vulnerability>()? {
            if known.contains(&one.id) {
                one.description = String::new();
                one.cwes = Vec::new();
                one.cvss = Vec::new();
            } else {
                known.insert(one.id.clone());
            }
            all.push(one);
        }
        Ok(all)
    }
}

// Scores by source. A map would have room for eleven in each finding.
fn scores<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<(String, Cvss)>, D::Error> {
    d.deserialize_map(Scores)
}

struct Scores;

impl<'de> Visitor<'de> for Scores {
    type Value = Vec<(String, Cvss)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("scores by source")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut scores = Vec::new();
        while let Some(score) = map.next_entry()? {
            scores.push(score);
        }
        Ok(scores)
    }
}

macro_rules! model {
    ($(#[$doc:meta])* $name:ident { $($(#[$field:meta])* $member:ident: $type:ty,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Default, PartialEq, Deserialize)]
        #[serde(rename_all = "PascalCase", default)]
        pub struct $name { $($(#[$field])* pub $member: $type,)* }
    };
}

model! {
    /// A whole report.
    Report {
        /// Version of the format; 2.
        schema_version: u32,
        /// The Trivy that wrote it.
        trivy: Generator,
        /// When it was written, RFC 3339.
        created_at: String,
        /// The image or path on the command line.
        artifact_name: String,
        /// `container_image`, `filesystem`, `repository`.
        artifact_type: String,
        /// The artifact as a whole.
        metadata: Metadata,
        /// Findings and packages by file or operating system.
        #[serde(deserialize_with = "list")]
        results: Vec<ScanResult>,
        /// What Trivy's log has and its report has not: files of configuration that it could not read.
        #[serde(skip)]
        unread: Vec<Unread>,
    }
}

model! {
    /// The Trivy that wrote a report.
    Generator {
        /// Its version, `0.72.0`.
        version: String,
    }
}

model! {
    /// The artifact as a whole.
    Metadata {
        /// The distribution of an image.
        #[serde(rename = "OS")]
        os: Option<Os>,
        /// The id of an image.
        #[serde(rename = "ImageID")]
        image_id: String,
        /// The names of an image.
        #[serde(deserialize_with = "list")]
        repo_tags: Vec<String>,
        /// The names of an image by digest, `ghcr.io/app@sha256:…`; none of an image that no registry has.
        #[serde(deserialize_with = "list")]
        repo_digests: Vec<String>,
        /// The image's digests in the layers' order, base first.
        #[serde(rename = "DiffIDs", deserialize_with = "list")]
        diff_ids: Vec<String>,
        /// The image's configuration, as the OCI image specification writes it.
        image_config: Value,
    }
}

model! {
    /// A distribution.
    Os {
        /// `debian`, `alpine`, `ubuntu`.
        family: String,
        /// Its version, `13.1`.
        name: String,
        /// Whether it has reached end of life.
        #[serde(rename = "EOSL")]
        end_of_life: bool,
    }
}

model! {
    /// The results for one file, or for the package database of an operating system.
    ScanResult {
        /// The file, relative to what was scanned; for an image's own packages, a description.
        target: String,
        /// `os-pkgs`, `lang-pkgs`, `config`, `secret`, `license`, `license-file`, `custom`.
        class: String,
        /// `debian`, `python-pkg`, `pip`, `dockerfile`, `kubernetes`.
        r#type: String,
        /// Every package, vulnerable or not.
        #[serde(deserialize_with = "list")]
        packages: Vec<Package>,
        /// Vulnerable packages. Of several with one advisory, the first one has its description, weaknesses and scores.
        #[serde(deserialize_with = "vulnerabilities")]
        vulnerabilities: Vec<Vulnerability>,
        /// How many checks of the configuration passed and failed.
        misconf_summary: Option<MisconfSummary>,
        /// Checks of the configuration, passed ones as well.
        #[serde(deserialize_with = "list")]
        misconfigurations: Vec<Misconfiguration>,
        /// Secrets, their values censored.
        #[serde(deserialize_with = "list")]
        secrets: Vec<SecretFinding>,
        /// Licenses of packages and files.
        #[serde(deserialize_with = "list")]
        licenses: Vec<License>,
        /// Findings that an ignore file or a VEX document suppressed, with the reason.
        #[serde(rename = "ExperimentalModifiedFindings", deserialize_with = "list")]
        modified: Vec<Modified>,
    }
}

model! {
    /// A package that is installed or required.
    Package {
        /// Name and version, unique in the result.
        #[serde(rename = "ID")]
        id: String,
        /// Name.
        name: String,
        /// Version, without the release of a distribution.
        version: String,
        /// Its package URL.
        identifier: Identifier,
        /// Where a lock file names it.
        #[serde(deserialize_with = "list")]
        locations: Vec<Lines>,
        /// Its file in the image.
        file_path: String,
        /// `root`, `direct` or `indirect`; empty where unknown.
        relationship: String,
        /// The layer that installed it.
        layer: Layer,
    }
}

model! {
    /// The identity of a package.
    Identifier {
        /// Package URL, `pkg:deb/debian/openssl@3.5.5-1~deb13u1?arch=amd64`.
        #[serde(rename = "PURL")]
        purl: String,
    }
}

model! {
    /// Lines of a file, both counted from 1; 0 where unknown.
    Lines {
        /// First line.
        start_line: u32,
        /// Last line.
        end_line: u32,
    }
}

model! {
    /// A layer of an image.
    Layer {
        /// Digest of the uncompressed layer.
        #[serde(rename = "DiffID")]
        diff_id: String,
    }
}

model! {
    /// A vulnerable package.
    Vulnerability {
        /// `CVE-…`, `GHSA-…`, `DLA-…`.
        #[serde(rename = "VulnerabilityID")]
        id: String,
        /// The package's [`Package::id`].
        #[serde(rename = "PkgID")]
        package_id: String,
        /// The package's name.
        #[serde(rename = "PkgName")]
        package: String,
        /// The package's file in the image.
        #[serde(rename = "PkgPath")]
        package_path: String,
        /// The package's identity.
        #[serde(rename = "PkgIdentifier")]
        identifier: Identifier,
        /// The installed version.
        installed_version: String,
        /// Versions that fix it, `1.2.3, 2.0.1`; empty if there is none yet.
        fixed_version: String,
        /// `affected`, `fixed`, `will_not_fix`, `end_of_life` and so on.
        status: String,
        /// The layer that installed the package.
        layer: Layer,
        /// The source of the severity: a key of [`Vulnerability::cvss`].
        severity_source: String,
        /// Its page.
        #[serde(rename = "PrimaryURL")]
        primary_url: String,
        /// One line.
        title: String,
        /// Several lines.
        description: String,
        /// As rated by the source.
        severity: Severity,
        /// Weaknesses, `CWE-787`.
        #[serde(rename = "CweIDs", deserialize_with = "list")]
        cwes: Vec<String>,
        /// Scores, each with its source.
        #[serde(rename = "CVSS", deserialize_with = "scores")]
        cvss: Vec<(String, Cvss)>,
    }
}

model! {
    /// Scores of the Common Vulnerability Scoring System, 0.0 to 10.0.
    Cvss {
        /// Version 3.
        #[serde(rename = "V3Score")]
        v3: Option<f64>,
        /// Version 4.
        #[serde(rename = "V40Score")]
        v4: Option<f64>,
    }
}

model! {
    /// The number of checks of one file by result.
    MisconfSummary {
        /// Passed.
        successes: u32,
        /// Failed.
        failures: u32,
    }
}

model! {
    /// One check of a configuration.
    Misconfiguration {
        /// `DS-0002`, `KSV-0001`.
        #[serde(rename = "ID")]
        id: String,
        /// One line on the check.
        title: String,
        /// Several lines on the check.
        description: String,
        /// What is wrong here.
        message: String,
        /// How to fix it.
        resolution: String,
        /// As rated by the source.
        severity: Severity,
        /// Its page.
        #[serde(rename = "PrimaryURL")]
        primary_url: String,
        /// `PASS`, `FAIL` or `EXCEPTION`.
        status: String,
        /// Where.
        cause_metadata: Cause,
    }
}

model! {
    /// Where a check failed.
    Cause {
        /// The resource, `Deployment/web`.
        resource: String,
        /// First line; 0 for the whole file.
        start_line: u32,
        /// Last line; 0 for the whole file.
        end_line: u32,
    }
}

model! {
    /// A secret in a file. Its text is not parsed, so that it does not get any further.
    SecretFinding {
        /// `aws-access-key-id`.
        #[serde(rename = "RuleID")]
        rule: String,
        /// `AWS`, `GitHub`.
        category: String,
        /// As rated by the source.
        severity: Severity,
        /// One line on the kind of secret.
        title: String,
        /// First line.
        start_line: u32,
        /// Last line.
        end_line: u32,
    }
}

model! {
    /// The license of a package or file.
    License {
        /// By its category.
        severity: Severity,
        /// `forbidden`, `restricted`, `reciprocal`, `notice`, `permissive`, `unencumbered` or `unknown`.
        category: String,
        /// The package; empty for a file.
        #[serde(rename = "PkgName")]
        package: String,
        /// The file that names the license, or the lock file; may be empty.
        file_path: String,
        /// `GPL-3.0-only`.
        name: String,
        /// Its text; may be empty.
        link: String,
    }
}

model! {
    /// A suppressed finding.
    Modified {
        /// `vulnerability`, `misconfiguration`, `secret`, `license`.
        r#type: String,
        /// `ignored`, `not_affected`, `fixed`.
        status: String,
        /// The reason in the ignore file or VEX document.
        statement: String,
        /// The ignore file or VEX document.
        source: String,
        /// The finding: a [`Vulnerability`], a [`Misconfiguration`], a [`SecretFinding`] or a [`License`].
        finding: Value,
    }
}

#[cfg(test)]
mod tests;
