//! What an image of a release costs its users: bytes to fetch, and time to the first line.

use std::io::Read as _;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::Context as _;

use crate::images::Built;
use xtask::bench::{median, timed};
use xtask::progress;
use xtask::setup::command::{command, run as run_command};

const ROUNDS: usize = 11;

/// Print a table: sizes next to those of the tools alone, times next to those of Trivy alone.
///
/// # Errors
/// When the images were not built, or one does not start.
pub(crate) fn run() -> anyhow::Result<()> {
    let images = crate::images::built()?;
    progress::line(
        "image              MB compressed   tools alone   start to first line   container until it exits",
    );
    for image in &images {
        let mut tools = 0;
        for program in image.tools() {
            tools += compressed(&program)?;
        }
        let name = crate::verification::load(&image.archive)?;
        let line = first_line(&image.program())?;
        let container = container(&name, "--version")?;
        progress::line(format!(
            "{:<18} {:>13.1} {:>13.1} {:>18.1} ms {:>19.0} ms",
            image.action,
            megabytes(image.compressed),
            megabytes(tools),
            millis(line),
            millis(container),
        ));
        if let Some(trivy) = trivy(image) {
            progress::line(format!(
                "  Trivy alone in it: {:.1} ms to its first line",
                millis(first_line(&trivy)?)
            ));
        }
        run_command(&mut command("docker", ["rmi", "--force", &name]))?;
    }
    Ok(())
}

fn trivy(image: &Built) -> Option<std::path::PathBuf> {
    image
        .tools()
        .into_iter()
        .find(|program| program.ends_with("trivy"))
}

// From the start of the program on this machine, outside of any container, to the first byte that it prints.
fn first_line(program: &Path) -> anyhow::Result<Duration> {
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        let started = Instant::now();
        let mut child = command(&program.to_string_lossy(), ["--version"])
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("failed to start `{}`", program.display()))?;
        let mut stdout = child.stdout.take().context("failed to read its output")?;
        stdout.read_exact(&mut [0])?;
        times.push(started.elapsed());
        std::io::copy(&mut stdout, &mut std::io::sink())?;
        child.wait()?;
    }
    Ok(median(times))
}

fn container(image: &str, argument: &str) -> anyhow::Result<Duration> {
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        times.push(timed(|| {
            let start = ["run", "--rm", "--network=none", image, argument];
            run_command(&mut command("docker", start))
        })?);
    }
    Ok(median(times))
}

// As a layer stores it.
fn compressed(program: &Path) -> anyhow::Result<u64> {
    let gzip = command("gzip", ["--stdout", "-6"])
        .arg(program)
        .stdout(Stdio::piped())
        .spawn();
    let mut gzip = gzip.context("failed to start `gzip`")?;
    let mut stream = gzip.stdout.take().context("failed to read from `gzip`")?;
    let size = std::io::copy(&mut stream, &mut std::io::sink())?;
    gzip.wait()?;
    Ok(size)
}

#[expect(clippy::cast_precision_loss, reason = "printed with one digit")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
