//! The findings of what was scanned again, for vulnerable packages alone.

use std::collections::{HashMap, HashSet};

use trivy::Report;
use trivy::report::Vulnerability;

use super::{Reader, apart, read};
use crate::{Finding, Places, Suppression};

/// The findings of `again`, a scan for vulnerable packages alone, as the scan of `first` would have them: what that one
/// looked for beside packages is still there, and what it suppressed still does not count.
pub fn of_rescan(again: Report, first: Report, places: &Places<'_>) -> Vec<Finding> {
    let mut reasons = Reasons::default();
    let mut rest = first.results;
    for result in &mut rest {
        result.packages.clear();
        for open in result.vulnerabilities.drain(..) {
            reasons.open.insert((open.package, open.id));
        }
        let (taken_out, others) = std::mem::take(&mut result.modified)
            .into_iter()
            .partition(|modified| modified.r#type == "vulnerability");
        result.modified = others;
        reasons.add(taken_out);
    }
    Reader::new(places, reasons).all(again.results.into_iter().chain(rest))
}

/// What a report took out of its vulnerabilities, and why.
#[derive(Default)]
pub(super) struct Reasons {
    // By package and id, each with the package's file.
    known: HashMap<(String, String), Vec<(String, Suppression)>>,
    // Package and id of what it did not take out.
    open: HashSet<(String, String)>,
}

impl Reasons {
    fn add(&mut self, taken_out: Vec<trivy::report::Modified>) {
        for modified in taken_out {
            let (_, finding, reason) = apart(modified);
            if let Some(Vulnerability {
                package,
                id,
                package_path,
                ..
            }) = read(finding)
            {
                let reasons = self.known.entry((package, id)).or_default();
                reasons.push((package_path, reason));
            }
        }
    }

    /// Why `v` does not count, if it does not.
    pub(super) fn of(&self, v: &Vulnerability) -> Option<Suppression> {
        if self.known.is_empty() {
            return None;
        }
        let key = (v.package.clone(), v.id.clone());
        let reasons = self.known.get(&key)?;
        let here = reasons.iter().find(|(file, _)| *file == v.package_path);
        // The file of a package may have its version in the name, and an update then has another one.
        let anywhere = || reasons.first().filter(|_| !self.open.contains(&key));
        here.or_else(anywhere).map(|(_, reason)| reason.clone())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // in a test, a panic is the report

    use super::*;
    use crate::SourceFiles;
    use serde_json::{Value, json};

    fn vulnerable(package: &str, file: &str) -> Value {
        json!({"VulnerabilityID": "CVE-1", "PkgName": package, "PkgPath": file, "InstalledVersion": "1", "Severity": "HIGH"})
    }

    fn ignored(kind: &str, finding: &Value) -> Value {
        json!({"Type": kind, "Status": "ignored", "Statement": "not used", "Source": ".trivyignore.yaml", "Finding": finding})
    }

    // The rules that are open, and those that are not.
    fn rescanned(again: &Value, first: &Value) -> (Vec<String>, Vec<String>) {
        let report = |results: &Value| {
            serde_json::from_value(json!({"SchemaVersion": 2, "Results": results})).unwrap()
        };
        let source = SourceFiles::default();
        let places = Places::new("app", "", &source);
        let found = of_rescan(report(again), report(first), &places);
        let name = |finding: &Finding| {
            let package = finding.package().map_or("", |package| &package.name);
            format!("{} {package}", finding.rule.id)
        };
        let (open, other): (Vec<_>, Vec<_>) = found.iter().partition(|finding| finding.open());
        let names = |found: Vec<&Finding>| found.into_iter().map(name).collect();
        (names(open), names(other))
    }

    #[test]
    fn what_was_not_looked_for_again_is_still_there() {
        let secret =
            json!({"RuleID": "private-key", "Title": "key", "Severity": "HIGH", "StartLine": 1});
        let failed = json!({"ID": "DS-2", "Severity": "LOW", "Status": "FAIL"});
        let first = json!([
            {"Class": "os-pkgs", "Vulnerabilities": [vulnerable("mended", ""), vulnerable("left", "")]},
            {"Target": "/key.pem", "Class": "secret", "Secrets": [secret], "ExperimentalModifiedFindings": [ignored("secret", &json!({"RuleID": "slack", "Severity": "LOW"}))]},
            {"Target": "Dockerfile", "Class": "config", "Misconfigurations": [failed]},
        ]);
        let again = json!([{"Class": "os-pkgs", "Vulnerabilities": [vulnerable("left", "")]}]);
        let (open, suppressed) = rescanned(&again, &first);
        assert_eq!(open, ["CVE-1 left", "private-key ", "DS-2 "]);
        assert_eq!(suppressed, ["slack "]);
    }

    #[test]
    fn what_was_suppressed_stays_so_where_it_is_still_found() {
        let taken_out = [vulnerable("mended", ""), vulnerable("left", "")];
        let taken_out = taken_out.map(|finding| ignored("vulnerability", &finding));
        let first = json!([{"Class": "os-pkgs", "ExperimentalModifiedFindings": taken_out}]);
        let again = json!([{"Class": "os-pkgs", "Vulnerabilities": [vulnerable("left", ""), vulnerable("other", "")]}]);
        let (open, suppressed) = rescanned(&again, &first);
        assert_eq!(open, ["CVE-1 other"]);
        assert_eq!(suppressed, ["CVE-1 left"]);
    }

    #[test]
    fn what_was_suppressed_in_one_file_is_open_in_another() {
        let of = |taken_out: &str, open: Option<&str>, found: &str| {
            let open: Vec<_> = open.iter().map(|file| vulnerable("jinja2", file)).collect();
            let taken_out = ignored("vulnerability", &vulnerable("jinja2", taken_out));
            let first = json!([{"Class": "lang-pkgs", "Vulnerabilities": open, "ExperimentalModifiedFindings": [taken_out]}]);
            let again =
                json!([{"Class": "lang-pkgs", "Vulnerabilities": [vulnerable("jinja2", found)]}]);
            rescanned(&again, &first).0.len()
        };
        assert_eq!(of("a/jinja2-1", Some("b/jinja2-1"), "a/jinja2-1"), 0);
        assert_eq!(of("a/jinja2-1", Some("b/jinja2-1"), "b/jinja2-1"), 1);
        // Updated, and the name of its file with it.
        assert_eq!(of("a/jinja2-1", None, "a/jinja2-2"), 0);
    }
}
