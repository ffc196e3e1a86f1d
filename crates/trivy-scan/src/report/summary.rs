//! The summary of the step.

use actions_toolkit::text;
use findings::{Counts, Finding};
use trivy::{Database, Origin};

use super::{changes, counts, findings_table};
use crate::scan::Answer;

/// Rows of a table; the rest is in the Security tab and in the report.
const ROWS: usize = 50;

/// What the summary tells beside the findings.
#[derive(Default)]
pub(crate) struct Facts<'a> {
    pub(crate) database: Option<&'a Database>,
    pub(crate) security_tab: Option<String>,
    /// What a person should know about the whole step.
    pub(crate) remarks: Vec<String>,
}

/// The summary in Markdown.
pub(crate) fn summary(answers: &[Answer], facts: &Facts<'_>) -> String {
    let mut out = String::new();
    if let [answer] = answers {
        out.push_str(&heading("##", answer));
    } else {
        let all = counts(answers);
        out.push_str(&format!("## {} Trivy: {}\n\n", mark(&all), all.to_string()));
        out.push_str("| Target | Findings | Scanned |\n|---|---|---|\n");
        for answer in answers {
            out.push_str(&format!(
                "| {} {} | {} | {} |\n",
                answer.target.kind,
                text::code(&answer.name),
                Counts::from_iter(&answer.findings),
                text::markdown(&answer.coverage.scanned)
            ));
        }
        out.push('\n');
    }
    if let Some((new, fixed)) = changes(answers) {
        out.push_str(&format!(
            "{new} new, {fixed} fixed beside the baseline.\n\n"
        ));
    }
    for remark in &facts.remarks {
        out.push_str(&format!("> ⚠️ {}\n\n", text::markdown(remark)));
    }
    for answer in answers {
        if answers.len() > 1 {
            out.push_str(&heading("\n###", answer));
        }
        out.push_str(&part(answer));
    }
    if let Some(database) = facts.database {
        out.push_str(&format!(
            "\nVulnerability database: {}.\n",
            origin(database)
        ));
    }
    if let Some(url) = &facts.security_tab {
        out.push_str(&format!("\n[Security tab]({url})\n"));
    }
    out
}

fn mark(counts: &Counts) -> &'static str {
    if counts.total() == 0 { "✅" } else { "🔎" }
}

fn heading(level: &str, answer: &Answer) -> String {
    let counts = Counts::from_iter(&answer.findings);
    format!(
        "{level} {} Trivy: {} in {}\n\n",
        mark(&counts),
        counts.to_string(),
        text::code(&answer.name)
    )
}

fn part(answer: &Answer) -> String {
    let mut out = String::new();
    for gap in &answer.coverage.gaps {
        out.push_str(&format!("> ⚠️ {}\n\n", text::markdown(gap)));
    }
    let open: Vec<&Finding> = answer.findings.iter().filter(|f| f.is_open()).collect();
    out.push_str(&findings_table(&open, ROWS));
    let suppressed: Vec<_> = answer
        .findings
        .iter()
        .filter_map(|finding| Some((finding, finding.suppressed.as_ref()?)))
        .collect();
    if !suppressed.is_empty() {
        out.push_str(&format!(
            "\n<details><summary>{} suppressed</summary>\n\n",
            suppressed.len()
        ));
        for (finding, reason) in suppressed.iter().take(ROWS) {
            out.push_str(&format!(
                "- {}{}: {}\n",
                text::markdown(&finding.rule.id),
                finding
                    .package()
                    .map_or_else(String::new, |p| format!(" in {}", text::code(&p.name))),
                text::markdown(&reason.text())
            ));
        }
        out.push_str("\n</details>\n");
    }
    out
}

fn origin(database: &Database) -> String {
    let hours = database.age.as_secs() / 3600;
    match &database.origin {
        Origin::Mirror(mirror) => format!("{hours} h old, from {}", text::code(mirror)),
        Origin::Cache => format!("{hours} h old, from the cache"),
        Origin::Stale(_) => format!("{hours} h old, from the cache: no mirror gave a newer one"),
    }
}
