//! What the patch did: two reports side by side.

use std::collections::{BTreeMap, BTreeSet};

use trivy::report::{Package, Vulnerability};
use trivy::{Report, Severity};

use crate::counts::Counts;
use crate::plan::Plan;

/// A finding, by what it is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    pub(crate) package: String,
    pub(crate) id: String,
    pub(crate) severity: Severity,
}

/// A finding that is still there, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Remaining {
    pub(crate) finding: Finding,
    pub(crate) why: String,
    /// Whether the patch was to mend it.
    pub(crate) planned: bool,
}

/// A package that has another version now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Updated {
    pub(crate) package: String,
    pub(crate) from: String,
    pub(crate) to: String,
    /// Its package URL now.
    pub(crate) purl: String,
}

/// The difference.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Difference {
    pub(crate) fixed: Vec<Finding>,
    pub(crate) remaining: Vec<Remaining>,
    pub(crate) updated: Vec<Updated>,
    /// Packages that were not there before.
    pub(crate) added: Vec<String>,
    /// Packages that are no more there.
    pub(crate) removed: Vec<String>,
    /// Findings that were not there before.
    pub(crate) new: Vec<Finding>,
    /// Findings that are gone although their package is the same: another database did not know them.
    pub(crate) forgotten: Vec<Finding>,
}

// Package, id, file: what makes two findings the same one.
type Key<'r> = (&'r str, &'r str, &'r str);

struct Side<'r> {
    findings: BTreeMap<Key<'r>, (&'r Vulnerability, bool)>,
    system: BTreeMap<&'r str, &'r Package>,
    all: BTreeSet<(&'r str, &'r str)>,
}

impl<'r> Side<'r> {
    fn of(report: &'r Report, suppressed: &BTreeSet<(String, String)>) -> Self {
        let mut side = Self {
            findings: BTreeMap::new(),
            system: BTreeMap::new(),
            all: BTreeSet::new(),
        };
        for result in &report.results {
            let system = result.class == "os-pkgs";
            for package in &result.packages {
                side.all.insert((&package.id, &package.file_path));
                if system {
                    side.system.insert(&package.name, package);
                }
            }
            for v in &result.vulnerabilities {
                // What is said of a package that is not installed is nothing that a patch could mend.
                let installed = !system || side.system.contains_key(v.package.as_str());
                if installed && !suppressed.contains(&(v.package.clone(), v.id.clone())) {
                    let key = (v.package.as_str(), v.id.as_str(), v.package_path.as_str());
                    side.findings.insert(key, (v, system));
                }
            }
        }
        side
    }

    fn has_package_of(&self, finding: &Vulnerability) -> bool {
        self.all
            .contains(&(&finding.package_id, &finding.package_path))
    }
}

fn finding(v: &Vulnerability) -> Finding {
    Finding {
        package: v.package.clone(),
        id: v.id.clone(),
        severity: v.severity,
    }
}

// The whole version, with epoch and release, stands in the id: `name@version`.
fn version(package: &Package) -> &str {
    let whole = package.id.split_once('@');
    whole.map_or(&package.version, |(_, version)| version)
}

impl Difference {
    /// Compare the reports before and after `plan`, of which the packages of `left_out` could not be
    /// had; findings of `suppressed` (package and id) don't count.
    pub(crate) fn of(
        before: &Report,
        after: &Report,
        plan: &Plan,
        left_out: &BTreeMap<String, String>,
        suppressed: &BTreeSet<(String, String)>,
    ) -> Self {
        let (was, is) = (Side::of(before, suppressed), Side::of(after, suppressed));
        let gone = was
            .findings
            .iter()
            .filter(|(key, _)| !is.findings.contains_key(*key));
        let (forgotten, fixed): (Vec<_>, Vec<_>) =
            gone.partition(|(_, (v, _))| is.has_package_of(v));
        let list = |found: Vec<(_, &(&Vulnerability, bool))>| {
            found.into_iter().map(|(_, (v, _))| finding(v)).collect()
        };
        let missing = |from: &Side<'_>, other: &Side<'_>| {
            let names = from.system.keys();
            names
                .filter(|name| !other.system.contains_key(*name))
                .map(ToString::to_string)
                .collect()
        };
        let update = |(name, to): (&&str, &&Package)| {
            let from = was.system.get(name)?;
            (version(from) != version(to)).then(|| Updated {
                package: (*name).to_owned(),
                from: version(from).to_owned(),
                to: version(to).to_owned(),
                purl: to.identifier.purl.clone(),
            })
        };
        Self {
            fixed: list(fixed),
            forgotten: list(forgotten),
            remaining: is
                .findings
                .values()
                .map(|(v, system)| {
                    let planned = *system && !v.fixed_version.is_empty() && plan.has(&v.package);
                    Remaining {
                        finding: finding(v),
                        why: why(v, *system, left_out),
                        planned,
                    }
                })
                .collect(),
            updated: is.system.iter().filter_map(update).collect(),
            added: missing(&is, &was),
            removed: missing(&was, &is),
            new: is
                .findings
                .iter()
                .filter(|(key, _)| !was.findings.contains_key(*key))
                .map(|(_, (v, _))| finding(v))
                .collect(),
        }
    }

    /// What was found before the patch.
    pub(crate) fn before(&self) -> Counts {
        let left = self.remaining.iter().map(|remaining| &remaining.finding);
        let old = left.filter(|finding| !self.new.contains(finding));
        Counts::of(old) + Counts::of(&self.fixed)
    }

    /// What is found after it.
    pub(crate) fn after(&self) -> Counts {
        Counts::of(self.remaining.iter().map(|remaining| &remaining.finding))
    }

    /// Whether both reports know the same: a finding came or went only with its package.
    pub(crate) fn is_of_one_database(&self) -> bool {
        self.new.is_empty() && self.forgotten.is_empty()
    }

    /// Whether something that the patch was to mend is still there.
    pub(crate) fn is_partial(&self) -> bool {
        self.remaining.iter().any(|remaining| remaining.planned)
    }

    /// What speaks against the patched image, if something does.
    pub(crate) fn objection(&self) -> Option<String> {
        let names = |new: &[Finding]| {
            let names = new.iter().map(|f| format!("{} in {}", f.id, f.package));
            names.collect::<Vec<_>>().join(", ")
        };
        if !self.added.is_empty() {
            let added = self.added.join(", ");
            Some(format!(
                "the patch installed packages that were not there: {added}"
            ))
        } else if !self.removed.is_empty() {
            let removed = self.removed.join(", ");
            Some(format!("the patch removed packages: {removed}"))
        } else if !self.new.is_empty() {
            let new = names(&self.new);
            Some(format!("the patched image has new findings: {new}"))
        } else if self.fixed.is_empty() {
            Some("the patched image has every finding that the image had".into())
        } else {
            None
        }
    }

    /// How many findings of each severity there were and are, worst first, without empty rows.
    pub(crate) fn by_severity(&self) -> Vec<(Severity, usize, usize)> {
        let rows = Severity::WORST_FIRST.iter().map(|severity| {
            let of = |finding: &&Finding| finding.severity == *severity;
            let left: Vec<_> = self.remaining.iter().map(|r| &r.finding).collect();
            let after = left.iter().copied().filter(of).count();
            let new = self.new.iter().filter(of).count();
            let fixed = self.fixed.iter().filter(of).count();
            (*severity, after - new + fixed, after)
        });
        rows.filter(|(_, before, after)| before + after > 0)
            .collect()
    }
}

/// The findings of a report that a comparison counts: those of `suppressed` (package and id) are left out.
pub(crate) fn findings(report: &Report, suppressed: &BTreeSet<(String, String)>) -> Vec<Finding> {
    let side = Side::of(report, suppressed);
    side.findings.values().map(|(v, _)| finding(v)).collect()
}

/// Whether both reports list the same packages of the distribution in the same versions.
pub(crate) fn same_packages(one: &Report, other: &Report) -> bool {
    let list = |report: &Report| -> BTreeSet<String> {
        let systems = report.results.iter().filter(|r| r.class == "os-pkgs");
        let packages = systems.flat_map(|result| &result.packages);
        packages.map(|package| package.id.clone()).collect()
    };
    list(one) == list(other)
}

fn why(v: &Vulnerability, system: bool, left_out: &BTreeMap<String, String>) -> String {
    if !system {
        return "it is in no package of the distribution".into();
    }
    if let Some(reason) = left_out
        .get(&v.package)
        .filter(|_| !v.fixed_version.is_empty())
    {
        return reason.clone();
    }
    let why = match v.status.as_str() {
        _ if !v.fixed_version.is_empty() => "the update is held back or not in the archive",
        "will_not_fix" => "the distribution will not fix it",
        "fix_deferred" => "the distribution has put the fix off",
        "end_of_life" => "the distribution's support has ended",
        "under_investigation" => "the distribution is looking into it",
        _ => "there is no fixed version yet",
    };
    why.into()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::plan::tests::{image, report};

    type Packages<'a> = &'a [(&'a str, &'a str, &'a str)];

    /// The difference of two reports that [`report`] makes.
    pub(crate) fn difference(before: Packages, after: Packages) -> Difference {
        let before = report(before);
        let plan = Plan::of(&before, &image()).unwrap();
        let left_out = [("perl".to_owned(), "it is held back".to_owned())].into();
        let suppressed = [("bash".to_owned(), "CVE-bash".to_owned())].into();
        Difference::of(&before, &report(after), &plan, &left_out, &suppressed)
    }

    #[test]
    fn what_was_mended_what_remains_and_why() {
        let before = [
            ("bash", "1", "2"),
            ("openssl", "1", "2"),
            ("perl", "1", "2"),
            ("tar", "1", "2"),
            ("zlib1g", "1", ""),
        ];
        let after = [
            ("bash", "1", "2"),
            ("openssl", "2", "-"),
            ("perl", "1", "2"),
            ("tar", "1", "2"),
            ("zlib1g", "1", ""),
        ];
        let found = difference(&before, &after);
        let fixed: Vec<_> = found.fixed.iter().map(|f| f.id.as_str()).collect();
        assert_eq!(fixed, ["CVE-openssl"]);
        let remaining: Vec<_> = found
            .remaining
            .iter()
            .map(|r| (r.finding.package.as_str(), r.why.as_str(), r.planned))
            .collect();
        assert_eq!(
            remaining,
            [
                ("perl", "it is held back", true),
                ("tar", "the update is held back or not in the archive", true),
                ("zlib1g", "there is no fixed version yet", false),
            ]
        );
        assert_eq!(
            found.updated,
            [Updated {
                package: "openssl".into(),
                from: "1".into(),
                to: "2".into(),
                purl: "pkg:deb/debian/openssl@2?arch=amd64".into(),
            }]
        );
        assert_eq!(found.by_severity(), [(Severity::High, 4, 3)]);
        assert_eq!(
            (found.before().to_string(), found.after().to_string()),
            (
                "critical=0,high=4,medium=0,low=0,unknown=0".to_owned(),
                "critical=0,high=3,medium=0,low=0,unknown=0".to_owned()
            )
        );
        assert!(found.is_partial() && found.is_of_one_database());
        assert_eq!(found.objection(), None);
    }

    #[test]
    fn a_finding_that_went_without_its_package_is_not_mended() {
        let found = difference(&[("openssl", "1", "2")], &[("openssl", "1", "-")]);
        assert_eq!((found.fixed.len(), found.forgotten.len()), (0, 1));
        assert!(!found.is_of_one_database());
        let found = difference(&[("openssl", "1", "-")], &[("openssl", "1", "2")]);
        assert!(!found.is_of_one_database());
    }

    #[test]
    fn a_finding_about_nothing_that_is_installed_does_not_count() {
        let mut before = report(&[("openssl", "1", "2"), ("curl", "1", "2")]);
        before.results[0].packages.pop();
        let plan = Plan::of(&before, &image()).unwrap();
        let after = report(&[("openssl", "2", "-")]);
        let none = (BTreeMap::new(), BTreeSet::new());
        let found = Difference::of(&before, &after, &plan, &none.0, &none.1);
        let fixed: Vec<_> = found.fixed.iter().map(|f| f.id.as_str()).collect();
        assert_eq!(fixed, ["CVE-openssl"]);
    }

    #[test]
    fn what_speaks_against_a_patch() {
        let before = [("openssl", "1", "2"), ("tar", "1", "-")];
        let table: [(Packages, &str); 4] = [
            (
                &[("openssl", "2", "-"), ("tar", "1", "-"), ("curl", "1", "-")],
                "the patch installed packages that were not there: curl",
            ),
            (&[("openssl", "2", "-")], "the patch removed packages: tar"),
            (
                &[("openssl", "2", "-"), ("tar", "1", "2")],
                "the patched image has new findings: CVE-tar in tar",
            ),
            (
                &before,
                "the patched image has every finding that the image had",
            ),
        ];
        for (after, objection) in table {
            assert_eq!(
                difference(&before, after).objection().as_deref(),
                Some(objection)
            );
        }
    }

    #[test]
    fn the_distributions_word_on_a_finding() {
        let says = |status: &str| {
            let v = Vulnerability {
                status: status.into(),
                ..Default::default()
            };
            why(&v, true, &BTreeMap::new())
        };
        assert_eq!(says("will_not_fix"), "the distribution will not fix it");
        assert_eq!(says("affected"), "there is no fixed version yet");
        let v = Vulnerability::default();
        assert_eq!(
            why(&v, false, &BTreeMap::new()),
            "it is in no package of the distribution"
        );
    }
}
