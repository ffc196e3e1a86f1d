//! The log of the step.

use actions_toolkit::Context;
use findings::Counts;

use super::{changes, hidden_message, log_lines};
use crate::baseline::dismissed_message;
use crate::request::Request;
use crate::scan::ScanOutcome;

/// Log findings, coverage and remarks.
pub(crate) fn log(ctx: &Context, request: &Request, outcomes: &[ScanOutcome], remarks: &[String]) {
    let log = ctx.log();
    for outcome in outcomes {
        let counts: Counts = outcome.findings.iter().collect();
        for line in log_lines(&outcome.findings) {
            log.info(line);
        }
        log.info(format!(
            "{} `{}` ({}): {}",
            outcome.target.scan_type,
            outcome.title(),
            outcome.coverage.scanned,
            counts
        ));
        for gap in &outcome.coverage.gaps {
            log.warning(gap);
        }
    }
    if let Some((new, fixed)) = changes(outcomes) {
        log.info(format!(
            "{new} new, {fixed} fixed compared with the baseline"
        ));
    }
    if let Some(message) = hidden_message(&request.filter, outcomes) {
        log.info(message);
    }
    if let Some(message) = dismissed_message(outcomes) {
        log.info(message);
    }
    for remark in remarks {
        log.warning(remark);
    }
}
