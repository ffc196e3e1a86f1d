//! The summary of one image.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use actions_toolkit::text::{self, Table, plural};
use oci::ImageRef;
use trivy::report::Os;

use super::end_of_life::statement;
use super::{Failure, ROWS, Skipped};
use crate::verify::Comparison;

/// Findings in one cell.
const NAMED: usize = 8;

/// The summary of a patched image: what was fixed, what remains, and why.
pub(super) fn patched_image(
    image: &ImageRef,
    patched: &ImageRef,
    result: &str,
    comparison: &Comparison,
    os: Option<&Os>,
) -> String {
    let heading = if result == "patched" {
        "Patched"
    } else {
        "Partly patched"
    };
    let mut out = format!(
        "## 🩹 {heading}: {} fixed, {} remaining\n\n{} → {}\n\n",
        plural(comparison.fixed.len(), "finding"),
        comparison.remaining.len(),
        text::code(&image.to_string()),
        text::code(&patched.to_string()),
    );
    let end_of_life = end_of_life(os);
    if !end_of_life.is_empty() {
        out.push_str(&format!("{end_of_life}\n"));
    }
    let mut severities = Table::new(["Severity", "Before", "After"]);
    for (severity, before, after) in comparison.by_severity() {
        severities.row([severity.to_string(), before.to_string(), after.to_string()]);
    }
    out.push_str(&severities.to_string());
    out.push_str(&packages(comparison));
    out.push_str(&remaining(comparison));
    out
}

fn packages(comparison: &Comparison) -> String {
    let mut fixed: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for finding in &comparison.fixed {
        fixed.entry(&finding.package).or_default().push(&finding.id);
    }
    let mut table = Table::new(["Package", "Before", "After", "Fixed"]);
    for updated in comparison.updated.iter().take(ROWS) {
        let ids = fixed.remove(updated.package.as_str()).unwrap_or_default();
        let mut named = ids[..ids.len().min(NAMED)].join(", ");
        if ids.len() > NAMED {
            named.push_str(&format!(" and {} more", ids.len() - NAMED));
        }
        table.row([
            text::code(&updated.package),
            text::markdown(&updated.from),
            text::markdown(&updated.to),
            text::markdown(&named),
        ]);
    }
    format!("\n{table}{}", cut(comparison.updated.len()))
}

fn remaining(comparison: &Comparison) -> String {
    if comparison.remaining.is_empty() {
        return String::new();
    }
    let mut rows: Vec<_> = comparison.remaining.iter().collect();
    rows.sort_by_key(|remaining| {
        let finding = &remaining.finding;
        (Reverse(finding.severity), &finding.package, &finding.id)
    });
    let mut table = Table::new(["Remaining", "Package", "Severity", "Reason"]);
    for remaining in rows.iter().take(ROWS) {
        let finding = &remaining.finding;
        table.row([
            text::markdown(&finding.id),
            text::code(&finding.package),
            finding.severity.to_string(),
            text::markdown(&remaining.reason),
        ]);
    }
    format!("\n{table}{}", cut(rows.len()))
}

/// A sentence about an image, below the tables.
pub(super) fn note(text: &str) -> String {
    format!("\n{}\n", text::markdown(text))
}

fn cut(rows: usize) -> String {
    if rows > ROWS {
        format!("\n… and {} more.\n", rows - ROWS)
    } else {
        String::new()
    }
}

fn end_of_life(os: Option<&Os>) -> String {
    let statement = statement(os).map(|statement| text::markdown(&statement));
    statement.map_or_else(String::new, |statement| format!("⚠️ {statement}.\n"))
}

/// The summary of an image that has nothing to fix.
pub(super) fn nothing_to_fix(
    image: &ImageRef,
    remaining: &[[String; 3]],
    os: Option<&Os>,
) -> String {
    let mut out = format!(
        "## ✅ Up to date\n\nNo package update fixes a finding in {}.\n",
        text::code(&image.to_string())
    );
    let end_of_life = end_of_life(os);
    if !end_of_life.is_empty() {
        out.push_str(&format!("\n{end_of_life}"));
    }
    if remaining.is_empty() {
        return out;
    }
    let mut table = Table::new(["Remaining", "Package", "Reason"]);
    for [id, package, reason] in remaining.iter().take(ROWS) {
        table.row([
            text::markdown(id),
            text::code(package),
            text::markdown(reason),
        ]);
    }
    out.push_str(&format!("\n{table}{}", cut(remaining.len())));
    out
}

/// The summary of an image that failed.
pub(super) fn failed(failure: &Failure) -> String {
    format!(
        "## ❌ {}\n\n{}",
        text::code(&failure.subject.to_string()),
        text::code_block(&format!("{:#}", failure.error))
    )
}

/// The summary of what was not to be patched, or can't be: by reason.
pub(crate) fn skipped(skipped: &[Skipped]) -> String {
    let mut by_reason: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for Skipped { image, reason, .. } in skipped {
        let images = by_reason.entry(reason).or_default();
        images.push(text::code(&image.to_string()));
    }
    let mut table = Table::new(["Count", "Images", "Reason"]);
    for (reason, images) in by_reason {
        let mut named = images[..images.len().min(NAMED)].join(", ");
        if images.len() > NAMED {
            named.push_str(&format!(" and {} more", images.len() - NAMED));
        }
        let reason = text::markdown(&format!("it {reason}"));
        table.row([images.len().to_string(), named, reason]);
    }
    format!("### Skipped\n\n{table}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verify::comparison::tests::comparison;

    #[test]
    fn the_summary_of_a_patched_image() {
        let comparison = comparison(
            &[
                ("openssl", "3.5.7-1~deb13u2", "3.5.9-1~deb13u1"),
                ("perl", "1", "2"),
                ("zlib1g", "1", ""),
            ],
            &[
                ("openssl", "3.5.9-1~deb13u1", "-"),
                ("perl", "1", "2"),
                ("zlib1g", "1", ""),
            ],
        );
        let image = "app:1".parse().unwrap();
        let patched = "app:1-patched".parse().unwrap();
        insta::assert_snapshot!(patched_image(&image, &patched, "partial", &comparison, None), @r"
        ## 🩹 Partly patched: 1 finding fixed, 2 remaining

        `app:1` → `app:1-patched`

        | Severity | Before | After |
        |---|---|---|
        | high | 3 | 2 |

        | Package | Before | After | Fixed |
        |---|---|---|---|
        | `openssl` | 3.5.7-1\~deb13u2 | 3.5.9-1\~deb13u1 | CVE-openssl |

        | Remaining | Package | Severity | Reason |
        |---|---|---|---|
        | CVE-perl | `perl` | high | it is held back |
        | CVE-zlib1g | `zlib1g` | high | there is no fixed version yet |
        ");
    }

    #[test]
    fn the_summary_of_an_image_with_nothing_to_fix() {
        let image = "app:1".parse().unwrap();
        let old = Os {
            family: "debian".into(),
            name: "9".into(),
            end_of_life: true,
        };
        let remaining = [["CVE-1", "perl", "there is no fixed version yet"]];
        let remaining = remaining.map(|row| row.map(ToOwned::to_owned));
        insta::assert_snapshot!(nothing_to_fix(&image, &remaining, Some(&old)), @r"
        ## ✅ Up to date

        No package update fixes a finding in `app:1`.

        ⚠️ debian 9 reached end of life on 2022-06-30 and no longer receives security updates; its packages move to Debian's archive of old releases, as they were then.

        | Remaining | Package | Reason |
        |---|---|---|
        | CVE-1 | `perl` | there is no fixed version yet |
        ");
    }
}
