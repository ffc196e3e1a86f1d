//! What the patch did: two reports side by side.

mod side;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::{BTreeMap, BTreeSet};

use trivy::report::Vulnerability;
use trivy::{Report, Severity};

use crate::counts::Counts;
use crate::plan::Plan;
use crate::python::{self, Place};
use side::{Side, version};

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

fn finding(v: &Vulnerability) -> Finding {
    Finding {
        package: v.package.clone(),
        id: v.id.clone(),
        severity: v.severity,
    }
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
            let names = from.packages.iter();
            names
                .filter(|(name, _)| !other.packages.contains_key(*name))
                .map(|(_, package)| package.name.clone())
                .collect()
        };
        let update = |(name, to): (&_, &&trivy::report::Package)| {
            let from = was.packages.get(name)?;
            (version(from) != version(to)).then(|| Updated {
                package: to.name.clone(),
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
                    let planned = if *system {
                        !v.fixed_version.is_empty() && plan.has(&v.package)
                    } else {
                        plan.has_library(v)
                    };
                    Remaining {
                        finding: finding(v),
                        why: why(v, *system, left_out),
                        planned,
                    }
                })
                .collect(),
            updated: is.packages.iter().filter_map(update).collect(),
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

/// Whether both reports list the same packages, of the distribution and of Python, in the same versions.
pub(crate) fn same_packages(one: &Report, other: &Report) -> bool {
    let list = |report: &Report| -> Vec<_> {
        let side = Side::of(report, &BTreeSet::new());
        let packages = side.packages.into_iter();
        let named = packages.map(|((folder, name), package)| {
            (folder.to_owned(), name, version(package).to_owned())
        });
        named.collect()
    };
    list(one) == list(other)
}

fn why(v: &Vulnerability, system: bool, left_out: &BTreeMap<String, String>) -> String {
    let fixable = !v.fixed_version.is_empty();
    if !system {
        return why_of_library(v, left_out);
    }
    if let Some(reason) = left_out.get(&v.package).filter(|_| fixable) {
        return reason.clone();
    }
    let why = match v.status.as_str() {
        _ if fixable => "the update is held back or not in the archive",
        "will_not_fix" => "the distribution will not fix it",
        "fix_deferred" => "the distribution has put the fix off",
        "end_of_life" => "the distribution's support has ended",
        "under_investigation" => "the distribution is looking into it",
        _ => "there is no fixed version yet",
    };
    why.into()
}

fn why_of_library(v: &Vulnerability, left_out: &BTreeMap<String, String>) -> String {
    if v.fixed_version.is_empty() || Place::of(&v.package_path).is_none() {
        return "it is in no package of the distribution".into();
    }
    if python::step(&v.installed_version, &v.fixed_version).is_none() {
        let fixed = &v.fixed_version;
        return format!("only another major version mends it, {fixed}: that takes a new build");
    }
    let reason = left_out.get(&v.package).cloned();
    reason.unwrap_or_else(|| {
        "it is a package of Python: `package-types: os,library` or a new build mends it".into()
    })
}
