//! One VEX document: whether their statements match anything, which Trivy does not say.
//!
//! Forms: openvex.dev/ns, CSAF 2.0 (docs.oasis-open.org/csaf), CycloneDX 1.4 and later (`vulnerabilities`).

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use actions_toolkit::{BadInput, WorkspacePath};
use findings::Finding;
use serde_json::Value;

/// Bytes of the largest document whose statements are read; Trivy reads larger ones too.
const LIMIT: u64 = 16 << 20;
/// Statements of a document that was written for one product: in that of a distribution, most match nothing.
const FEW: usize = 50;
/// Vulnerabilities in one remark.
const NAMES: usize = 10;

/// A VEX document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct VexDocument {
    pub(crate) path: PathBuf,
    /// As in messages.
    pub(crate) name: String,
    /// The vulnerabilities that do not apply by it, each with its other names.
    not_applicable: BTreeMap<String, BTreeSet<String>>,
}

impl VexDocument {
    /// The `document` in the file `path`.
    pub(super) fn new(path: PathBuf, name: String, document: &Value) -> Self {
        Self {
            path,
            name,
            not_applicable: not_applicable(document),
        }
    }

    pub(crate) fn open(file: &WorkspacePath) -> Result<Self, BadInput> {
        file.open()?;
        // What can't be parsed here is an error of Trivy, which names the document.
        let text = file.read(LIMIT).unwrap_or_default();
        let document = serde_json::from_str(&text).unwrap_or_default();
        let name = file.given().to_owned();
        Ok(Self::new(file.existing()?, name, &document))
    }

    /// Statements that suppress none of `findings`.
    pub(crate) fn remarks(&self, findings: &[&Finding]) -> Vec<String> {
        let mut open = Vec::new();
        let mut absent = Vec::new();
        for (name, aliases) in &self.not_applicable {
            let is_it = |finding: &&&Finding| {
                finding.rule.id == *name || aliases.contains(&finding.rule.id)
            };
            let found: Vec<_> = findings.iter().filter(is_it).collect();
            if found.is_empty() {
                absent.push(name.as_str());
            } else if found.iter().all(|finding| finding.is_open()) {
                open.push(name.as_str());
            }
        }
        let mut remarks = Vec::new();
        if !open.is_empty() {
            remarks.push(format!(
                "`{}`: {} is open although a statement says that it does not apply: compare its products with the package URLs in the report",
                self.name,
                some_of(&open)
            ));
        }
        if !absent.is_empty() && self.not_applicable.len() <= FEW {
            remarks.push(format!(
                "`{}`: the statements on {} match nothing; remove them unless another scan needs them",
                self.name,
                some_of(&absent)
            ));
        }
        remarks
    }
}

fn some_of(names: &[&str]) -> String {
    let more = match names.len().saturating_sub(NAMES) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("{}{more}", names[..names.len().min(NAMES)].join(", "))
}

fn not_applicable(document: &Value) -> BTreeMap<String, BTreeSet<String>> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut statements = BTreeMap::new();
    let mut add = |name: String, aliases: &[Value]| {
        if !name.is_empty() {
            let known: &mut BTreeSet<String> = statements.entry(name).or_default();
            known.extend(aliases.iter().map(text));
        }
    };
    for statement in list(&document["statements"]) {
        if ["not_affected", "fixed"].contains(&text(&statement["status"]).as_str()) {
            let vulnerability = &statement["vulnerability"];
            // A text in the first version.
            let name = vulnerability
                .as_str()
                .map_or_else(|| text(&vulnerability["name"]), ToOwned::to_owned);
            add(name, &list(&vulnerability["aliases"]));
        }
    }
    let is_csaf = document["document"]["category"].is_string();
    for vulnerability in list(&document["vulnerabilities"]) {
        if is_csaf {
            let status = &vulnerability["product_status"];
            let applies = ["known_not_affected", "fixed"]
                .iter()
                .all(|key| list(&status[key]).is_empty());
            if !applies {
                add(text(&vulnerability["cve"]), &[]);
            }
        } else if [
            "not_affected",
            "false_positive",
            "resolved",
            "resolved_with_pedigree",
        ]
        .contains(&text(&vulnerability["analysis"]["state"]).as_str())
        {
            add(text(&vulnerability["id"]), &[]);
        }
    }
    statements
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_statements_of_each_form_are_read() {
        let open_vex = json!({"statements": [
            {"vulnerability": {"name": "CVE-1", "aliases": ["GHSA-1"]}, "status": "not_affected"},
            {"vulnerability": "CVE-2", "status": "fixed"},
            {"vulnerability": {"name": "CVE-3"}, "status": "affected"},
        ]});
        let csaf = json!({"document": {"category": "csaf_vex"}, "vulnerabilities": [
            {"cve": "CVE-1", "product_status": {"known_not_affected": ["p"]}},
            {"cve": "CVE-2", "product_status": {"fixed": ["p"]}},
            {"cve": "CVE-3", "product_status": {"known_affected": ["p"]}},
        ]});
        let cyclone_dx = json!({"bomFormat": "CycloneDX", "vulnerabilities": [
            {"id": "CVE-1", "analysis": {"state": "not_affected"}},
            {"id": "CVE-2", "analysis": {"state": "resolved"}},
            {"id": "CVE-3", "analysis": {"state": "exploitable"}},
        ]});
        for document in [open_vex, csaf, cyclone_dx] {
            let names: Vec<_> = not_applicable(&document).into_keys().collect();
            assert_eq!(names, ["CVE-1", "CVE-2"], "{document}");
        }
        assert!(not_applicable(&json!([])).is_empty());
    }

    #[test]
    fn statements_that_match_nothing_are_named() {
        let vulnerable =
            |id: &str| json!({"VulnerabilityID": id, "PkgName": "a", "Severity": "LOW"});
        let report = json!({"SchemaVersion": 2, "Results": [{"Class": "os-pkgs",
            "Vulnerabilities": [vulnerable("GHSA-1"), vulnerable("CVE-4")],
            "ExperimentalModifiedFindings": [{"Type": "vulnerability", "Status": "not_affected", "Source": "vex.json", "Finding": vulnerable("CVE-2")}],
        }]});
        let source = findings::SourceFiles::default();
        let locator = findings::Locator::new("app", "", &source);
        let findings = findings::from_report(serde_json::from_value(report).unwrap(), &locator);
        let findings: Vec<_> = findings.iter().collect();
        let statement = |name: &str, aliases: &[&str]| {
            let aliases = aliases.iter().map(ToString::to_string).collect();
            (name.to_owned(), aliases)
        };
        let mut document = VexDocument {
            path: PathBuf::new(),
            name: "vex.json".to_owned(),
            not_applicable: [
                statement("CVE-1", &["GHSA-1"]),
                statement("CVE-2", &[]),
                statement("CVE-3", &[]),
            ]
            .into(),
        };
        insta::assert_snapshot!(document.remarks(&findings).join("\n"), @"
        `vex.json`: CVE-1 is open although a statement says that it does not apply: compare its products with the package URLs in the report
        `vex.json`: the statements on CVE-3 match nothing; remove them unless another scan needs them
        ");
        let many = (0..FEW).map(|at| statement(&format!("CVE-X{at}"), &[]));
        document.not_applicable.extend(many);
        assert_eq!(document.remarks(&findings).len(), 1);
    }
}
