//! The reports before and after the patch compared.

mod report_index;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use trivy::report::{Package, Vulnerability};
use trivy::{Report, Severity};

use super::Counts;
use crate::patch::Plan;
use crate::patch::python::{self, Location};
use report_index::{ReportIndex, version};

/// Why a package with an update was left as it was, when the plan is made of a report that was given.
const NOT_REPORTED: &str = "the given report does not have it, so its package was not updated; leave `report` empty to update all";

/// A finding that the patched image still has.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Remaining {
    pub(crate) finding: Vulnerability,
    pub(crate) reason: String,
    /// Whether the plan had an update that fixes it.
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

/// What the patch changed.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Comparison {
    pub(crate) fixed: Vec<Vulnerability>,
    pub(crate) remaining: Vec<Remaining>,
    pub(crate) updated: Vec<Updated>,
    /// Names of new packages.
    pub(crate) added: Vec<String>,
    /// Names of packages that are gone.
    pub(crate) removed: Vec<String>,
    /// Findings that only the later report has; they are among `remaining` too.
    pub(crate) new: Vec<Vulnerability>,
    /// Findings that are gone although their package is the same: the other database did not have them.
    pub(crate) forgotten: Vec<Vulnerability>,
    /// Why the report before the patch lacks the findings `new`, if it shows.
    pub(crate) filter: Option<ReportFilter>,
}

/// What a report was limited to when it was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ReportFilter {
    /// `--severity`: the severities that it has.
    Severity(BTreeSet<Severity>),
    /// `--ignore-unfixed`.
    IgnoreUnfixed,
}

impl fmt::Display for ReportFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Severity(severities) => {
                let names: Vec<_> = severities.iter().map(ToString::to_string).collect();
                write!(
                    f,
                    "only findings of severity {}, as one made with `--severity`",
                    names.join(", ")
                )
            }
            Self::IgnoreUnfixed => f.write_str(
                "only findings that have a fixed version, as one made with `--ignore-unfixed`",
            ),
        }
    }
}

impl ReportFilter {
    // What the findings of `report` have in common, and none of `missing` has.
    fn new(report: &ReportIndex<'_>, missing: &[Vulnerability]) -> Option<Self> {
        let has: Vec<_> = report.findings.values().map(|(v, _)| *v).collect();
        if has.is_empty() || missing.is_empty() {
            return None;
        }
        let severities: BTreeSet<_> = has.iter().map(|v| v.severity).collect();
        if !missing.iter().any(|v| severities.contains(&v.severity)) {
            return Some(Self::Severity(severities));
        }
        let is_fixed = |v: &Vulnerability| !v.fixed_version.is_empty();
        let unfixed = has.iter().all(|v| is_fixed(v)) && !missing.iter().any(is_fixed);
        unfixed.then_some(Self::IgnoreUnfixed)
    }
}

impl Comparison {
    /// Compare the reports before and after `plan`, whose packages in `skipped` were not updated; findings of
    /// `suppressed` (package and id) do not count.
    pub(crate) fn new(
        before: &Report,
        after: &Report,
        plan: &Plan,
        skipped: &BTreeMap<String, String>,
        suppressed: &BTreeSet<(String, String)>,
    ) -> Self {
        let was = ReportIndex::new(before, suppressed);
        let is = ReportIndex::new(after, suppressed);
        let gone = missing(&was, &is);
        let (forgotten, fixed) = gone.into_iter().partition(|v| is.has_package_of(v));
        let absent = |from: &ReportIndex<'_>, other: &ReportIndex<'_>| {
            let packages = from.packages.iter();
            packages
                .filter(|(key, _)| !other.packages.contains_key(*key))
                .map(|(_, package)| package.name.clone())
                .collect()
        };
        let update = |(key, to): (&_, &&Package)| {
            let from = was.packages.get(key)?;
            (version(from) != version(to)).then(|| Updated {
                package: to.name.clone(),
                from: version(from).to_owned(),
                to: version(to).to_owned(),
                purl: to.identifier.purl.clone(),
            })
        };
        let remaining = is.findings.values().map(|(v, system)| Remaining {
            finding: (*v).clone(),
            reason: if *system && !v.fixed_version.is_empty() && !plan.has(&v.package) {
                NOT_REPORTED.to_owned()
            } else {
                reason(v, *system, skipped)
            },
            planned: if *system {
                !v.fixed_version.is_empty() && plan.has(&v.package)
            } else {
                plan.has_library(v)
            },
        });
        let new = missing(&is, &was);
        Self {
            fixed,
            forgotten,
            filter: ReportFilter::new(&was, &new),
            remaining: remaining.collect(),
            updated: is.packages.iter().filter_map(update).collect(),
            added: absent(&is, &was),
            removed: absent(&was, &is),
            new,
        }
    }

    /// The findings before the patch.
    pub(crate) fn before(&self) -> Counts {
        let remaining = self.remaining.iter().map(|remaining| &remaining.finding);
        let old = remaining.filter(|finding| !self.new.contains(finding));
        old.chain(&self.fixed).map(|v| v.severity).collect()
    }

    /// The findings after it.
    pub(crate) fn after(&self) -> Counts {
        let remaining = self.remaining.iter();
        remaining.map(|r| r.finding.severity).collect()
    }

    /// Whether both databases had the same: each finding came or went with its package.
    pub(crate) fn is_of_one_database(&self) -> bool {
        self.new.is_empty() && self.forgotten.is_empty()
    }

    /// Whether a finding remains that the plan had an update for.
    pub(crate) fn is_partial(&self) -> bool {
        self.remaining.iter().any(|remaining| remaining.planned)
    }

    /// Why the patched image must not replace the original, if it must not.
    pub(crate) fn objection(&self) -> Option<String> {
        if !self.added.is_empty() {
            let added = self.added.join(", ");
            Some(format!("the patch installed new packages: {added}"))
        } else if !self.removed.is_empty() {
            let removed = self.removed.join(", ");
            Some(format!("the patch removed packages: {removed}"))
        } else if !self.new.is_empty() {
            let new = self.new.iter();
            let new: Vec<_> = new.map(|v| format!("{} in {}", v.id, v.package)).collect();
            let new = new.join(", ");
            Some(format!("the patched image has new findings: {new}"))
        } else if self.fixed.is_empty() {
            Some("the patch fixed no findings".into())
        } else {
            None
        }
    }

    /// The numbers of findings before and after, by severity, worst first, without empty rows.
    pub(crate) fn by_severity(&self) -> Vec<(Severity, usize, usize)> {
        Counts::rows(self.before(), self.after()).collect()
    }
}

// The findings of `from` that `other` does not have.
fn missing(from: &ReportIndex<'_>, other: &ReportIndex<'_>) -> Vec<Vulnerability> {
    let findings = from.findings.iter();
    findings
        .filter(|(key, _)| !other.findings.contains_key(*key))
        .map(|(_, (v, _))| (*v).clone())
        .collect()
}

/// How many findings of a report a comparison counts: those of `suppressed` (package and id) are excluded.
pub(crate) fn findings(report: &Report, suppressed: &BTreeSet<(String, String)>) -> Counts {
    let index = ReportIndex::new(report, suppressed);
    index.findings.values().map(|(v, _)| v.severity).collect()
}

/// Whether both reports list the same packages, of the distribution and of Python, in the same versions.
pub(crate) fn same_packages(one: &Report, other: &Report) -> bool {
    let list = |report: &Report| -> Vec<_> {
        let index = ReportIndex::new(report, &BTreeSet::new());
        let packages = index.packages.into_iter();
        let named = packages.map(|((directory, name), package)| {
            (directory.to_owned(), name, version(package).to_owned())
        });
        named.collect()
    };
    list(one) == list(other)
}

/// The findings of an image that is not patched, as [`findings`] counts them: id, package, and why no patch fixes them.
pub(crate) fn remaining(
    report: &Report,
    suppressed: &BTreeSet<(String, String)>,
) -> Vec<[String; 3]> {
    let none = BTreeMap::new();
    let index = ReportIndex::new(report, suppressed);
    let findings = index.findings.values();
    let row = |(v, system): &(&Vulnerability, bool)| {
        [v.id.clone(), v.package.clone(), reason(v, *system, &none)]
    };
    findings.map(row).collect()
}

fn reason(v: &Vulnerability, system: bool, skipped: &BTreeMap<String, String>) -> String {
    let fixable = !v.fixed_version.is_empty();
    if !system {
        return library_reason(v, skipped);
    }
    if let Some(reason) = skipped.get(&v.package).filter(|_| fixable) {
        return reason.clone();
    }
    let reason = match v.status.as_str() {
        _ if fixable => "the update is held back or not in the archive",
        "will_not_fix" => "the distribution will not fix it",
        "fix_deferred" => "the distribution has deferred the fix",
        "end_of_life" => "the distribution has reached end of life",
        "under_investigation" => "the distribution is investigating it",
        _ => "there is no fixed version yet",
    };
    reason.into()
}

fn library_reason(v: &Vulnerability, skipped: &BTreeMap<String, String>) -> String {
    if v.fixed_version.is_empty() {
        return "there is no fixed version yet".into();
    }
    if Location::parse(&v.package_path).is_none() {
        let fixed = &v.fixed_version;
        return format!(
            "{fixed} fixes it, but only packages of the distribution and of Python can be patched; rebuild the image with it"
        );
    }
    if python::minor_update(&v.installed_version, &v.fixed_version).is_none() {
        let fixed = &v.fixed_version;
        return format!("only another major version fixes it ({fixed}); rebuild the image with it");
    }
    let reason = skipped.get(&v.package).cloned();
    reason.unwrap_or_else(|| {
        "it is a Python package; set `package-types: os,library`, or rebuild the image".into()
    })
}
