//! A registry of a thousand images in several jobs: what the plan, the shards and the merge cost.

mod patches;
mod proxy;
mod registry;

use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, ensure};

use super::action::Action;
use super::process::measure;
use crate::progress;
use crate::setup::builds::PIPELINE;
use crate::stack::{self, Stack};

pub(super) use patches::run as run_patches;
use proxy::{Proxy, Traffic};
use registry::Registry;

const IMAGES: usize = 1000;
const SHARDS: usize = 16;
/// Images with a new build, in the last plan.
const CHANGED: usize = 20;

/// Print every figure.
///
/// # Errors
/// When a part of it fails.
pub(super) fn run() -> anyhow::Result<()> {
    let stack = stack::up(PIPELINE)?;
    let action = Action::build("trivy-scan")?;
    action.database(&stack)?;
    let registry = Registry::start(&action.directory)?;
    let bytes = progress::step("pushing 1,000 images of 50 bases", || registry.fill(IMAGES))?;
    let bench = Bench {
        path: format!("{}:/usr/bin:/bin", stack.builds.wait("trivy")?.display()),
        registry: Proxy::start(registry.address.clone())?,
        github: Proxy::start(stack::GITHUB.to_owned())?,
        action,
    };
    bench.measure(&stack, &registry, bytes)
}

struct Bench {
    action: Action,
    path: String,
    registry: Proxy,
    github: Proxy,
}

impl Bench {
    fn measure(&self, _: &Stack, registry: &Registry, bytes: u64) -> anyhow::Result<()> {
        progress::line(format!(
            "\n{IMAGES} images, {} MB of layers if each is read by itself",
            bytes / 1_000_000
        ));
        let (seconds, traffic) = self.plan(SHARDS)?;
        row("plan of images that are all new", seconds, traffic, IMAGES);
        let started = Instant::now();
        let mut memory = 0;
        for number in 1..=SHARDS {
            let mut step = self.step(&format!("{number}/{SHARDS}"));
            memory = memory.max(measure(&mut step)?.memory);
        }
        let seconds = started.elapsed().as_secs_f64();
        row(
            "16 shards, one after the other",
            seconds,
            self.registry.take(),
            IMAGES,
        );
        let github = self.github.take();
        progress::line(format!(
            "  GitHub: {} requests, {:.2} an image; peak of memory of the step: {} MB",
            github.requests,
            per(github.requests, IMAGES),
            memory / 1_000_000
        ));
        let merge = measure(&mut self.step("merge"))?;
        let results = self.action.directory.join("workspace/fleet/results.json");
        let size = std::fs::metadata(&results).context("the merge wrote no results")?;
        progress::line(format!(
            "merge: {:.2} s, peak of memory {} MB, results of {} bytes an image",
            merge.wall.as_secs_f64(),
            merge.memory / 1_000_000,
            size.len() / IMAGES as u64
        ));
        let (seconds, traffic) = self.plan(0)?;
        row(
            "plan of images that have not changed",
            seconds,
            traffic,
            IMAGES,
        );
        progress::line("  goals: 20 s, 3 requests an image");
        let share = float(traffic.received) / float(bytes) * 100.0;
        progress::line(format!(
            "  {share:.2} % of the bytes of the images (goal 1)"
        ));
        registry.change(CHANGED)?;
        let (_, with_changes) = self.plan(SHARDS)?;
        let more = with_changes.requests.saturating_sub(traffic.requests);
        progress::line(format!(
            "an image that has changed: {:.1} requests more",
            per(more, CHANGED)
        ));
        Ok(())
    }

    // How long it took, and what it cost. It must have this many shards.
    fn plan(&self, shards: usize) -> anyhow::Result<(f64, Traffic)> {
        self.registry.take();
        let cost = measure(&mut self.step("plan"))?;
        let output = std::fs::read_to_string(self.action.directory.join("output"))?;
        let mut lines = output.lines().skip_while(|line| !line.starts_with("count"));
        let count = match lines.next().and_then(|line| line.split_once('=')) {
            Some((_, value)) => value.to_owned(),
            None => lines.next().unwrap_or_default().to_owned(),
        };
        ensure!(count == shards.to_string(), "{count} shards, not {shards}");
        Ok((cost.wall.as_secs_f64(), self.registry.take()))
    }

    fn step(&self, part: &str) -> Command {
        let mut step = self.action.step(&self.path);
        step.env("INPUT_REGISTRY", self.registry.address.to_string())
            .env("INPUT_TAGS", "*")
            .env("INPUT_SCANNERS", "vuln")
            .env("INPUT_FLEET", part)
            .env("INPUT_FLEET-SHARDS", SHARDS.to_string())
            .env("INPUT_CACHE-DIRECTORY", self.action.cache())
            .env("INPUT_OFFLINE", "true")
            .env("INPUT_TOKEN", stack::GITHUB_TOKEN)
            .env("GITHUB_API_URL", format!("http://{}", self.github.address));
        step
    }
}

fn row(name: &str, seconds: f64, traffic: Traffic, images: usize) {
    progress::line(format!(
        "{name}: {seconds:.2} s, {} requests ({:.2} an image), {} bytes received ({} an image)",
        traffic.requests,
        per(traffic.requests, images),
        traffic.received,
        traffic.received / images as u64
    ));
}

fn per(count: u64, images: usize) -> f64 {
    float(count) / float(images as u64)
}

// Gigabytes are not lost, single bytes are.
fn float(count: u64) -> f64 {
    let (high, low) = (count >> 20, count & 0xf_ffff);
    let part = |part: u64| f64::from(u32::try_from(part).unwrap_or(u32::MAX));
    part(high) * f64::from(1_u32 << 20) + part(low)
}
