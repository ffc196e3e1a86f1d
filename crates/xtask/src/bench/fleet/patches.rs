//! A night of `copacetic-patch` over a registry, compared with Copa itself.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context as _;

use super::proxy::Proxy;
use super::registry::Registry;
use crate::bench::action::Action;
use crate::bench::process::measure;
use crate::bench::{median, timed};
use crate::setup::base_images;
use crate::setup::builds::PIPELINE;
use crate::setup::command::{command, output, run as run_command};
use crate::stack;
use crate::{browser, paths, progress};

/// The image that all are made from.
const IMAGE: &str = "seaworthy/flask-app:bench-fleet";
/// Images that are patched at once.
const CONCURRENCY: u32 = 2;
/// Runs of the script that is compared.
const BARE: usize = 3;
/// How often the disk is looked at.
const PERIOD: Duration = Duration::from_millis(200);

/// Print every figure, for `IMAGES` images (20 by default).
///
/// # Errors
/// When a part of it fails.
pub(crate) fn run() -> anyhow::Result<()> {
    let stack = stack::up(PIPELINE)?;
    let action = Action::build("copacetic-patch")?;
    let count = std::env::var("IMAGES").unwrap_or_else(|_| "20".to_owned());
    let count: u32 = count.parse().context("invalid number of images")?;
    action.database(&stack)?;
    let registry = Registry::start(&action.directory)?;
    progress::step("building the image that is patched", || {
        browser::build(IMAGE)
    })?;
    progress::step("pushing the images", || push(&registry, count))?;
    let (trivy, copa) = (stack.builds.wait("trivy")?, stack.builds.wait("copa")?);
    let path = format!("{}:{}:/usr/bin:/bin", trivy.display(), copa.display());
    let mut bare = Vec::new();
    for _ in 0..BARE {
        bare.push(timed(|| run_command(&mut script(&action, &path)))?);
    }
    let bare = median(bare).as_secs_f64();
    let proxy = Proxy::start(registry.address.clone())?;
    let step = || step(&action, &path, &proxy);
    let disk = Disk::watch()?;
    let first = measure(&mut step())?;
    let used = disk.stop();
    let moved = proxy.take();
    let second = measure(&mut step())?;
    let again = proxy.take();
    let (first_wall, second_wall) = (first.wall.as_secs_f64(), second.wall.as_secs_f64());
    let sum = bare * f64::from(count) / f64::from(CONCURRENCY);
    progress::line(format!(
        "\n{count} images, {CONCURRENCY} at once: {first_wall:.1} s, {:.2} s an image; one script: {bare:.2} s",
        first_wall / f64::from(count)
    ));
    progress::line(format!(
        "  ÷ the sum of the scripts ÷ {CONCURRENCY}: {:.2} (goal 1.1)",
        first_wall / sum
    ));
    progress::line(format!(
        "  second night: {second_wall:.1} s, {:.3} of the first (goal 0.05)",
        second_wall / first_wall
    ));
    progress::line(format!(
        "  peak of disk: {} MB; peak of memory of the step: {} MB",
        used / 1_000_000,
        first.memory / 1_000_000
    ));
    progress::line(format!(
        "  from the registry: {} requests and {} MB an image; the second night: {} requests and {} kB an image",
        moved.requests / u64::from(count),
        moved.received / u64::from(count) / 1_000_000,
        again.requests / u64::from(count),
        again.received / u64::from(count) / 1_000
    ));
    Ok(())
}

// Each with its own digest; the layers are common.
fn push(registry: &Registry, count: u32) -> anyhow::Result<()> {
    for number in 1..=count {
        let name = format!("{}/fleet/app-{number}:1", registry.address);
        let dockerfile = format!("FROM {IMAGE}\nLABEL number={number}\n");
        let directory = paths::state().join("bench-fleet-image");
        std::fs::create_dir_all(&directory)?;
        std::fs::write(directory.join("Dockerfile"), dockerfile)?;
        let mut build = command("docker", ["build", "--quiet", "--tag", &name, "."]);
        run_command(build.current_dir(&directory).env("DOCKER_BUILDKIT", "0"))?;
        run_command(&mut command("docker", ["push", "--quiet", &name]))?;
        run_command(&mut command("docker", ["rmi", "--force", &name]))?;
    }
    Ok(())
}

fn step(action: &Action, path: &str, proxy: &Proxy) -> Command {
    let mut step = action.step(path);
    step.env("INPUT_REGISTRY", proxy.address.to_string())
        .env("INPUT_TAGS", "1")
        .env("INPUT_PUSH", "true")
        .env("INPUT_CONCURRENCY", CONCURRENCY.to_string())
        .env("INPUT_CACHE-DIRECTORY", action.cache())
        .env("INPUT_OFFLINE", "true")
        .env("INPUT_TOOLING-IMAGE", base_images::DEBIAN)
        .env("INPUT_BUILDKIT-IMAGE", base_images::BUILDKIT)
        .env("INPUT_UPLOAD", "false");
    step
}

fn script(action: &Action, path: &str) -> Command {
    let mut script = command("bash", [&paths::root().join("tools/bench/patch.sh")]);
    script
        .env("PATH", path)
        .env("IMAGE", IMAGE)
        .env("WORK", &action.directory)
        .env("MIRROR", stack::MIRROR)
        .env("TOOLING", base_images::DEBIAN)
        .env("BUILDKIT", base_images::BUILDKIT);
    script
}

/// The most of the disk that is in use while it is watched, more than at the start.
struct Disk {
    most: Arc<AtomicU64>,
    is_over: Arc<AtomicBool>,
}

impl Disk {
    fn watch() -> anyhow::Result<Self> {
        let start = used()?;
        let disk = Self {
            most: Arc::default(),
            is_over: Arc::default(),
        };
        let (most, is_over) = (Arc::clone(&disk.most), Arc::clone(&disk.is_over));
        std::thread::spawn(move || {
            while !is_over.load(Ordering::Relaxed) {
                let now = used().unwrap_or_default().saturating_sub(start);
                most.fetch_max(now, Ordering::Relaxed);
                std::thread::sleep(PERIOD);
            }
        });
        Ok(disk)
    }

    fn stop(&self) -> u64 {
        self.is_over.store(true, Ordering::Relaxed);
        self.most.load(Ordering::Relaxed)
    }
}

fn used() -> anyhow::Result<u64> {
    let df = ["--output=used", "--block-size=1", "/var/lib/docker"];
    let text = output(&mut command("df", df))?;
    let used = text
        .lines()
        .nth(1)
        .and_then(|line| line.trim().parse().ok());
    used.context("`df` printed no number")
}
