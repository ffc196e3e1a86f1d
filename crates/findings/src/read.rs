//! The findings of a report of Trivy.

mod rescan;

use std::collections::HashMap;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use trivy::report::{
    Layer, Misconfiguration, Modified, Package as Listed, ResultOf, SecretFinding, Vulnerability,
};
use trivy::{Report, Severity};

use crate::identity::{self, Occurrences};
use crate::{Finding, Location, Package, Places, Rule, Subject, Suppression};
use rescan::Reasons;
pub use rescan::of_rescan;

/// The findings of `report`, the worst first. Passed checks are none.
pub fn of_report(report: Report, places: &Places<'_>) -> Vec<Finding> {
    Reader::new(places, Reasons::default()).all(report.results)
}

struct Reader<'a> {
    places: &'a Places<'a>,
    // Why what is found does not count, by another report.
    reasons: Reasons,
    rules: HashMap<String, Arc<Rule>>,
    found: Vec<Finding>,
}

impl<'a> Reader<'a> {
    fn new(places: &'a Places<'a>, reasons: Reasons) -> Self {
        Self {
            places,
            reasons,
            rules: HashMap::new(),
            found: Vec::new(),
        }
    }

    fn all(mut self, results: impl IntoIterator<Item = ResultOf>) -> Vec<Finding> {
        for result in results {
            self.result(result);
        }
        self.done()
    }

    fn result(&mut self, mut result: ResultOf) {
        let vulnerabilities = std::mem::take(&mut result.vulnerabilities);
        let misconfigurations = std::mem::take(&mut result.misconfigurations);
        let secrets = std::mem::take(&mut result.secrets);
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
        for modified in modified {
            let (kind, value, reason) = apart(modified);
            let reason = Some(reason);
            match kind.as_str() {
                "vulnerability" => {
                    if let Some(v) = read(value) {
                        self.vulnerability(&result, v, &by_id, reason);
                    }
                }
                "misconfiguration" => {
                    if let Some(m) = read(value) {
                        self.misconfiguration(&result, m, reason);
                    }
                }
                "secret" => {
                    if let Some(s) = read(value) {
                        self.secret(&result, &s, reason);
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
        result: &ResultOf,
        v: Vulnerability,
        packages: &HashMap<&str, &Listed>,
        suppressed: Option<Suppression>,
    ) {
        let suppressed = suppressed.or_else(|| self.reasons.of(&v));
        let listed = packages.get(v.package_id.as_str());
        let lines = listed.and_then(|package| package.locations.first());
        let layer: &Layer = if v.layer.diff_id.is_empty() {
            listed.map_or(&v.layer, |package| &package.layer)
        } else {
            &v.layer
        };
        let place = self.places.of_package(
            result,
            (&v.package, &v.installed_version),
            &v.package_path,
            layer,
            lines,
        );
        let purl = identity::package_of(&v.identifier.purl);
        let package = if purl.is_empty() { &v.package } else { purl };
        let name = self.places.name();
        // A lock file's path is part of it: one package may be in two of them.
        let file = if result.class == "os-pkgs" {
            ""
        } else if v.package_path.is_empty() {
            &place.path
        } else {
            &v.package_path
        };
        let fingerprint = identity::of(&[&v.id, package, file, &result.class, name]);
        let title = sentence(&v.title);
        let score = score(&v);
        let rule = self.rule(&v.id, || Rule {
            title,
            description: v.description,
            url: v.primary_url,
            cwes: v.cwes,
            score,
            ..Rule::default()
        });
        let cure = match (v.fixed_version.as_str(), v.status.as_str()) {
            ("", "will_not_fix") => "Its distribution will not fix it.".to_owned(),
            ("", "end_of_life") => "Its version is out of support.".to_owned(),
            ("", _) => "There is no fixed version yet.".to_owned(),
            (fixed, _) => format!("Fixed in {fixed}."),
        };
        self.found.push(Finding {
            message: format!(
                "{} {} has {}: {}. {cure}",
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
            place,
            fingerprint,
            suppressed,
        });
    }

    fn misconfiguration(
        &mut self,
        result: &ResultOf,
        m: Misconfiguration,
        suppressed: Option<Suppression>,
    ) {
        // A passed check is no finding; one that was taken out has its reason.
        if m.status != "FAIL" && suppressed.is_none() {
            return;
        }
        let cause = &m.cause_metadata;
        let place = self
            .places
            .of_lines(&result.target, cause.start_line, cause.end_line);
        let print = [&m.id, &place.path, &cause.resource, &m.message].map(String::as_str);
        let fingerprint = self.of_line(&place, &print);
        let rule = self.rule(&m.id, || Rule {
            title: sentence(&m.title),
            description: m.description,
            url: m.primary_url,
            ..Rule::default()
        });
        self.found.push(Finding {
            message: sentence(&format!("{} {}", m.message, m.resolution)),
            rule,
            severity: m.severity,
            subject: Subject::Check {
                resource: m.cause_metadata.resource,
            },
            place,
            fingerprint,
            suppressed,
        });
    }

    fn secret(&mut self, result: &ResultOf, s: &SecretFinding, suppressed: Option<Suppression>) {
        let place = self
            .places
            .of_lines(&result.target, s.start_line, s.end_line);
        let fingerprint = self.of_line(&place, &[&s.rule, &place.path, self.places.name()]);
        let title = sentence(&s.title);
        let rule = self.rule(&s.rule, || Rule {
            description: format!(
                "{title} was found in a file. Take it out, and revoke it: whoever has the file has the secret."
            ),
            title,
            cwes: vec!["CWE-798".into()],
            ..Rule::default()
        });
        self.found.push(Finding {
            message: format!(
                "{} in `{}`: take it out, and revoke it.",
                rule.title, result.target
            ),
            rule,
            severity: s.severity,
            subject: Subject::Secret,
            place,
            fingerprint,
            suppressed,
        });
    }

    // The line's own identity where the file is at hand, so that it moves with the line.
    fn of_line(&self, place: &Location, otherwise: &[&str]) -> String {
        let hash = self.places.line_hash(place);
        hash.map_or_else(
            || identity::of(otherwise),
            |hash| hash.split(':').next().unwrap_or_default().to_owned(),
        )
    }

    fn done(mut self) -> Vec<Finding> {
        self.found.sort_by(|a, b| {
            let key = |f: &Finding| (f.suppressed.is_some(), std::cmp::Reverse(f.severity));
            key(a)
                .cmp(&key(b))
                .then_with(|| a.rule.id.cmp(&b.rule.id))
                .then_with(|| a.place.cmp(&b.place))
                .then_with(|| a.message.cmp(&b.message))
        });
        let mut seen = Occurrences::default();
        for finding in &mut self.found {
            finding.fingerprint = seen.number(&finding.rule.id, &finding.fingerprint);
        }
        self.found
    }
}

fn read<T: DeserializeOwned>(value: serde_json::Value) -> Option<T> {
    serde_json::from_value(value).ok()
}

// The kind of finding, the finding, and why it was taken out.
fn apart(modified: Modified) -> (String, serde_json::Value, Suppression) {
    let reason = Suppression {
        reason: modified.statement,
        source: modified.source,
        status: modified.status,
    };
    (modified.r#type, modified.finding, reason)
}

fn sentence(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

// The score of who rated it or, failing that, the highest one.
fn score(v: &Vulnerability) -> Option<f64> {
    let of = |cvss: &trivy::report::Cvss| cvss.v4.or(cvss.v3);
    let own = v.cvss.get(&v.severity_source).and_then(of);
    own.or_else(|| v.cvss.values().filter_map(of).reduce(f64::max))
        .filter(|_| v.severity != Severity::Unknown)
}

#[cfg(test)]
mod tests;
