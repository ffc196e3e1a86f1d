//! `cargo xtask fuzz`: libFuzzer over the parsers of foreign bytes, `crates/fuzz`.

use std::num::NonZero;
use std::path::PathBuf;
use std::process::Command;
use std::thread::ScopedJoinHandle;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail, ensure};

use crate::setup::command::{command, run as run_command};
use crate::{paths, progress};

/// The seconds that one input may take, also on a machine that does much else: half a megabyte is read in less than one.
const INPUT_TIMEOUT: &str = "-timeout=30";
/// Megabytes of memory that libFuzzer and the parser may use.
const MEMORY: &str = "-rss_limit_mb=1024";
/// Bytes of what libFuzzer mutates; an input that is made of it has up to half a megabyte.
const LENGTH: &str = "-max_len=4096";
/// How the program is built: with the features of the whole workspace, so that its dependencies are those of the tests.
const BUILD: &[&str] = &[
    "build",
    "--quiet",
    "--locked",
    "--workspace",
    "--bin=fuzz",
    "--features=fuzz/libfuzzer",
];

/// From this time on for each target, all is built with optimizations: what that costs is less than what it brings.
const OPTIMIZED: u64 = 60;

/// What a run of a target did.
struct Ran {
    executions: u64,
    per_second: u64,
}

/// Fuzz the target `name`, or each one for its part of `time`. Returns their number.
///
/// # Errors
/// When there is no such target, or an input makes a parser panic, take too long or use too much memory.
pub(crate) fn run(name: Option<&str>, time: Duration) -> anyhow::Result<u64> {
    let all = targets()?;
    let chosen: Vec<_> = all
        .iter()
        .filter(|target| name.is_none_or(|name| name == *target))
        .collect();
    if chosen.is_empty() {
        bail!(
            "there is no target `{}`; the targets are: {}",
            name.unwrap_or_default(),
            all.join(", ")
        );
    }
    let count = u64::try_from(chosen.len())?;
    // Each has one thread.
    let at_a_time = std::thread::available_parallelism().map_or(1, NonZero::get);
    let seconds = (time.as_secs() * u64::try_from(at_a_time)? / count).max(1);
    let program = progress::step("build of the fuzz targets", || build(seconds >= OPTIMIZED))?;
    progress::line("target              executions  a second");
    for targets in chosen.chunks(at_a_time) {
        let fuzz = |target: &&String| fuzz(&program, target, seconds);
        let ran = std::thread::scope(|scope| {
            let started: Vec<_> = targets
                .iter()
                .map(|target| scope.spawn(move || fuzz(target)))
                .collect();
            started
                .into_iter()
                .map(ScopedJoinHandle::join)
                .collect::<Vec<_>>()
        });
        for (target, ran) in targets.iter().zip(ran) {
            let ran = ran.map_err(|_| anyhow!("a thread panicked"))??;
            progress::line(format!(
                "{target:<18} {:>11} {:>9}",
                ran.executions, ran.per_second
            ));
        }
    }
    Ok(count)
}

/// A duration such as `90s`, `5m` or `2h`.
///
/// # Errors
/// With the forms that are valid.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let invalid = || format!("invalid duration `{text}`; use a form such as `90s`, `5m` or `2h`");
    let (number, unit) = text.split_at(text.len().saturating_sub(1));
    let number: u64 = number.parse().map_err(|_| invalid())?;
    let unit = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return Err(invalid()),
    };
    Ok(Duration::from_secs(number.saturating_mul(unit)))
}

fn directory() -> PathBuf {
    paths::root().join("crates/fuzz")
}

// Each has a directory of seeds; the program checks that.
fn targets() -> anyhow::Result<Vec<String>> {
    let seeds = directory().join("corpus");
    let entries = std::fs::read_dir(&seeds).context("failed to list the seeds")?;
    let names = entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    let mut names: Vec<_> = names.collect::<anyhow::Result<_>>()?;
    names.sort();
    Ok(names)
}

fn build(is_optimized: bool) -> anyhow::Result<PathBuf> {
    let mut cargo = command("cargo", BUILD);
    let profile = if is_optimized { "fuzzing" } else { "debug" };
    if is_optimized {
        cargo.arg("--profile=fuzzing");
    }
    cargo
        .env("RUSTC_WORKSPACE_WRAPPER", directory().join("rustc.sh"))
        .current_dir(paths::root());
    run_command(&mut cargo)?;
    Ok(target_directory().join(profile).join("fuzz"))
}

fn target_directory() -> PathBuf {
    let set = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    set.unwrap_or_else(|| paths::root().join("target"))
}

fn fuzz(program: &std::path::Path, target: &str, seconds: u64) -> anyhow::Result<Ran> {
    let results = target_directory().join("fuzz").join(target);
    let found = results.join("corpus");
    std::fs::create_dir_all(&found).context("failed to create the directory of inputs")?;
    let mut fuzzer = Command::new(program);
    fuzzer
        .env("SEAWORTHY_FUZZ", target)
        .args([INPUT_TIMEOUT, MEMORY, LENGTH, "-print_final_stats=1"])
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-artifact_prefix={}/", results.display()))
        .arg(&found)
        .arg(directory().join("corpus").join(target));
    let done = fuzzer.output().context("failed to start the fuzz target")?;
    let output = String::from_utf8_lossy(&done.stderr);
    let end: Vec<_> = output.lines().rev().take(40).collect();
    let end: Vec<_> = end.into_iter().rev().collect();
    ensure!(
        done.status.success(),
        "`{target}` failed with {}; run `SEAWORTHY_FUZZ={target} {} FILE` with the file that is named here:\n{}",
        done.status,
        program.display(),
        end.join("\n")
    );
    Ok(Ran {
        executions: statistic(&output, "number_of_executed_units")?,
        per_second: statistic(&output, "average_exec_per_sec")?,
    })
}

// A line of libFuzzer's final statistics: `stat::average_exec_per_sec:     1234`.
fn statistic(output: &str, name: &str) -> anyhow::Result<u64> {
    let mut lines = output.lines();
    let value = lines.find_map(|line| line.strip_prefix("stat::")?.strip_prefix(name));
    let value = value.with_context(|| format!("libFuzzer printed no `{name}`"))?;
    let value = value.trim_start_matches(':').trim();
    value
        .parse()
        .with_context(|| format!("failed to read `{name}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_has_a_unit() {
        for (text, seconds) in [("60s", 60), ("5m", 300), ("2h", 7200)] {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)));
        }
        for text in ["", "s", "60", "1d", "-1s"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_statistic_is_read_from_the_output() {
        let output =
            "Done 5 runs\nstat::number_of_executed_units: 5\nstat::average_exec_per_sec:     12\n";
        assert_eq!(statistic(output, "number_of_executed_units").unwrap(), 5);
        assert_eq!(statistic(output, "average_exec_per_sec").unwrap(), 12);
        assert!(statistic("", "average_exec_per_sec").is_err());
    }
}
