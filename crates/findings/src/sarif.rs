//! The SARIF file: ours, since Trivy's own writer merges findings, changes identities with every build and
//! can be rejected for one odd path.
//!
//! What GitHub reads of it, and its limits: docs.github.com/code-security/reference/code-scanning/sarif-support-for-code-scanning.
//! Each part is made with the types of the schema, and written before the next one is made: 25,000 results take
//! no more memory than their text.

mod parts;

use std::collections::HashMap;

use anyhow::Context as _;
use serde::ser::{Serialize, SerializeMap as _, Serializer};
use trivy::Severity;

use crate::Finding;
use parts::Facts;

/// Results that GitHub takes in one analysis.
pub const RESULTS: usize = 25_000;
/// Results that it shows of them, the worst first.
pub const SHOWN: usize = 5_000;
/// The run id of an analysis of an image after its patch: what the patch mended is not in it.
pub const PATCHED: &str = "patched";

/// The tool that found what an analysis has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Driver {
    /// Its name, as the Security tab shows it.
    pub name: &'static str,
    /// Its home page.
    pub page: &'static str,
    /// Whether its findings are about security; others get no security severity.
    pub security: bool,
}

/// Trivy.
pub const TRIVY: Driver = Driver {
    name: "Trivy",
    page: "https://trivy.dev",
    security: true,
};

/// The findings of one target.
#[derive(Debug, Clone, Copy)]
pub struct Analysis<'a> {
    /// The tool.
    pub driver: &'a Driver,
    /// What tells this analysis from others of the same commit; no tag and no digest.
    pub category: &'a str,
    /// The tool's version; empty if it is not known.
    pub version: &'a str,
    /// Its findings, the worst first.
    pub findings: &'a [Finding],
}

/// Those of `findings` that the Security tab is to have: not the suppressed, which come last.
///
/// GitHub does not look at `suppressions`, and opens an alert of what has one: it is none of the properties that the
/// page above lists, and github.com/github/codeql-action/issues/1230 is about it.
pub fn told(findings: &[Finding]) -> &[Finding] {
    &findings[..findings.partition_point(Finding::open)]
}

/// The file for `analyses`, each with its `results` worst findings at most.
///
/// # Errors
/// When the writer fails, which only a defect of ours can bring about.
pub fn write(analyses: &[Analysis<'_>], results: usize) -> anyhow::Result<Vec<u8>> {
    write_run("", analyses, results)
}

/// The same with the run id `run_id`, which tells analyses of one category apart. GitHub keeps it and goes by the
/// category alone.
///
/// # Errors
/// When the writer fails, which only a defect of ours can bring about.
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
    serde_json::to_vec(&log).context("while writing the SARIF file")
}

// The worst come first: what does not fit is the least of them.
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
            &parts::identity(self.analysis.category, self.run_id),
        )?;
        run.serialize_entry("columnKind", "utf16CodeUnits")?;
        run.serialize_entry("results", &Results(self.kept, &index))?;
        run.end()
    }
}

// What is true of each rule, in the order in which they first appear, and the place of each.
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
        serializer.collect_seq(self.0.iter().map(|facts| parts::rule(facts, self.1)))
    }
}

struct Results<'a>(&'a [Finding], &'a HashMap<&'a str, usize>);

impl Serialize for Results<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|finding| {
            let rule = self.1.get(finding.rule.id.as_str());
            parts::result(finding, rule.copied().unwrap_or_default())
        }))
    }
}

#[cfg(test)]
mod tests;
