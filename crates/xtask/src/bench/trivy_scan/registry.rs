//! Images of a registry: what is not scanned again, many at once, and from an SBOM.

use std::process::Command;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::Context as _;

use super::images::{Registry, counted};
use super::{ALL, Bench, ROUNDS, line};
use crate::bench::process::measure;
use crate::bench::{median, timed};
use crate::progress;
use crate::setup::command::run as run_command;

/// Images in the registry.
const IMAGES: usize = 200;
/// Scans at once, as by default.
const CONCURRENCY: u32 = 2;
const REPOSITORY: &str = "bench/app";

impl Bench {
    fn step_of(&self, host: &str, change: impl Fn(&mut Command)) -> Command {
        let mut step = self.step();
        step.env("INPUT_REGISTRY", host)
            .env("INPUT_REPOSITORIES", REPOSITORY)
            .env("INPUT_TAGS", "*")
            .env("INPUT_CONCURRENCY", CONCURRENCY.to_string());
        change(&mut step);
        step
    }

    /// The second scan of one digest against the first.
    ///
    /// # Errors
    /// When a run fails.
    pub(super) fn scan_again(&self) -> anyhow::Result<()> {
        let registry = Registry::start(&self.action.directory)?;
        let base = registry.base(REPOSITORY)?;
        registry.image(REPOSITORY, &base, 1)?;
        let (mut first, mut second) = (Vec::new(), Vec::new());
        for round in 0..=ROUNDS {
            self.forget();
            let run = || measure(&mut self.step_of(&registry.host, |_| ()));
            let times = (run()?.wall, run()?.wall);
            if round > 0 {
                first.push(times.0);
                second.push(times.1);
            }
        }
        let [first, second] = [first, second].map(|list| median(list).as_secs_f64());
        progress::line(format!(
            "\nan image of a registry: first scan {first:.3} s, again with the same database {second:.3} s"
        ));
        progress::line(line("again ÷ first", second / first, 0.1));
        Ok(())
    }

    /// A whole registry against one bare run for each of its images.
    ///
    /// # Errors
    /// When a run fails.
    pub(super) fn scan_registry(&self) -> anyhow::Result<()> {
        let registry = Registry::start(&self.action.directory)?;
        progress::step("pushing the images", || {
            let base = registry.base(REPOSITORY)?;
            (1..=IMAGES).try_for_each(|number| registry.image(REPOSITORY, &base, number).map(drop))
        })?;
        let bare = || {
            self.forget();
            timed(|| {
                (1..=IMAGES).try_for_each(|number| {
                    let image = format!("{}/{REPOSITORY}:{number}", registry.host);
                    let mut extra = ALL.to_vec();
                    extra.extend(["--image-src", "remote"]);
                    run_command(&mut self.bare(&image, "json", &extra))
                })
            })
        };
        let step = || {
            self.forget();
            anyhow::Ok(measure(&mut self.step_of(&registry.host, |_| ()))?.wall)
        };
        // What the machine does in between is in both.
        let (bare, step) = {
            let (a, b) = (bare()?, step()?);
            let (c, d) = (step()?, bare()?);
            let half = |a: Duration, b: Duration| (a + b).as_secs_f64() / 2.0;
            (half(a, d), half(b, c))
        };
        progress::line(format!(
            "\n{IMAGES} images of a registry, {CONCURRENCY} at once: {step:.1} s; bare runs, one after the other: {bare:.1} s"
        ));
        let ideal = bare / f64::from(CONCURRENCY);
        progress::line(line("÷ (bare runs ÷ concurrency)", step / ideal, 1.2));
        Ok(())
    }

    /// The bytes that a scan from an SBOM downloads against those of the image.
    ///
    /// # Errors
    /// When a run fails.
    pub(super) fn scan_sbom(&self) -> anyhow::Result<()> {
        let registry = Registry::start(&self.action.directory)?;
        let base = registry.base(REPOSITORY)?;
        let image = registry.image(REPOSITORY, &base, 1)?;
        let (proxy, delivered) = counted(&registry.host)?;
        let scan = || {
            self.forget();
            let before = delivered.load(Ordering::Relaxed);
            let cost = measure(&mut self.step_of(&proxy, |step| {
                step.env("INPUT_TAGS", "1")
                    .env("INPUT_SCANNERS", "vuln")
                    .env("INPUT_SBOM", "cyclonedx");
            }))?;
            let bytes = delivered.load(Ordering::Relaxed) - before;
            anyhow::Ok((cost.wall.as_secs_f64(), bytes))
        };
        let (layers_time, layers) = scan()?;
        let sbom = self
            .action
            .directory
            .join("workspace/trivy-report.cdx.json");
        let sbom = std::fs::read(sbom).context("the step wrote no SBOM")?;
        registry.attach(REPOSITORY, &image, &sbom)?;
        let (sbom_time, from_sbom) = scan()?;
        progress::line(format!(
            "\nan image of {} bytes: from its layers {layers} bytes in {layers_time:.3} s, from its SBOM {from_sbom} bytes in {sbom_time:.3} s",
            image.bytes
        ));
        #[expect(clippy::cast_precision_loss, reason = "sizes of images")]
        let ratio = from_sbom as f64 / image.bytes as f64;
        progress::line(line("bytes ÷ the image's", ratio, 0.05));
        Ok(())
    }
}
