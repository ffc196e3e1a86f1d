//! What a person reads: the table in the log, the summary.

use actions_toolkit::text::{self, plural};
use trivy::{Origin, Report, Severity};

use crate::findings::{Counts, Finding};

/// Rows of the summary's table; the rest is in the Security tab and in the report.
const ROWS: usize = 50;
/// Lines of the log's table.
const LINES: usize = 20;

/// The counts in words: `1 critical, 3 high (2 fixable)`.
pub(crate) fn counts(counts: &Counts) -> String {
    if counts.total() == 0 {
        return "no findings".to_owned();
    }
    let parts: Vec<_> = Severity::WORST_FIRST
        .iter()
        .filter(|severity| counts.get(**severity) > 0)
        .map(|severity| format!("{} {severity}", counts.get(*severity)))
        .collect();
    format!("{} ({} fixable)", parts.join(", "), counts.fixable)
}

/// The findings as lines of text, the worst first.
pub(crate) fn table(findings: &[Finding]) -> Vec<String> {
    let open: Vec<_> = findings
        .iter()
        .filter(|finding| finding.suppressed.is_none())
        .collect();
    let mut lines: Vec<_> = open
        .iter()
        .take(LINES)
        .map(|finding| match &finding.package {
            Some(package) => {
                let fixed = if package.fixed.is_empty() {
                    "no fix yet"
                } else {
                    &package.fixed
                };
                format!(
                    "{:<8}  {:<18}  {} {} → {fixed}",
                    finding.severity.name(),
                    finding.rule,
                    package.name,
                    package.installed
                )
            }
            None => format!(
                "{:<8}  {:<18}  {}:{}  {}",
                finding.severity.name(),
                finding.rule,
                finding.path,
                finding.line,
                finding.title
            ),
        })
        .collect();
    if open.len() > LINES {
        lines.push(format!("… and {} more", open.len() - LINES));
    }
    lines
}

/// What was not looked at, or not as one would think.
pub(crate) fn gaps(report: &Report) -> Vec<String> {
    let mut found = Vec::new();
    if let Some(os) = report.metadata.os.as_ref().filter(|os| os.end_of_life) {
        found.push(format!(
            "{} {} is out of support: nobody says any more what is vulnerable in it",
            os.family, os.name
        ));
    }
    let packages: usize = report
        .results
        .iter()
        .map(|result| result.packages.len())
        .sum();
    let configuration = report
        .results
        .iter()
        .any(|result| result.misconf_summary.is_some() || result.class == "config");
    if packages == 0 && !configuration {
        found.push("no packages were found: there was nothing to scan".to_owned());
    }
    found
}

/// Everything that the summary tells.
pub(crate) struct Summary<'a> {
    pub(crate) name: &'a str,
    pub(crate) counts: &'a Counts,
    pub(crate) findings: &'a [Finding],
    pub(crate) gaps: &'a [String],
    pub(crate) database: Option<(u64, &'a Origin)>,
    pub(crate) security_tab: Option<String>,
}

impl Summary<'_> {
    /// As Markdown.
    pub(crate) fn markdown(&self) -> String {
        let mark = if self.counts.total() == 0 {
            "✅"
        } else {
            "🔎"
        };
        let mut out = format!(
            "## {mark} Trivy: {} in {}\n\n",
            counts(self.counts),
            text::code(self.name)
        );
        for gap in self.gaps {
            out.push_str(&format!("> ⚠️ {}\n\n", text::markdown(gap)));
        }
        let open: Vec<_> = self
            .findings
            .iter()
            .filter(|finding| finding.suppressed.is_none())
            .collect();
        if !open.is_empty() {
            out.push_str("| Severity | Finding | Where | Fixed in |\n|---|---|---|---|\n");
        }
        for finding in open.iter().take(ROWS) {
            let name = if finding.url.starts_with("https://") {
                format!(
                    "[{}]({})",
                    text::markdown(&finding.rule),
                    finding.url.replace(['(', ')', ' '], "")
                )
            } else {
                text::markdown(&finding.rule)
            };
            let (place, fixed) = match &finding.package {
                Some(package) => (
                    text::code(&format!("{} {}", package.name, package.installed)),
                    text::markdown(&package.fixed),
                ),
                None => (
                    text::code(&format!("{}:{}", finding.path, finding.line)),
                    String::new(),
                ),
            };
            out.push_str(&format!(
                "| {} | {name} {} | {place} | {fixed} |\n",
                finding.severity.name(),
                text::markdown(cut_title(&finding.title))
            ));
        }
        if open.len() > ROWS {
            out.push_str(&format!(
                "\n… and {}; the report has all of them.\n",
                plural(open.len() - ROWS, "more finding")
            ));
        }
        let suppressed: Vec<_> = self
            .findings
            .iter()
            .filter_map(|f| Some((f, f.suppressed.as_ref()?)))
            .collect();
        if !suppressed.is_empty() {
            out.push_str(&format!(
                "\n<details><summary>{} suppressed</summary>\n\n",
                suppressed.len()
            ));
            for (finding, reason) in suppressed.iter().take(ROWS) {
                out.push_str(&format!(
                    "- {}: {}\n",
                    text::markdown(&finding.rule),
                    text::markdown(reason)
                ));
            }
            out.push_str("\n</details>\n");
        }
        if let Some((age, origin)) = &self.database {
            let origin = match origin {
                Origin::Mirror(mirror) => text::code(mirror),
                Origin::Cache => "the cache".to_owned(),
            };
            out.push_str(&format!(
                "\nVulnerability database: {age} h old, from {origin}.\n"
            ));
        }
        if let Some(url) = &self.security_tab {
            out.push_str(&format!("\n[Security tab]({url})\n"));
        }
        out
    }
}

fn cut_title(title: &str) -> &str {
    text::cut(title, 120)
}
