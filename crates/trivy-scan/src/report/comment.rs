//! The comment on a pull request: what it changes, and what it leaves.

use actions_toolkit::text;
use findings::{Counts, Finding};

use super::{changes, counts, findings_table};
use crate::scan::Answer;

const ROWS: usize = 25;

/// The comment in Markdown, and whether it says anything that a reviewer should see unasked.
pub(crate) fn comment(answers: &[Answer], run_url: Option<&str>) -> (String, bool) {
    let all = counts(answers);
    let changed = changes(answers);
    let mut out = match changed {
        Some((0, 0)) => format!("### ✅ Trivy: nothing new, {}\n\n", all.to_string()),
        Some((0, fixed)) => format!("### ✅ Trivy: {fixed} fixed, {}\n\n", all.to_string()),
        Some((new, fixed)) => {
            format!(
                "### 🔎 Trivy: {new} new, {fixed} fixed, {}\n\n",
                all.to_string()
            )
        }
        None if all.total() == 0 => "### ✅ Trivy: no findings\n\n".to_owned(),
        None => format!("### 🔎 Trivy: {}\n\n", all.to_string()),
    };
    for answer in answers {
        out.push_str(&part(answer, answers.len() > 1));
    }
    if let Some(url) = run_url {
        out.push_str(&format!(
            "\n[Everything in the summary of the run]({url})\n"
        ));
    }
    let worth = changed.map_or(all.total() > 0, |(new, fixed)| new + fixed > 0);
    (out, worth)
}

fn part(answer: &Answer, titled: bool) -> String {
    let open = || {
        answer
            .findings
            .iter()
            .enumerate()
            .filter(|(_, f)| f.is_open())
    };
    let (shown, label): (Vec<&Finding>, _) = match &answer.comparison {
        Some(comparison) => {
            let new = open().filter(|(at, _)| comparison.new.get(*at) == Some(&true));
            (new.map(|(_, finding)| finding).collect(), "New")
        }
        None => (open().map(|(_, finding)| finding).collect(), "Found"),
    };
    let mut out = String::new();
    if titled {
        let words = Counts::from_iter(&answer.findings);
        let name = text::code(&answer.name);
        out.push_str(&format!("#### {} {name}: {words}\n\n", answer.target.kind));
    }
    if !shown.is_empty() {
        out.push_str(&format!(
            "**{label}**\n\n{}\n",
            findings_table(&shown, ROWS)
        ));
    }
    let Some(comparison) = &answer.comparison else {
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
