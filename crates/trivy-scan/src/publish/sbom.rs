//! The SBOMs: the packages of a report in the requested formats.

use actions_toolkit::{Context, WorkspacePath};
use anyhow::Context as _;
use trivy::{SbomFormat, Target};

use crate::request::Request;
use crate::scan::ScanOutcome;

/// The SBOMs of one report.
pub(crate) struct Sboms {
    report: WorkspacePath,
    files: Vec<(SbomFormat, WorkspacePath)>,
}

/// The SBOMs to write for `outcomes`; configuration has no packages.
pub(crate) fn requested(request: &Request, outcomes: &[ScanOutcome]) -> Vec<Sboms> {
    let outcomes = outcomes.iter();
    let with_packages =
        outcomes.filter(|outcome| !matches!(outcome.target.target, Target::Config(_)));
    with_packages
        .map(|outcome| Sboms {
            report: outcome.report_file.clone(),
            files: request
                .sbom
                .iter()
                .map(|format| (*format, request.sbom_file(outcome.index, *format)))
                .collect(),
        })
        .collect()
}

/// Write `sboms` on another thread, while the findings are published.
///
/// # Errors
/// When one of them cannot be written.
pub(crate) async fn write(ctx: &Context, sboms: Vec<Sboms>) -> anyhow::Result<()> {
    let files = sboms.iter().flat_map(|sboms| &sboms.files);
    let files: Vec<_> = files.map(|(_, file)| file.relative().to_owned()).collect();
    tokio::task::spawn_blocking(move || sboms.iter().try_for_each(write_formats)).await??;
    ctx.output("sbom-file", files.join("\n"));
    Ok(())
}

fn write_formats(sboms: &Sboms) -> anyhow::Result<()> {
    if sboms.files.is_empty() {
        return Ok(());
    }
    let path = sboms.report.absolute();
    let report =
        std::fs::read(&path).with_context(|| format!("failed to read `{}`", path.display()))?;
    sboms
        .files
        .iter()
        .try_for_each(|(format, file)| file.write(&format.render(&report)?))
}
