//! The SARIF file. Trivy's own writer merges findings, changes fingerprints with every build, and writes paths that GitHub
//! rejects.
//!
//! What GitHub reads, and its limits: docs.github.com/code-security/reference/code-scanning/sarif-support-for-code-scanning.
//! Each part borrows from its finding, and is written before the next one is made: 25,000 results take no more memory than
//! their text.

mod entries;

use std::collections::HashMap;

use anyhow::Context as _;
use serde::ser::{Serialize, SerializeMap as _, Serializer};
use trivy::Severity;

use crate::Finding;
use entries::Facts;

/// Analyses that GitHub accepts in one file.
pub const RUNS: usize = 20;
/// Results that GitHub accepts in one analysis.
pub const RESULTS: usize = 25_000;
/// Results of one analysis that GitHub shows, the worst first.
pub const SHOWN: usize = 5_000;
/// Results of a file that would not fit otherwise, the most first: [`RESULTS`], and fewer where GitHub's 10 MB are too
/// little for them.
pub fn sizes() -> impl Iterator<Item = usize> {
    std::iter::successors(Some(RESULTS), |size| Some(size * 3 / 4)).take_while(|size| *size >= 50)
}

/// Whether an analysis with this number of results may lack others of its scan.
pub fn may_be_cut(results: usize) -> bool {
    results == SHOWN || results > SHOWN && sizes().any(|size| size == results)
}

/// The worst severity of results with this `level`.
pub fn worst_of_level(level: Option<&str>) -> Severity {
    let has_level = |severity: &Severity| Some(entries::level(*severity)) == level;
    let mut severities = Severity::WORST_FIRST.into_iter();
    severities.find(has_level).unwrap_or_default()
}

/// The run id of an analysis of a patched image.
pub const PATCHED: &str = "patched";

/// The tool of an analysis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Driver {
    /// As the Security tab shows it.
    pub name: &'static str,
    /// The tool's home page.
    pub page: &'static str,
    /// Whether its findings are about security; others get no security severity.
    pub security: bool,
}

/// The scanner.
pub const TRIVY: Driver = Driver {
    name: "Trivy",
    page: "https://trivy.dev",
    security: true,
};

/// The findings of one target.
#[derive(Debug, Clone, Copy)]
pub struct Analysis<'a> {
    /// The tool that reported the findings.
    pub driver: &'a Driver,
    /// Distinguishes this analysis from others of the same commit; must not contain a tag or a digest.
    pub category: &'a str,
    /// The tool's version; empty if it is not known.
    pub version: &'a str,
    /// Open findings first, each part by severity.
    pub findings: &'a [Finding],
}

/// The open ones of `findings`, which come first: those for the Security tab.
///
/// GitHub ignores `suppressions` and opens an alert for a suppressed result: the property is not on the page above
/// (github.com/github/codeql-action/issues/1230).
pub fn open(findings: &[Finding]) -> &[Finding] {
    &findings[..findings.partition_point(Finding::is_open)]
}

/// The file for `analyses`, each with its `results` worst findings at most.
///
/// # Errors
/// When the writer fails, which is a bug.
pub fn write(analyses: &[Analysis<'_>], results: usize) -> anyhow::Result<Vec<u8>> {
    write_run("", analyses, results)
}

/// The same with the run id `run_id`, which distinguishes analyses of one category. GitHub stores it and compares the
/// category only.
///
/// # Errors
/// When the writer fails, which is a bug.
pub fn write_run(
    run_id: &str,
    analyses: &[Analysis<'_>],
    results: usize,
) -> anyhow::Result<Vec<u8>> {
    let runs = analyses.iter().map(|analysis| Run {
        analysis: *analysis,
        run_id,
        kept: kept(analysis.findings, results),
    });
    let log = Log(runs.collect());
    serde_json::to_vec(&log).context("failed to write the SARIF file")
}

// The worst come first, so the least severe are cut.
fn kept(findings: &[Finding], results: usize) -> &[Finding] {
    &findings[..findings.len().min(results)]
}

struct Log<'a>(Vec<Run<'a>>);

struct Run<'a> {
    analysis: Analysis<'a>,
    run_id: &'a str,
    kept: &'a [Finding],
}

impl Serialize for Log<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut log = serializer.serialize_map(Some(3))?;
        log.serialize_entry("$schema", "https://json.schemastore.org/sarif-2.1.0.json")?;
        log.serialize_entry("version", "2.1.0")?;
        log.serialize_entry("runs", &self.0)?;
        log.end()
    }
}

impl Serialize for Run<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (facts, index) = rules(self.kept);
        let mut run = serializer.serialize_map(Some(4))?;
        run.serialize_entry(
            "tool",
            &Tool {
                driver: self.analysis.driver,
                version: self.analysis.version,
                facts: &facts,
            },
        )?;
        run.serialize_entry(
            "automationDetails",
            &entries::automation_details(self.analysis.category, self.run_id),
        )?;
        run.serialize_entry("columnKind", "utf16CodeUnits")?;
        run.serialize_entry("results", &Results(self.kept, &index))?;
        run.end()
    }
}

// Each rule in the order in which it first appears, and its index.
fn rules(findings: &[Finding]) -> (Vec<Facts<'_>>, HashMap<&str, usize>) {
    let mut facts: Vec<Facts<'_>> = Vec::new();
    let mut index = HashMap::new();
    for finding in findings {
        let at = *index.entry(finding.rule.id.as_str()).or_insert_with(|| {
            facts.push(Facts {
                rule: &finding.rule,
                worst: Severity::Unknown,
            });
            facts.len() - 1
        });
        let worst = &mut facts[at].worst;
        *worst = (*worst).max(finding.severity);
    }
    (facts, index)
}

struct Tool<'a> {
    driver: &'a Driver,
    version: &'a str,
    facts: &'a [Facts<'a>],
}

impl Serialize for Tool<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut tool = serializer.serialize_map(Some(1))?;
        tool.serialize_entry("driver", &Component(self))?;
        tool.end()
    }
}

struct Component<'a>(&'a Tool<'a>);

impl Serialize for Component<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut driver = serializer.serialize_map(None)?;
        driver.serialize_entry("name", self.0.driver.name)?;
        if !self.0.version.is_empty() {
            driver.serialize_entry("version", self.0.version)?;
            driver.serialize_entry("semanticVersion", self.0.version)?;
        }
        driver.serialize_entry("informationUri", self.0.driver.page)?;
        driver.serialize_entry("rules", &Rules(self.0.facts, self.0.driver.security))?;
        driver.end()
    }
}

struct Rules<'a>(&'a [Facts<'a>], bool);

impl Serialize for Rules<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|facts| entries::rule(facts, self.1)))
    }
}

struct Results<'a>(&'a [Finding], &'a HashMap<&'a str, usize>);

impl Serialize for Results<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|finding| {
            let rule = self.1.get(finding.rule.id.as_str());
            entries::result(finding, rule.copied().unwrap_or_default())
        }))
    }
}

#[cfg(test)]
mod tests;
