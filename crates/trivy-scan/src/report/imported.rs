//! What was uploaded of other scanners.

use actions_toolkit::Context;
use actions_toolkit::text::{self, Table};

use crate::publish::Imported;

/// Set the output, and log what is uploaded.
pub(crate) fn log_imported(ctx: &Context, imported: &Imported) {
    let log = ctx.log();
    ctx.output("sarif-results", imported.levels().total());
    for row in &imported.rows {
        log.info(format!(
            "`{}`: {} of {}, as {}",
            row.file, row.levels, row.tool, row.category
        ));
        for remark in &row.remarks {
            log.info(format!("  {remark}"));
        }
    }
    for remark in remarks(imported) {
        log.warning(remark);
    }
}

/// The section of the summary.
pub(crate) fn imported_section(imported: &Imported) -> String {
    let mut out = format!("\n## SARIF files: {}\n\n", imported.levels());
    let mut table = Table::new(["File", "Tool", "Results", "Category", "Changed"]);
    table.extend(imported.rows.iter().map(|row| {
        [
            text::code(&row.file),
            text::markdown(&row.tool),
            row.levels.to_string(),
            text::code(&row.category),
            text::markdown(&row.remarks.join("; ")),
        ]
    }));
    out.push_str(&table.to_string());
    for remark in remarks(imported) {
        out.push_str(&format!("\n> ⚠️ {}\n", text::markdown(&remark)));
    }
    out
}

fn remarks(imported: &Imported) -> Vec<String> {
    let mut remarks = Vec::new();
    if imported.rows.is_empty() {
        remarks
            .push("the files of `sarif` have no analysis; there is nothing to upload".to_owned());
    }
    if imported.omitted > 0 {
        remarks.push(format!(
            "{} of the lowest severities are not uploaded; GitHub accepts 10 MB",
            text::plural(imported.omitted, "result")
        ));
    }
    remarks
}
