//! The summary of one image.

use std::collections::BTreeMap;

use actions_toolkit::text::{self, plural};
use oci::ImageRef;
use trivy::report::Os;

use super::ROWS;
use crate::difference::Difference;

/// Findings that are named in one cell.
const NAMED: usize = 8;

/// What was patched, and what remains.
pub(super) fn table(
    image: &ImageRef,
    patched: &ImageRef,
    result: &str,
    difference: &Difference,
) -> String {
    let heading = if result == "patched" {
        "Patched"
    } else {
        "Partly patched"
    };
    let mut out = format!(
        "## 🩹 {heading}: {} mended, {} remain\n\n{} → {}\n\n",
        plural(difference.fixed.len(), "finding"),
        difference.remaining.len(),
        text::code(&image.to_string()),
        text::code(&patched.to_string()),
    );
    out.push_str("| Severity | Before | After |\n|---|---|---|\n");
    for (severity, before, after) in difference.by_severity() {
        out.push_str(&format!("| {severity} | {before} | {after} |\n"));
    }
    out.push_str(&packages(difference));
    out.push_str(&remaining(difference));
    out
}

fn packages(difference: &Difference) -> String {
    let mut mended: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for finding in &difference.fixed {
        mended
            .entry(&finding.package)
            .or_default()
            .push(&finding.id);
    }
    let mut out = "\n| Package | Before | After | Mended |\n|---|---|---|---|\n".to_owned();
    for updated in difference.updated.iter().take(ROWS) {
        let ids = mended.remove(updated.package.as_str()).unwrap_or_default();
        let mut named = ids[..ids.len().min(NAMED)].join(", ");
        if ids.len() > NAMED {
            named.push_str(&format!(" and {} more", ids.len() - NAMED));
        }
        out.push_str(&format!(
            "| {} | {} | {} | {} |\n",
            text::code(&updated.package),
            text::markdown(&updated.from),
            text::markdown(&updated.to),
            text::markdown(&named),
        ));
    }
    out + &cut(difference.updated.len())
}

fn remaining(difference: &Difference) -> String {
    if difference.remaining.is_empty() {
        return String::new();
    }
    let mut rows: Vec<_> = difference.remaining.iter().collect();
    rows.sort_by_key(|r| (std::cmp::Reverse(r.finding.severity), &r.finding));
    let mut out = "\n| Remains | Package | Severity | Why |\n|---|---|---|---|\n".to_owned();
    for remaining in rows.iter().take(ROWS) {
        let finding = &remaining.finding;
        out.push_str(&format!(
            "| {} | {} | {} | {} |\n",
            text::markdown(&finding.id),
            text::code(&finding.package),
            finding.severity,
            text::markdown(&remaining.why)
        ));
    }
    out + &cut(rows.len())
}

fn cut(rows: usize) -> String {
    if rows > ROWS {
        format!("\n… and {} more.\n", rows - ROWS)
    } else {
        String::new()
    }
}

/// That there is nothing to mend.
pub(super) fn nothing_to_mend(image: &ImageRef, remaining: usize, os: Option<&Os>) -> String {
    let mut out = format!(
        "## ✅ Up to date\n\n{} has no package that an update of its distribution mends.\n",
        text::code(&image.to_string())
    );
    if remaining > 0 {
        let noun = if remaining == 1 {
            "finding has"
        } else {
            "findings have"
        };
        out.push_str(&format!("\n{remaining} {noun} no update.\n"));
    }
    if let Some(os) = os.filter(|os| os.end_of_life) {
        out.push_str(&format!(
            "\n⚠️ The support of {} {} has ended: no more updates come.\n",
            text::markdown(&os.family),
            text::markdown(&os.name)
        ));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::difference::tests::difference;

    #[test]
    fn what_was_mended_as_a_person_reads_it() {
        let difference = difference(
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
        insta::assert_snapshot!(table(&image, &patched, "partial", &difference), @r"
        ## 🩹 Partly patched: 1 finding mended, 2 remain

        `app:1` → `app:1-patched`

        | Severity | Before | After |
        |---|---|---|
        | high | 3 | 2 |

        | Package | Before | After | Mended |
        |---|---|---|---|
        | `openssl` | 3.5.7-1\~deb13u2 | 3.5.9-1\~deb13u1 | CVE-openssl |

        | Remains | Package | Severity | Why |
        |---|---|---|---|
        | CVE-perl | `perl` | high | it is held back |
        | CVE-zlib1g | `zlib1g` | high | there is no fixed version yet |
        ");
    }

    #[test]
    fn nothing_to_mend_is_said_plainly() {
        let image = "app:1".parse().unwrap();
        let ended = Os {
            family: "debian".into(),
            name: "9".into(),
            end_of_life: true,
        };
        insta::assert_snapshot!(nothing_to_mend(&image, 2, Some(&ended)), @r"
        ## ✅ Up to date

        `app:1` has no package that an update of its distribution mends.

        2 findings have no update.

        ⚠️ The support of debian 9 has ended: no more updates come.
        ");
    }
}
