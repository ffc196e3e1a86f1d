//! What is left behind: outputs, summary, OpenVEX.

use std::collections::BTreeMap;

use actions_toolkit::text::{self, plural};
use container::ImageRef;
use serde_json::{Value, json};

use crate::verify::Difference;

/// Rows of a table; the reports have the rest.
const ROWS: usize = 40;

/// The summary of a patch.
pub(crate) fn markdown(
    image: &ImageRef,
    patched: &ImageRef,
    result: &str,
    difference: &Difference,
) -> String {
    let mut fixes: BTreeMap<&str, usize> = BTreeMap::new();
    for known in &difference.fixed {
        *fixes.entry(known.package.as_str()).or_default() += 1;
    }
    let mut out = format!(
        "## 🩹 {}: {} mended, {} remain\n\n{} → {}\n\n| Package | Before | After | Mended |\n|---|---|---|---|\n",
        if result == "patched" {
            "Patched"
        } else {
            "Partly patched"
        },
        plural(difference.fixed.len(), "finding"),
        difference.remaining.len(),
        text::code(&image.to_string()),
        text::code(&patched.to_string()),
    );
    for updated in difference.updated.iter().take(ROWS) {
        let mended = fixes
            .get(updated.package.as_str())
            .copied()
            .unwrap_or_default();
        out.push_str(&format!(
            "| {} | {} | {} | {mended} |\n",
            text::code(&updated.package),
            text::markdown(&updated.from),
            text::markdown(&updated.to)
        ));
    }
    if !difference.remaining.is_empty() {
        out.push_str("\n| Remains | Package | Severity | Why |\n|---|---|---|---|\n");
    }
    for remaining in difference.remaining.iter().take(ROWS) {
        out.push_str(&format!(
            "| {} | {} | {} | {} |\n",
            text::markdown(&remaining.known.id),
            text::code(&remaining.known.package),
            remaining.severity,
            remaining.why
        ));
    }
    if difference.remaining.len() > ROWS {
        out.push_str(&format!(
            "\n… and {} more.\n",
            difference.remaining.len() - ROWS
        ));
    }
    out
}

/// The summary where there was nothing to mend.
pub(crate) fn nothing_to_mend(image: &ImageRef, remaining: usize) -> String {
    let rest = if remaining == 0 {
        String::new()
    } else {
        format!(
            " {} without an update of the distribution.",
            plural(remaining, "finding is")
        )
    };
    format!(
        "## ✅ Up to date\n\n{} has no package that an update of its distribution mends.{rest}\n",
        text::code(&image.to_string())
    )
}

/// An OpenVEX document (github.com/openvex/spec, v0.2.0) that says what the patch mended in `image`.
pub(crate) fn vex(image: &ImageRef, id: &str, difference: &Difference, now: &str) -> Value {
    let purl = |package: &str| {
        let version = difference
            .updated
            .iter()
            .find(|u| u.package == package)
            .map_or("", |u| u.to.as_str());
        format!("pkg:deb/debian/{package}@{version}")
    };
    let mut by_id: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
    for known in &difference.fixed {
        by_id
            .entry(known.id.as_str())
            .or_default()
            .push(json!({"@id": purl(&known.package)}));
    }
    let product = format!("pkg:oci/{}@{}", image.name(), id.replace(':', "%3A"));
    let statements: Vec<_> = by_id
        .into_iter()
        .map(|(id, packages)| json!({"vulnerability": {"name": id}, "products": [{"@id": product, "subcomponents": packages}], "status": "fixed", "timestamp": now}))
        .collect();
    json!({
        "@context": "https://openvex.dev/ns/v0.2.0",
        "@id": format!("https://openvex.dev/docs/public/drydock-{}", id.rsplit(':').next().unwrap_or_default()),
        "author": "drydock copacetic-patch",
        "timestamp": now,
        "version": 1,
        "statements": statements,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verify::{Known, Updated};

    #[test]
    fn what_was_mended_as_a_person_and_as_a_tool_reads_it() {
        let difference = Difference {
            fixed: [Known {
                id: "CVE-1".into(),
                package: "openssl".into(),
            }]
            .into(),
            updated: vec![Updated {
                package: "openssl".into(),
                from: "3.5.7-1~deb13u2".into(),
                to: "3.5.9-1~deb13u1".into(),
            }],
            ..Difference::default()
        };
        let (image, patched): (ImageRef, ImageRef) =
            ("app:1".parse().unwrap(), "app:1-patched".parse().unwrap());
        insta::assert_snapshot!(markdown(&image, &patched, "patched", &difference), @r"
        ## 🩹 Patched: 1 finding mended, 0 remain

        `app:1` → `app:1-patched`

        | Package | Before | After | Mended |
        |---|---|---|---|
        | `openssl` | 3.5.7-1\~deb13u2 | 3.5.9-1\~deb13u1 | 1 |
        ");
        let document = vex(&patched, "sha256:ab", &difference, "2026-01-01T00:00:00Z");
        assert_eq!(
            document["statements"][0]["products"][0]["@id"],
            "pkg:oci/app@sha256%3Aab"
        );
        assert_eq!(
            document["statements"][0]["products"][0]["subcomponents"][0]["@id"],
            "pkg:deb/debian/openssl@3.5.9-1~deb13u1"
        );
    }
}
