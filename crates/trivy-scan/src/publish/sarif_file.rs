//! The SARIF file, as large as GitHub accepts it.

use actions_toolkit::Redactor;
use findings::Finding;
use findings::sarif::{self, Analysis};
use github::CompressedSarif;

use crate::scan::ScanOutcome;

/// The SARIF file of the step.
pub(crate) struct SarifFile {
    /// As it is written to the workspace.
    pub(crate) text: Vec<u8>,
    /// As it is uploaded: without suppressed findings.
    pub(super) compressed: CompressedSarif,
    /// The number of findings that did not fit.
    pub(crate) omitted: usize,
}

impl SarifFile {
    /// The file of `outcomes`; `version` is Trivy's.
    ///
    /// # Errors
    /// When it cannot be serialized or compressed.
    pub(crate) fn new(
        outcomes: &[ScanOutcome],
        version: &str,
        redactor: &Redactor,
    ) -> anyhow::Result<Self> {
        let all = analyses(outcomes, version, |findings| findings);
        let open = analyses(outcomes, version, sarif::open);
        let mut findings = outcomes.iter().flat_map(|outcome| &outcome.findings);
        let has_suppressed = findings.any(|finding| !finding.is_open());
        let mut sizes = sarif::sizes().peekable();
        while let Some(limit) = sizes.next() {
            let text = sarif::write(&all, limit)?;
            let compressed = if has_suppressed {
                CompressedSarif::new(&sarif::write(&open, limit)?, redactor)?
            } else {
                CompressedSarif::new(&text, redactor)?
            };
            if compressed.fits() || sizes.peek().is_none() {
                let omitted = |outcome: &ScanOutcome| outcome.findings.len().saturating_sub(limit);
                return Ok(Self {
                    omitted: outcomes.iter().map(omitted).sum(),
                    text,
                    compressed,
                });
            }
        }
        anyhow::bail!("there is no size for the SARIF file")
    }
}

// One analysis for each outcome, of those findings that `filter` keeps.
fn analyses<'a>(
    outcomes: &'a [ScanOutcome],
    version: &'a str,
    filter: fn(&'a [Finding]) -> &'a [Finding],
) -> Vec<Analysis<'a>> {
    let analysis = |outcome: &'a ScanOutcome| Analysis {
        driver: &sarif::TRIVY,
        category: &outcome.category,
        version,
        findings: filter(&outcome.findings),
    };
    outcomes.iter().map(analysis).collect()
}
