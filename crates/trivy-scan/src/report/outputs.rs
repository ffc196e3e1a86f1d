//! The outputs of the step.

use actions_toolkit::Context;
use trivy::{Database, Severity};

use super::{changes, counts};
use crate::request::Request;
use crate::scan::ScanOutcome;

/// Set the outputs.
pub(crate) fn set_outputs(
    ctx: &Context,
    request: &Request,
    outcomes: &[ScanOutcome],
    database: Option<&Database>,
) {
    let counts = counts(outcomes);
    ctx.output("total", counts.total());
    for severity in Severity::WORST_FIRST {
        ctx.output(severity.name(), counts.get(severity));
    }
    ctx.output("fixable", counts.fixable);
    let hidden: usize = outcomes.iter().map(|outcome| outcome.hidden.len()).sum();
    ctx.output("hidden", hidden);
    if let Some((new, fixed)) = changes(outcomes) {
        ctx.output("new", new);
        ctx.output("fixed", fixed);
    }
    let reports: Vec<_> = outcomes
        .iter()
        .map(|outcome| outcome.report_file.relative())
        .collect();
    ctx.output("sarif-file", request.sarif_file.relative());
    ctx.output("report-file", reports.join("\n"));
    if let Some(file) = &request.table_file {
        ctx.output("table-file", file.relative());
    }
    if let Some(database) = database {
        ctx.output("database-age", database.age.as_secs() / 3600);
    }
}
