//! The software bills of materials: the packages of a report in the formats that were asked for.

use std::path::PathBuf;

use actions_toolkit::{Context, Held, Log};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use trivy::{Sbom, Target};

use crate::request::Request;
use crate::scan::{AT_ONCE, Answer};

/// A bill that is to be written. What Trivy says of it goes to the log when the bill is dropped.
pub(crate) struct Bill {
    log: Held,
    format: Sbom,
    report: PathBuf,
    file: PathBuf,
}

impl Bill {
    /// Those that `request` wants of `answers`; configuration has no packages.
    pub(crate) fn all(log: &Log, request: &Request, answers: &[Answer]) -> Vec<Self> {
        let mut bills = Vec::new();
        for (index, answer) in answers.iter().enumerate() {
            if matches!(answer.target.target, Target::Config(_)) {
                continue;
            }
            bills.extend(request.sbom.iter().map(|format| Self {
                log: log.hold(),
                format: *format,
                report: answer.report_file.clone(),
                file: request.sbom_file(index, *format),
            }));
        }
        bills
    }
}

/// Write `bills`, some at the same time.
///
/// # Errors
/// When one of them can't be made.
pub(crate) async fn write(ctx: &Context, request: &Request, bills: &[Bill]) -> anyhow::Result<()> {
    stream::iter(bills)
        .map(|bill| {
            let log = bill.log.log();
            bill.format.write(&bill.report, &bill.file, ctx.env(), log)
        })
        .buffered(AT_ONCE)
        .try_collect::<()>()
        .await?;
    let files: Vec<_> = bills
        .iter()
        .map(|bill| request.relative(&bill.file))
        .collect();
    ctx.output("sbom-file", files.join("\n"));
    Ok(())
}
