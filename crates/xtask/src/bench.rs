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

use anyhow::{Context as _, bail};

use crate::paths;
use crate::setup::command::{command, succeeds};

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

/// A `PATH` whose `docker` builds with BuildKit: Debian's does, a newer one needs a plug-in for it.
///
/// # Errors
/// When there is none.
fn path_with_buildkit() -> anyhow::Result<String> {
    let folder = paths::state().join("bench-buildkit");
    std::fs::create_dir_all(&folder)?;
    std::fs::write(
        folder.join("Dockerfile"),
        "FROM scratch\nCOPY Dockerfile /\n",
    )?;
    let given = std::env::var("PATH").unwrap_or_default();
    let debian = format!("/usr/bin:{given}");
    let builds = |path: &String| {
        let mut build = command("docker", ["build", "--quiet", "."]);
        let build = build.current_dir(&folder).env("PATH", path);
        succeeds(build.env("DOCKER_BUILDKIT", "1"))
    };
    let found = [given, debian].into_iter().find(builds);
    found.context("no `docker` here builds with BuildKit: install buildx, its plug-in")
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
