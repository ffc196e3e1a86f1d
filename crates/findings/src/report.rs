//! The findings of a report of Trivy.

mod rescan;

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use trivy::report::{
    Cvss, Layer, License, Lines, Misconfiguration, Modified, Package as Listed, ScanResult,
    SecretFinding, Vulnerability,
};
use trivy::{Report, Severity};

use crate::fingerprint::{self, Identity};
use crate::{Finding, Locator, Package, Rule, Subject, Suppression};
use rescan::Suppressions;
pub use rescan::from_rescan;

/// The findings of `report`: open ones first, each part by severity. Passed checks are not findings.
pub fn from_report(report: Report, locator: &Locator<'_>) -> Vec<Finding> {
    let mut reader = Reader::new(locator, Suppressions::default(), is_image(&report));
    reader.reads_licenses = report.results.iter().any(|r| !r.licenses.is_empty());
    reader.read(report.results)
}

fn is_image(report: &Report) -> bool {
    report.artifact_type == "container_image"
}

/// Categories of licenses that are not findings: they require the notice at most.
const WITHOUT_CONDITIONS: [&str; 3] = ["notice", "permissive", "unencumbered"];

struct Reader<'a> {
    locator: &'a Locator<'a>,
    // Those of an earlier report of the same target.
    suppressions: Suppressions,
    in_image: bool,
    rules: HashMap<String, Arc<Rule>>,
    reads_licenses: bool,
    // Where a file names a package, by both.
    lines: HashMap<(String, String), Lines>,
    findings: Vec<(Finding, Identity)>,
}

impl<'a> Reader<'a> {
    fn new(locator: &'a Locator<'a>, suppressions: Suppressions, in_image: bool) -> Self {
        Self {
            locator,
            suppressions,
            in_image,
            rules: HashMap::new(),
            reads_licenses: false,
            lines: HashMap::new(),
            findings: Vec::new(),
        }
    }

    fn read(mut self, results: impl IntoIterator<Item = ScanResult>) -> Vec<Finding> {
        for result in results {
            if self.reads_licenses {
                self.remember_lines(&result);
            }
            self.result(result);
        }
        self.into_sorted()
    }

    fn result(&mut self, mut result: ScanResult) {
        let vulnerabilities = std::mem::take(&mut result.vulnerabilities);
        let misconfigurations = std::mem::take(&mut result.misconfigurations);
        let secrets = std::mem::take(&mut result.secrets);
        let licenses = std::mem::take(&mut result.licenses);
        let modified = std::mem::take(&mut result.modified);
        let packages = std::mem::take(&mut result.packages);
        let by_id: HashMap<&str, &Listed> = packages.iter().map(|p| (&*p.id, p)).collect();
        for v in vulnerabilities {
            self.vulnerability(&result, v, &by_id, None);
        }
        for m in misconfigurations {
            self.misconfiguration(&result, m, None);
        }
        for s in secrets {
            self.secret(&result, &s, None);
        }
        for l in licenses {
            self.license(&result, l, None);
        }
        for modified in modified {
            let (kind, value, reason) = split(modified);
            let reason = Some(reason);
            match kind.as_str() {
                "vulnerability" => {
                    if let Some(v) = parse(value) {
                        self.vulnerability(&result, v, &by_id, reason);
                    }
                }
                "misconfiguration" => {
                    if let Some(m) = parse(value) {
                        self.misconfiguration(&result, m, reason);
                    }
                }
                "secret" => {
                    if let Some(s) = parse(value) {
                        self.secret(&result, &s, reason);
                    }
                }
                "license" => {
                    if let Some(l) = parse(value) {
                        self.license(&result, l, reason);
                    }
                }
                _ => {}
            }
        }
    }

    fn rule(&mut self, id: &str, make: impl FnOnce() -> Rule) -> Arc<Rule> {
        if let Some(rule) = self.rules.get(id) {
            return Arc::clone(rule);
        }
        let mut rule = make();
        id.clone_into(&mut rule.id);
        if rule.title.is_empty() {
            id.clone_into(&mut rule.title);
        }
        if rule.description.trim().is_empty() {
            rule.description.clone_from(&rule.title);
        }
        let rule = Arc::new(rule);
        self.rules.insert(id.to_owned(), Arc::clone(&rule));
        rule
    }

    fn vulnerability(
        &mut self,
        result: &ScanResult,
        v: Vulnerability,
        packages: &HashMap<&str, &Listed>,
        suppressed: Option<Suppression>,
    ) {
        let suppressed = suppressed.or_else(|| self.suppressions.find(&v));
        let listed = packages.get(v.package_id.as_str());
        let lines = listed.and_then(|package| package.locations.first());
        let layer: &Layer = if v.layer.diff_id.is_empty() {
            listed.map_or(&v.layer, |package| &package.layer)
        } else {
            &v.layer
        };
        let location = self.locator.package(
            result,
            (&v.package, &v.installed_version),
            &v.package_path,
            layer,
            lines,
        );
        let identity = Identity::of_package(&v, result, &location, self.locator, self.in_image);
        // Of most findings, another one has made the rule before.
        let rule = self.rule(&v.id, || Rule {
            title: one_line(&v.title),
            score: score(&v.cvss, &v.severity_source, v.severity),
            description: v.description,
            url: v.primary_url,
            cwes: v.cwes,
            ..Rule::default()
        });
        let hint = match (v.fixed_version.as_str(), v.status.as_str()) {
            ("", "will_not_fix") => "Its distribution will not fix it.".to_owned(),
            ("", "end_of_life") => "Its version has reached end of life.".to_owned(),
            ("", _) => "There is no fixed version yet.".to_owned(),
            (fixed, _) => format!("Fixed in {fixed}."),
        };
        let finding = Finding {
            message: format!(
                "{} {} has {}: {}. {hint}",
                v.package,
                v.installed_version,
                rule.id,
                rule.title.trim_end_matches('.')
            ),
            rule,
            severity: v.severity,
            subject: Subject::Package(Package {
                name: v.package,
                installed: v.installed_version,
                fixed: v.fixed_version,
                status: v.status,
            }),
            location,
            fingerprint: String::new(),
            former_fingerprint: None,
            suppressed,
        };
        self.findings.push((finding, identity));
    }

    fn misconfiguration(
        &mut self,
        result: &ScanResult,
        m: Misconfiguration,
        suppressed: Option<Suppression>,
    ) {
        // A suppressed check has the status that Trivy gave it before.
        if m.status != "FAIL" && suppressed.is_none() {
            return;
        }
        let cause = &m.cause_metadata;
        let location = self
            .locator
            .lines(&result.target, cause.start_line, cause.end_line);
        let identity = Identity::of_check(&m, &location, self.locator);
        let rule = self.rule(&m.id, || Rule {
            title: one_line(&m.title),
            description: m.description,
            url: m.primary_url,
            ..Rule::default()
        });
        let finding = Finding {
            message: one_line(&format!("{} {}", m.message, m.resolution)),
            rule,
            severity: m.severity,
            subject: Subject::Check {
                resource: m.cause_metadata.resource,
            },
            location,
            fingerprint: String::new(),
            former_fingerprint: None,
            suppressed,
        };
        self.findings.push((finding, identity));
    }

    fn secret(&mut self, result: &ScanResult, s: &SecretFinding, suppressed: Option<Suppression>) {
        let location = self.locator.lines(&result.target, s.start_line, s.end_line);
        let identity = Identity::of_secret(s, &location, self.locator);
        let title = one_line(&s.title);
        let rule = self.rule(&s.rule, || Rule {
            description: format!(
                "{title} was found in a file. Remove it and revoke it: anyone with the file has the secret."
            ),
            title,
            cwes: vec!["CWE-798".into()],
            ..Rule::default()
        });
        let finding = Finding {
            message: format!(
                "{} in `{}`: remove it and revoke it.",
                rule.title, result.target
            ),
            rule,
            severity: s.severity,
            subject: Subject::Secret,
            location,
            fingerprint: String::new(),
            former_fingerprint: None,
            suppressed,
        };
        self.findings.push((finding, identity));
    }

    // Trivy reports licenses after the packages, without the lines of the lock file.
    fn remember_lines(&mut self, result: &ScanResult) {
        for package in &result.packages {
            if let Some(lines) = package.locations.first() {
                let key = (result.target.clone(), package.name.clone());
                self.lines.entry(key).or_insert_with(|| lines.clone());
            }
        }
    }

    fn license(&mut self, result: &ScanResult, l: License, suppressed: Option<Suppression>) {
        if WITHOUT_CONDITIONS.contains(&l.category.as_str()) {
            return;
        }
        let lines = self.lines.get(&(l.file_path.clone(), l.package.clone()));
        // The distribution's packages have no file.
        let is_system = l.file_path.is_empty() && result.class == "license";
        let result = &ScanResult {
            class: if is_system { "os-pkgs" } else { &result.class }.to_owned(),
            target: result.target.clone(),
            ..ScanResult::default()
        };
        let names = (l.package.as_str(), "");
        let none = Layer::default();
        let location = self
            .locator
            .package(result, names, &l.file_path, &none, lines);
        let identity = Identity::of_license(&l, result, self.locator);
        let category = match l.category.as_str() {
            "" => "unknown",
            category => category,
        };
        let rule = self.rule(&l.name, || Rule {
            title: format!("License {}: {category}", l.name),
            description: format!(
                "{} is in the category `{category}` of github.com/google/licenseclassifier. Check that its terms allow this use.",
                l.name
            ),
            url: l.link.clone(),
            ..Rule::default()
        });
        let what = match l.package.as_str() {
            "" => &l.file_path,
            package => package,
        };
        let finding = Finding {
            message: format!(
                "{what} has the license {} ({category}): check that its terms allow this use.",
                l.name
            ),
            rule,
            severity: l.severity,
            subject: Subject::License { package: l.package },
            location,
            fingerprint: String::new(),
            former_fingerprint: None,
            suppressed,
        };
        self.findings.push((finding, identity));
    }

    fn into_sorted(self) -> Vec<Finding> {
        let findings = sorted(self.findings);
        let identities: Vec<_> = findings.iter().map(|(_, identity)| identity).collect();
        let fingerprints = fingerprint::number(&identities);
        let former = former_fingerprints(&findings, &fingerprints);
        let findings = findings.into_iter().zip(fingerprints).zip(former);
        let numbered = findings.map(|(((mut finding, _), fingerprint), former)| {
            finding.former_fingerprint = former;
            finding.fingerprint = fingerprint;
            finding
        });
        numbered.collect()
    }
}

// A finding has hundreds of bytes: what is moved while they are sorted are their indices.
fn sorted(findings: Vec<(Finding, Identity)>) -> Vec<(Finding, Identity)> {
    let mut order: Vec<usize> = (0..findings.len()).collect();
    order.sort_by(|a, b| {
        let (a, b) = (&findings[*a].0, &findings[*b].0);
        let key = |f: &Finding| (f.suppressed.is_some(), std::cmp::Reverse(f.severity));
        key(a)
            .cmp(&key(b))
            .then_with(|| a.rule.id.cmp(&b.rule.id))
            .then_with(|| a.location.cmp(&b.location))
            .then_with(|| a.message.cmp(&b.message))
    });
    let mut findings: Vec<_> = findings.into_iter().map(Some).collect();
    let mut sorted = Vec::with_capacity(findings.len());
    sorted.extend(order.into_iter().filter_map(|at| findings[at].take()));
    sorted
}

// By an earlier version, which numbered findings of one rule and hash as they come; `None` where it is the same.
fn former_fingerprints(
    findings: &[(Finding, Identity)],
    fingerprints: &[String],
) -> Vec<Option<String>> {
    let mut times: HashMap<(&str, &str), u32> = HashMap::with_capacity(findings.len());
    let mut former = String::new();
    let pairs = findings.iter().zip(fingerprints);
    let changed = pairs.map(|((finding, identity), fingerprint)| {
        let hash = identity.former();
        let times = times.entry((finding.rule.id.as_str(), hash)).or_default();
        *times += 1;
        former.clear();
        let _ = write!(former, "{hash}:{times}");
        (former != *fingerprint).then(|| former.clone())
    });
    changed.collect()
}

fn parse<T: DeserializeOwned>(value: serde_json::Value) -> Option<T> {
    serde_json::from_value(value).ok()
}

// The kind of finding, the finding, and why it does not count.
fn split(modified: Modified) -> (String, serde_json::Value, Suppression) {
    let reason = Suppression {
        reason: modified.statement,
        source: modified.source,
        status: modified.status,
    };
    (modified.r#type, modified.finding, reason)
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

// The score of the source that rated the severity or, failing that, the highest one.
fn score(scores: &[(String, Cvss)], source: &str, severity: Severity) -> Option<f64> {
    let of = |(_, cvss): &(String, Cvss)| cvss.v4.or(cvss.v3);
    let own = scores.iter().find(|(name, _)| name == source).and_then(of);
    own.or_else(|| scores.iter().filter_map(of).reduce(f64::max))
        .filter(|_| severity != Severity::Unknown)
}

#[cfg(test)]
mod tests;
