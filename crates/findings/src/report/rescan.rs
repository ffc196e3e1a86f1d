//! The findings after a second scan, which looks for vulnerable packages only.

use std::collections::{HashMap, HashSet};

use trivy::Report;
use trivy::report::Vulnerability;

use super::{Reader, parse, split};
use crate::{Finding, Locator, Suppression};

/// The findings of `second`, a scan for vulnerable packages only, as a scan like `first` would report them: failed checks
/// and secrets of `first` are kept, and packages that it suppressed stay suppressed.
pub fn from_rescan(second: Report, first: Report, locator: &Locator<'_>) -> Vec<Finding> {
    let mut suppressions = Suppressions::default();
    let mut rest = first.results;
    for result in &mut rest {
        result.packages.clear();
        for open in result.vulnerabilities.drain(..) {
            suppressions.open.insert((open.package, open.id));
        }
        let (suppressed, others) = std::mem::take(&mut result.modified)
            .into_iter()
            .partition(|modified| modified.r#type == "vulnerability");
        result.modified = others;
        suppressions.add(suppressed);
    }
    let reader = Reader::new(locator, suppressions, super::is_image(&second));
    reader.read(second.results.into_iter().chain(rest))
}

/// Vulnerabilities that a report suppressed, and why.
#[derive(Default)]
pub(super) struct Suppressions {
    // By package and id, the first.
    by_id: HashMap<(String, String), Suppression>,
    // By package, id and the package's file, the first.
    by_file: HashMap<(String, String, String), Suppression>,
    // Package and id of those that it did not suppress.
    open: HashSet<(String, String)>,
}

impl Suppressions {
    fn add(&mut self, suppressed: Vec<trivy::report::Modified>) {
        for modified in suppressed {
            let (_, finding, reason) = split(modified);
            if let Some(Vulnerability {
                package,
                id,
                package_path,
                ..
            }) = parse(finding)
            {
                let first = self.by_id.entry((package.clone(), id.clone()));
                first.or_insert_with(|| reason.clone());
                let in_file = self.by_file.entry((package, id, package_path));
                in_file.or_insert(reason);
            }
        }
    }

    /// Why `v` does not count; `None` if it does.
    pub(super) fn find(&self, v: &Vulnerability) -> Option<Suppression> {
        if self.by_id.is_empty() {
            return None;
        }
        let key = (v.package.clone(), v.id.clone());
        let first = self.by_id.get(&key)?;
        let file = (v.package.clone(), v.id.clone(), v.package_path.clone());
        let in_same_file = self.by_file.get(&file);
        // The file of a package may have its version in the name, and an update then has another one.
        let in_any_file = || Some(first).filter(|_| !self.open.contains(&key));
        in_same_file.or_else(in_any_file).cloned()
    }
}

#[cfg(test)]
mod tests {
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
    fn rescanned(second: &Value, first: &Value) -> (Vec<String>, Vec<String>) {
        let report = |results: &Value| {
            serde_json::from_value(json!({"SchemaVersion": 2, "Results": results})).unwrap()
        };
        let source = SourceFiles::default();
        let locator = Locator::new("app", "", &source);
        let findings = from_rescan(report(second), report(first), &locator);
        let name = |finding: &Finding| {
            let package = finding.package().map_or("", |package| &package.name);
            format!("{} {package}", finding.rule.id)
        };
        let (open, other): (Vec<_>, Vec<_>) =
            findings.iter().partition(|finding| finding.is_open());
        let names = |findings: Vec<&Finding>| findings.into_iter().map(name).collect();
        (names(open), names(other))
    }

    #[test]
    fn checks_and_secrets_of_the_first_scan_are_kept() {
        let secret =
            json!({"RuleID": "private-key", "Title": "key", "Severity": "HIGH", "StartLine": 1});
        let failed = json!({"ID": "DS-2", "Severity": "LOW", "Status": "FAIL"});
        let first = json!([
            {"Class": "os-pkgs", "Vulnerabilities": [vulnerable("fixed", ""), vulnerable("left", "")]},
            {"Target": "/key.pem", "Class": "secret", "Secrets": [secret], "ExperimentalModifiedFindings": [ignored("secret", &json!({"RuleID": "slack", "Severity": "LOW"}))]},
            {"Target": "Dockerfile", "Class": "config", "Misconfigurations": [failed]},
        ]);
        let second = json!([{"Class": "os-pkgs", "Vulnerabilities": [vulnerable("left", "")]}]);
        let (open, suppressed) = rescanned(&second, &first);
        assert_eq!(open, ["CVE-1 left", "private-key ", "DS-2 "]);
        assert_eq!(suppressed, ["slack "]);
    }

    #[test]
    fn a_suppressed_package_stays_suppressed() {
        let suppressed_in = [vulnerable("fixed", ""), vulnerable("left", "")];
        let suppressed_in = suppressed_in.map(|finding| ignored("vulnerability", &finding));
        let first = json!([{"Class": "os-pkgs", "ExperimentalModifiedFindings": suppressed_in}]);
        let second = json!([{"Class": "os-pkgs", "Vulnerabilities": [vulnerable("left", ""), vulnerable("other", "")]}]);
        let (open, suppressed) = rescanned(&second, &first);
        assert_eq!(open, ["CVE-1 other"]);
        assert_eq!(suppressed, ["CVE-1 left"]);
    }

    #[test]
    fn a_package_suppressed_in_one_file_is_open_in_another() {
        let open_after = |suppressed_in: &str, open: Option<&str>, file: &str| {
            let open: Vec<_> = open.iter().map(|file| vulnerable("jinja2", file)).collect();
            let suppressed_in = ignored("vulnerability", &vulnerable("jinja2", suppressed_in));
            let first = json!([{"Class": "lang-pkgs", "Vulnerabilities": open, "ExperimentalModifiedFindings": [suppressed_in]}]);
            let second =
                json!([{"Class": "lang-pkgs", "Vulnerabilities": [vulnerable("jinja2", file)]}]);
            rescanned(&second, &first).0.len()
        };
        assert_eq!(
            open_after("a/jinja2-1", Some("b/jinja2-1"), "a/jinja2-1"),
            0
        );
        assert_eq!(
            open_after("a/jinja2-1", Some("b/jinja2-1"), "b/jinja2-1"),
            1
        );
        // Updated, and the name of its file with it.
        assert_eq!(open_after("a/jinja2-1", None, "a/jinja2-2"), 0);
    }
}
