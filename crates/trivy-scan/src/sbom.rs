//! The software bills of materials: the packages of a report in the formats that were asked for.

use std::path::PathBuf;

use actions_toolkit::Context;
use anyhow::Context as _;
use trivy::{SbomFormat as Sbom, Target};

use crate::request::Request;
use crate::scan::Answer;

/// The bills that are to be written of one report.
pub(crate) struct Bills {
    report: PathBuf,
    files: Vec<(Sbom, PathBuf)>,
}

impl Bills {
    /// Those that `request` wants of `answers`; configuration has no packages.
    pub(crate) fn all(request: &Request, answers: &[Answer]) -> Vec<Self> {
        let answers = answers.iter().enumerate();
        let with_packages =
            answers.filter(|(_, answer)| !matches!(answer.target.target, Target::Config(_)));
        with_packages
            .map(|(index, answer)| Self {
                report: answer.report_file.clone(),
                files: request
                    .sbom
                    .iter()
                    .map(|format| (*format, request.sbom_file(index, *format)))
                    .collect(),
            })
            .collect()
    }

    fn write(&self) -> anyhow::Result<()> {
        if self.files.is_empty() {
            return Ok(());
        }
        let report = std::fs::read(&self.report)
            .with_context(|| format!("while reading `{}`", self.report.display()))?;
        self.files
            .iter()
            .try_for_each(|(format, file)| format.write(&report, file))
    }
}

/// Write `bills`, beside whatever else goes on.
///
/// # Errors
/// When one of them can't be made.
pub(crate) async fn write(
    ctx: &Context,
    request: &Request,
    bills: Vec<Bills>,
) -> anyhow::Result<()> {
    let files = bills.iter().flat_map(|bills| &bills.files);
    let files: Vec<_> = files.map(|(_, file)| request.relative(file)).collect();
    tokio::task::spawn_blocking(move || bills.iter().try_for_each(Bills::write)).await??;
    ctx.output("sbom-file", files.join("\n"));
    Ok(())
}
