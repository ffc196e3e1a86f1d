//! Findings as lines of the log and rows of a table.

use ::findings::{Finding, Package, Subject};
use actions_toolkit::text::{self, Table, plural};

/// Findings in the log; the others are in the report.
const LINES: usize = 20;
/// Bytes of a title in a table.
const TITLE: usize = 120;

/// The open findings as lines of the log, the worst first.
pub(crate) fn log_lines(findings: &[Finding]) -> Vec<String> {
    let open: Vec<_> = findings
        .iter()
        .filter(|finding| finding.is_open())
        .collect();
    let mut lines: Vec<_> = open.iter().take(LINES).map(|f| log_line(f)).collect();
    if open.len() > LINES {
        lines.push(format!("… and {} more", open.len() - LINES));
    }
    lines
}

/// An open finding in one line.
pub(super) fn log_line(finding: &Finding) -> String {
    let severity = finding.severity.name();
    let rule = &finding.rule.id;
    match &finding.subject {
        Subject::Package(package) => format!(
            "{severity:<8}  {rule:<18}  {} {} → {}",
            package.name,
            package.installed,
            fixed(package)
        ),
        Subject::License { package } if !package.is_empty() => format!(
            "{severity:<8}  {rule:<18}  {package} ({})",
            finding.location.path
        ),
        Subject::Check { .. } | Subject::Secret | Subject::License { .. } => format!(
            "{severity:<8}  {rule:<18}  {}:{}  {}",
            finding.location.path, finding.location.line, finding.rule.title
        ),
    }
}

fn fixed(package: &Package) -> &str {
    match (package.fixed.as_str(), package.status.as_str()) {
        ("", "will_not_fix") => "will not be fixed",
        ("", "end_of_life") => "end of life",
        ("", _) => "no fix yet",
        (fixed, _) => fixed,
    }
}

/// The first `limit` of `findings` as a Markdown table; empty if there are none.
pub(crate) fn findings_table(findings: &[&Finding], limit: usize) -> String {
    if findings.is_empty() {
        return String::new();
    }
    let mut table = Table::new(["Severity", "Finding", "Where", "Fixed in"]);
    for finding in findings.iter().take(limit) {
        let (location, fixed) = match &finding.subject {
            Subject::Package(package) => (
                text::code(&format!("{} {}", package.name, package.installed)),
                text::markdown(fixed(package)),
            ),
            Subject::License { package } if !package.is_empty() => {
                (text::code(package), String::new())
            }
            Subject::Check { .. } | Subject::Secret | Subject::License { .. } => (
                text::code(&format!(
                    "{}:{}",
                    finding.location.path, finding.location.line
                )),
                String::new(),
            ),
        };
        table.row([
            finding.severity.name().to_owned(),
            format!(
                "{} {}",
                link(finding),
                text::markdown(text::cut(&finding.rule.title, TITLE))
            ),
            location,
            fixed,
        ]);
    }
    let mut out = table.to_string();
    if findings.len() > limit {
        out.push_str(&format!(
            "\n… and {}; the report has all of them.\n",
            plural(findings.len() - limit, "more finding")
        ));
    }
    out
}

fn link(finding: &Finding) -> String {
    let id = text::markdown(&finding.rule.id);
    let url = &finding.rule.url;
    if url.starts_with("https://") {
        format!("[{id}]({})", url.replace(['(', ')', ' '], ""))
    } else {
        id
    }
}
