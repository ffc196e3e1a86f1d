//! The SARIF file, as large as GitHub accepts it.

use actions_toolkit::{Redacted, Redactor};
use findings::Finding;
use findings::sarif::{self, Analysis};
use github::CompressedSarif;

use crate::scan::ScanOutcome;

/// The SARIF file of the step.
pub(crate) struct SarifFile {
    /// As it is written to the workspace.
    pub(crate) text: Redacted,
    /// As it is uploaded: without suppressed findings, and in as many files as GitHub's limits need.
    pub(super) uploads: Vec<CompressedSarif>,
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
        let mut limit = sarif::RESULTS;
        let mut uploads = Vec::new();
        let mut text = None;
        for chunk in open.chunks(sarif::RUNS) {
            let (size, uploaded, compressed) = fit(chunk, redactor)?;
            limit = limit.min(size);
            uploads.push(compressed);
            // What is uploaded is the file itself, if nothing else is in it.
            text = Some(uploaded).filter(|_| !has_suppressed && chunk.len() == open.len());
        }
        let text = match text {
            Some(text) => text,
            None => redactor.redacted(sarif::write(&all, limit)?),
        };
        let omitted = |outcome: &ScanOutcome| outcome.findings.len().saturating_sub(limit);
        Ok(Self {
            omitted: outcomes.iter().map(omitted).sum(),
            text,
            uploads,
        })
    }
}

// The file of `analyses` with as many results as GitHub accepts, and their number.
fn fit(
    analyses: &[Analysis<'_>],
    redactor: &Redactor,
) -> anyhow::Result<(usize, Redacted, CompressedSarif)> {
    let mut sizes = sarif::sizes().peekable();
    while let Some(size) = sizes.next() {
        let text = redactor.redacted(sarif::write(analyses, size)?);
        let compressed = CompressedSarif::from_redacted(&text)?;
        if compressed.fits() || sizes.peek().is_none() {
            return Ok((size, text, compressed));
        }
    }
    anyhow::bail!("there is no size for the SARIF file")
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
