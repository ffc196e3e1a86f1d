//! The summary of the step.

use actions_toolkit::text::{self, Table};
use findings::{Counts, Finding};
use trivy::{Database, Origin};

use super::{changes, counts, findings_table, hidden_message};
use crate::filter::Filter;
use crate::scan::ScanOutcome;

/// Rows of a table; the report has all findings.
const ROWS: usize = 50;

/// What the summary has next to the outcomes.
#[derive(Default)]
pub(crate) struct Facts<'a> {
    pub(crate) database: Option<&'a Database>,
    pub(crate) filter: Filter,
    pub(crate) security_tab: Option<String>,
    /// On the whole step.
    pub(crate) remarks: Vec<String>,
}

/// The summary in Markdown.
pub(crate) fn summary(outcomes: &[ScanOutcome], facts: &Facts<'_>) -> String {
    let mut out = String::new();
    if let [outcome] = outcomes {
        out.push_str(&heading("##", outcome));
        // Not all of a registry is scanned from its layers.
        if outcome.target.listed.is_some() {
            let scanned = text::markdown(&outcome.coverage.scanned);
            out.push_str(&format!("Scanned: {scanned}.\n\n"));
        }
    } else {
        let all = counts(outcomes);
        out.push_str(&format!("## {} Trivy: {}\n\n", mark(&all), all));
        let mut table = Table::new(["Target", "Findings", "Scanned"]);
        table.extend(outcomes.iter().map(|outcome| {
            let counts: Counts = outcome.findings.iter().collect();
            [
                format!(
                    "{} {}",
                    outcome.target.scan_type,
                    text::code(&outcome.title())
                ),
                counts.to_string(),
                text::markdown(&outcome.coverage.scanned),
            ]
        }));
        out.push_str(&table.to_string());
        out.push('\n');
    }
    if let Some((new, fixed)) = changes(outcomes) {
        out.push_str(&format!(
            "{new} new, {fixed} fixed compared with the baseline.\n\n"
        ));
    }
    for remark in &facts.remarks {
        out.push_str(&format!("> ⚠️ {}\n\n", text::markdown(remark)));
    }
    for outcome in outcomes {
        if outcomes.len() > 1 {
            out.push_str(&heading("\n###", outcome));
        }
        out.push_str(&section(outcome, &facts.filter));
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

fn heading(level: &str, outcome: &ScanOutcome) -> String {
    let counts: Counts = outcome.findings.iter().collect();
    format!(
        "{level} {} Trivy: {} in {}\n\n",
        mark(&counts),
        counts,
        text::code(&outcome.title())
    )
}

fn section(outcome: &ScanOutcome, filter: &Filter) -> String {
    let mut out = String::new();
    for gap in &outcome.coverage.gaps {
        out.push_str(&format!("> ⚠️ {}\n\n", text::markdown(gap)));
    }
    let open: Vec<&Finding> = outcome.findings.iter().filter(|f| f.is_open()).collect();
    out.push_str(&findings_table(&open, ROWS));
    if let Some(message) = hidden_message(filter, [outcome]) {
        out.push_str(&format!("\n{message}\n"));
    }
    out.push_str(&dismissed(outcome));
    let suppressed: Vec<_> = outcome
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

// Which findings the gate accepts, who dismissed them, and why.
fn dismissed(outcome: &ScanOutcome) -> String {
    if outcome.dismissed.is_empty() {
        return String::new();
    }
    let mut out = format!(
        "\n<details><summary>{} dismissed on GitHub, accepted by the gate</summary>\n\n",
        outcome.dismissed.len()
    );
    for (at, alert) in outcome.dismissed.iter().take(ROWS) {
        let finding = &outcome.findings[*at];
        let place = finding.package().map_or_else(
            || {
                text::code(&format!(
                    "{}:{}",
                    finding.location.path, finding.location.line
                ))
            },
            |package| text::code(&package.name),
        );
        let parts = [alert.reason(), alert.comment()];
        let parts: Vec<_> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        let by = match alert.by() {
            "" => String::new(),
            login => format!(" by {}", text::code(login)),
        };
        out.push_str(&format!(
            "- {} in {place}: {}{by} (alert {})\n",
            text::markdown(&finding.rule.id),
            text::markdown(text::cut(&parts.join(": "), 300)),
            alert.number
        ));
    }
    out.push_str("\n</details>\n");
    out
}

fn origin(database: &Database) -> String {
    let hours = database.age.as_secs() / 3600;
    match &database.origin {
        Origin::Mirror(mirror) => format!("{hours} h old, from {}", text::code(mirror)),
        Origin::Cache => format!("{hours} h old, from the cache"),
        Origin::Server { address, version } => format!(
            "{hours} h old, of the server at {} with Trivy {}",
            text::code(address),
            text::markdown(version)
        ),
        Origin::Stale(_) => format!("{hours} h old, from the cache: no mirror has a newer one"),
    }
}
