//! The trivy-scan action compared with Trivy itself, and its own cost on a large report.

mod images;
mod large;
mod receiver;
mod registry;

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::ensure;

use super::action::Action;
use super::process::measure;
use super::{median, timed};
use crate::setup::builds::PIPELINE;
use crate::setup::command::{command, run as run_command};
use crate::stack::{self, Stack};
use crate::{browser, progress};

const ROUNDS: usize = 5;
const IMAGE: &str = "seaworthy/flask-app:bench";
/// What the action keeps of layers and images, in Trivy's cache directory.
const KEPT: [&str; 3] = ["fanal", "seaworthy-layers", "seaworthy-reports"];
const ROWS: [&str; 6] = ["fresh", "cached", "large", "again", "registry", "sbom"];

/// Print the figures of `rows`, or every one.
///
/// # Errors
/// When there is no such row, or a part of it fails.
pub(super) fn run(rows: &[String]) -> anyhow::Result<()> {
    for row in rows {
        ensure!(
            ROWS.contains(&row.as_str()),
            "invalid row `{row}`; expected one of `{}`",
            ROWS.join("`, `")
        );
    }
    let is_requested = |row: &str| rows.is_empty() || rows.iter().any(|own| own == row);
    let stack = stack::up(PIPELINE)?;
    let bench = Bench::new(&stack)?;
    if is_requested("fresh") || is_requested("cached") {
        progress::step("building the image that is scanned", || {
            browser::build(IMAGE)
        })?;
    }
    for row in ROWS.into_iter().filter(|row| is_requested(row)) {
        match row {
            "fresh" => bench.compare_with_trivy(true)?,
            "cached" => bench.compare_with_trivy(false)?,
            "large" => bench.large_reports()?,
            "again" => bench.scan_again()?,
            "registry" => bench.scan_registry()?,
            _ => bench.scan_sbom()?,
        }
    }
    Ok(())
}

struct Bench {
    action: Action,
    trivy: PathBuf,
    receiver: String,
}

impl Bench {
    fn new(stack: &Stack) -> anyhow::Result<Self> {
        let action = Action::build("trivy-scan")?;
        action.database(stack)?;
        Ok(Self {
            action,
            trivy: stack.builds.wait("trivy")?,
            receiver: receiver::receiver()?,
        })
    }

    // One step with every output against one bare run, and against the three that are commonly chained.
    fn compare_with_trivy(&self, is_fresh: bool) -> anyhow::Result<()> {
        let mut without = self.step();
        without
            .env("INPUT_IMAGE", IMAGE)
            .env("GITHUB_API_URL", format!("http://{}", stack::GITHUB));
        let mut step = self.step();
        step.env("INPUT_IMAGE", IMAGE)
            .env("GITHUB_API_URL", format!("http://{}", stack::GITHUB))
            .env("INPUT_SBOM", "cyclonedx,spdx");
        let forget = || {
            if is_fresh {
                self.forget();
            }
        };
        let mut times: [Vec<Duration>; 4] = Default::default();
        for round in 0..=ROUNDS {
            forget();
            let step = measure(&mut step)?.wall;
            forget();
            let without = measure(&mut without)?.wall;
            forget();
            let one = timed(|| run_command(&mut self.bare(IMAGE, "json", &ALL)))?;
            forget();
            let three = timed(|| {
                run_command(&mut self.bare(IMAGE, "table", &[]))?;
                run_command(&mut self.bare(IMAGE, "sarif", &[]))?;
                let gate = ["--severity", "CRITICAL", "--exit-code", "1"];
                run_command(&mut self.bare(IMAGE, "json", &gate))
            })?;
            // The first round fills the caches.
            if round > 0 {
                for (list, time) in times.iter_mut().zip([step, without, one, three]) {
                    list.push(time);
                }
            }
        }
        print(is_fresh, times);
        Ok(())
    }

    // With the database in the cache, and a token for an upload that goes nowhere.
    fn step(&self) -> Command {
        let path = format!("{}:/usr/bin:/bin", self.trivy.display());
        let mut step = self.action.step(&path);
        step.env("INPUT_CACHE-DIRECTORY", self.action.cache())
            .env("INPUT_OFFLINE", "true")
            .env("INPUT_TOKEN", stack::GITHUB_TOKEN)
            .env("GITHUB_API_URL", &self.receiver);
        step
    }

    fn bare(&self, image: &str, format: &str, extra: &[&str]) -> Command {
        let program = self.trivy.join("trivy");
        let mut trivy = command(
            &program.to_string_lossy(),
            ["image", "--format", format, "--output", "/dev/null"],
        );
        trivy
            .args(["--skip-db-update", "--skip-version-check", "--quiet"])
            .args(["--disable-telemetry", "--cache-dir"])
            .arg(self.action.cache())
            .args(extra)
            .arg(image);
        trivy
    }

    // A fresh runner has the database from its cache, and has looked at no layer yet.
    fn forget(&self) {
        for name in KEPT {
            let _ = std::fs::remove_dir_all(self.action.cache().join(name));
        }
    }
}

/// What the action's report has.
const ALL: [&str; 2] = ["--list-all-pkgs", "--show-suppressed"];

/// `text` with a figure and its goal, an upper limit.
fn line(text: &str, figure: f64, goal: f64) -> String {
    let mark = if figure <= goal { "met" } else { "missed" };
    format!("  {text}: {figure:.3} (goal {goal}: {mark})")
}

fn print(is_fresh: bool, times: [Vec<Duration>; 4]) {
    let [step, without, one, three] = times.map(|list| median(list).as_secs_f64());
    let (runner, goal) = if is_fresh {
        ("on a fresh runner", 1.05)
    } else {
        ("with every layer in Trivy's cache", 1.2)
    };
    progress::line(format!(
        "\n{runner}: one step with every output: {step:.3} s; without the two SBOMs: {without:.3} s; one bare run: {one:.3} s; three runs (table, SARIF, gate): {three:.3} s"
    ));
    progress::line(line("÷ one bare run", without / one, goal));
    progress::line(line("÷ one bare run, with SBOMs", step / one, goal));
    if !is_fresh {
        progress::line(line("÷ three runs", without / three, 0.45));
        progress::line(line("÷ three runs, with SBOMs", step / three, 0.45));
    }
}
