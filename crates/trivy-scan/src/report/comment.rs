//! The comment on a pull request: new, fixed and unchanged findings.

use actions_toolkit::text;
use findings::{Counts, Finding};

use super::{changes, counts, findings_table, hidden_message};
use crate::filter::Filter;
use crate::scan::{Failure, ScanOutcome};

const ROWS: usize = 25;

/// The comment in Markdown, and whether it is worth a new comment: there are findings, or changes.
pub(crate) fn comment(
    outcomes: &[ScanOutcome],
    failures: &[Failure],
    filter: &Filter,
    run_url: Option<&str>,
) -> (String, bool) {
    let all = counts(outcomes);
    let hidden = hidden_message(filter, outcomes);
    let shown = match all.total() {
        0 if hidden.is_some() => "no findings shown".to_owned(),
        _ => all.to_string(),
    };
    let changed = changes(outcomes);
    let mut out = match changed {
        Some((0, 0)) => format!("### ✅ Trivy: nothing new, {shown}\n\n"),
        Some((0, fixed)) => format!("### ✅ Trivy: {fixed} fixed, {shown}\n\n"),
        Some((new, fixed)) => {
            format!("### 🔎 Trivy: {new} new, {fixed} fixed, {shown}\n\n")
        }
        None if all.total() == 0 && hidden.is_none() => format!("### ✅ Trivy: {shown}\n\n"),
        None => format!("### 🔎 Trivy: {shown}\n\n"),
    };
    if let Some(message) = hidden {
        out.push_str(&format!("{message}\n\n"));
    }
    for failure in failures {
        let error = failure.to_string();
        let message = text::markdown(text::cut(&error, 500));
        out.push_str(&format!("> ⚠️ {message}\n\n"));
    }
    for outcome in outcomes {
        out.push_str(&section(outcome, outcomes.len() > 1));
    }
    if let Some(url) = run_url {
        out.push_str(&format!(
            "\n[Everything in the summary of the run]({url})\n"
        ));
    }
    let is_relevant = changed.map_or(all.total() > 0, |(new, fixed)| new + fixed > 0);
    (out, is_relevant || !failures.is_empty())
}

fn section(outcome: &ScanOutcome, titled: bool) -> String {
    let open = || {
        outcome
            .findings
            .iter()
            .enumerate()
            .filter(|(_, f)| f.is_open())
    };
    let (shown, label): (Vec<&Finding>, _) = match &outcome.comparison {
        Some(comparison) => {
            let new = open().filter(|(at, _)| comparison.new.get(*at) == Some(&true));
            (new.map(|(_, finding)| finding).collect(), "New")
        }
        None => (open().map(|(_, finding)| finding).collect(), "Found"),
    };
    let mut out = String::new();
    if titled {
        let counts: Counts = outcome.findings.iter().collect();
        let name = text::code(&outcome.title());
        out.push_str(&format!(
            "#### {} {name}: {counts}\n\n",
            outcome.target.scan_type
        ));
    }
    if !shown.is_empty() {
        out.push_str(&format!(
            "**{label}**\n\n{}\n",
            findings_table(&shown, ROWS)
        ));
    }
    let Some(comparison) = &outcome.comparison else {
        return out;
    };
    if !comparison.fixed.is_empty() {
        out.push_str("**Fixed**\n\n");
        for (_, message) in comparison.fixed.iter().take(ROWS) {
            out.push_str(&format!("- {}\n", text::markdown(text::cut(message, 200))));
        }
        if comparison.fixed.len() > ROWS {
            out.push_str(&format!("- … and {} more\n", comparison.fixed.len() - ROWS));
        }
        out.push('\n');
    }
    let unchanged = open().count() - shown.len();
    if unchanged > 0 {
        out.push_str(&format!("{unchanged} unchanged.\n\n"));
    }
    out
}
