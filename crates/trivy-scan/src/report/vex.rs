//! Where VEX statements came from, and how many findings each source suppresses.

use std::collections::BTreeSet;

use actions_toolkit::text::{self, plural};

use crate::request::{Request, VexSource};
use crate::scan::ScanOutcome;
use crate::vex::Vex;

/// A line for each source of `request`, for a person.
pub(crate) fn vex_lines(request: &Request, vex: &Vex, outcomes: &[ScanOutcome]) -> Vec<String> {
    let mut lines = Vec::new();
    for source in &request.vex.sources {
        match source {
            VexSource::Document(document) => lines.push(format!(
                "VEX document {}: {}",
                document.name,
                suppressed(outcomes, &document.name)
            )),
            VexSource::Referrers => {
                let documents = outcomes.iter().flat_map(|outcome| &outcome.vex.documents);
                // One that refers to an index is of each of its images.
                let names: BTreeSet<_> = documents.map(|document| &document.name).collect();
                lines.extend(
                    names
                        .into_iter()
                        .map(|name| format!("{name}: {}", suppressed(outcomes, name))),
                );
            }
            VexSource::Repositories => {
                let packages = outcomes.iter().flat_map(|outcome| &outcome.packages);
                let packages: BTreeSet<&str> = packages.map(String::as_str).collect();
                lines.extend(vex.repositories.iter().map(|repository| {
                    let about = repository.about();
                    format!(
                        "{about}: documents on {} of {}, {}",
                        repository.count_documents(&packages),
                        plural(packages.len(), "package"),
                        suppressed(outcomes, &about)
                    )
                }));
            }
        }
    }
    lines
}

/// The section of the summary; empty without a source.
pub(crate) fn vex_section(lines: &[String]) -> String {
    if lines.is_empty() {
        return String::new();
    }
    let items = lines
        .iter()
        .map(|line| format!("- {}\n", text::markdown(line)));
    format!("\n### VEX\n\n{}", items.collect::<String>())
}

fn suppressed(outcomes: &[ScanOutcome], source: &str) -> String {
    let findings = outcomes
        .iter()
        .flat_map(|outcome| outcome.findings.iter().chain(&outcome.hidden));
    let is_by = |finding: &&findings::Finding| {
        let by = finding.suppressed.as_ref();
        by.is_some_and(|suppression| suppression.source == source)
    };
    format!(
        "{} suppressed",
        plural(findings.filter(is_by).count(), "finding")
    )
}
