//! The findings in a text file.

use findings::Counts;

use super::findings::log_line;
use super::hidden_message;
use crate::filter::Filter;
use crate::scan::ScanOutcome;

/// Every open finding that is shown in a line below its target, and what was not scanned.
pub(crate) fn table(outcomes: &[ScanOutcome], filter: &Filter) -> String {
    let mut out = String::new();
    for outcome in outcomes {
        let counts: Counts = outcome.findings.iter().collect();
        if !out.is_empty() {
            out.push('\n');
        }
        out.push_str(&format!(
            "{} {} ({}): {counts}\n",
            outcome.target.scan_type,
            outcome.title(),
            outcome.coverage.scanned
        ));
        let open = outcome.findings.iter().filter(|finding| finding.is_open());
        for finding in open {
            out.push_str(&log_line(finding));
            out.push('\n');
        }
        for gap in &outcome.coverage.gaps {
            out.push_str(&format!("warning: {gap}\n"));
        }
        if let Some(message) = hidden_message(filter, [outcome]) {
            out.push_str(&format!("{message}\n"));
        }
    }
    out
}
