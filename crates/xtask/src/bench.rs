//! Benchmarks: ratios measured side by side in one run.

mod action;
mod app;
mod azure_deploy;
mod ci;
mod copacetic_patch;
mod pipeline;
mod process;
mod release;
mod trivy_scan;

use std::time::{Duration, Instant};

use anyhow::bail;

/// Run the benchmark `name`.
///
/// # Errors
/// When there is none of that name, or a part of it fails.
pub(crate) fn run(name: &str) -> anyhow::Result<()> {
    match name {
        "app" => app::run(),
        "azure-deploy" => azure_deploy::run(),
        "ci" => ci::run(),
        "copacetic-patch" => copacetic_patch::run(),
        "pipeline" => pipeline::run(),
        "release" => release::run(),
        "trivy-scan" => trivy_scan::run(),
        _ => bail!(
            "there is no benchmark `{name}`; there are `app`, `azure-deploy`, `ci`, `copacetic-patch`, `pipeline`, `release` and `trivy-scan`"
        ),
    }
}

fn timed(work: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<Duration> {
    let begun = Instant::now();
    work()?;
    Ok(begun.elapsed())
}

/// The middle one of `times`.
fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times.get(times.len() / 2).copied().unwrap_or_default()
}
