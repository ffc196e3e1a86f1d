//! Benchmarks: ratios measured in the same run.

mod action;
mod app;
mod azure_deploy;
mod ci;
mod copacetic_patch;
mod fleet;
mod pipeline;
mod process;
mod trivy_scan;

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};

use crate::setup::command::{command, succeeds};
use crate::setup::timings;
use crate::{paths, progress};

/// Run the benchmark `name`, or some `rows` of it.
///
/// # Errors
/// When there is no such benchmark or row, or a part of it fails.
pub(crate) fn run(name: &str, rows: &[String]) -> anyhow::Result<()> {
    ensure!(
        rows.is_empty() || name == "trivy-scan",
        "the benchmark `{name}` has no rows"
    );
    match name {
        "app" => app::run(),
        "azure-deploy" => azure_deploy::run(),
        "ci" => ci::run(),
        "copacetic-patch" => copacetic_patch::run(),
        "fleet" => fleet::run(),
        "fleet-patch" => fleet::run_patches(),
        "pipeline" => pipeline::run(),
        "release" => {
            let bench = ["release", "bench"];
            let program = std::env::current_exe().context("failed to find this program")?;
            let status = command(&program.to_string_lossy(), bench).status()?;
            ensure!(status.success(), "the benchmark failed ({status})");
            Ok(())
        }
        "setup" => {
            let table = timings::table_of_records();
            ensure!(
                !table.is_empty(),
                "nothing is recorded; run `cargo xtask pipeline` first"
            );
            progress::line(table);
            Ok(())
        }
        "trivy-scan" => trivy_scan::run(rows),
        _ => bail!(
            "invalid benchmark `{name}`; expected one of `app`, `azure-deploy`, `ci`, `copacetic-patch`, `fleet`, `fleet-patch`, `pipeline`, `release`, `setup`, `trivy-scan`"
        ),
    }
}

/// A `PATH` whose `docker` builds with BuildKit: Debian's does, a newer one needs a plug-in for it.
///
/// # Errors
/// When there is none.
fn path_with_buildkit() -> anyhow::Result<String> {
    let directory = paths::state().join("bench-buildkit");
    std::fs::create_dir_all(&directory)?;
    std::fs::write(
        directory.join("Dockerfile"),
        "FROM scratch\nCOPY Dockerfile /\n",
    )?;
    let path = std::env::var("PATH").unwrap_or_default();
    let debian = format!("/usr/bin:{path}");
    let builds = |path: &String| {
        let mut build = command("docker", ["build", "--quiet", "."]);
        let build = build.current_dir(&directory).env("PATH", path);
        succeeds(build.env("DOCKER_BUILDKIT", "1"))
    };
    [path, debian]
        .into_iter()
        .find(builds)
        .context("no `docker` in `PATH` builds with BuildKit; install its plug-in buildx")
}

/// How long `work` takes.
///
/// # Errors
/// Those of `work`.
pub fn timed(work: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<Duration> {
    let started = Instant::now();
    work()?;
    Ok(started.elapsed())
}

/// The middle one of `times`.
pub fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

fn mean(times: &[Duration]) -> Duration {
    let count = u32::try_from(times.len()).unwrap_or(u32::MAX).max(1);
    times.iter().sum::<Duration>() / count
}
