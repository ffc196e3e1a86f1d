//! What the set-up costs: recorded by part, printed at the end of a run and by `status`, and the basis of estimates.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::{paths, progress};

/// Seconds on the processor that a part took on a machine of two cores: what an estimate is based on until this machine
/// has its own figures.
const EXPECTED: &[(&str, f64)] = &[
    ("kubernetes", 620.0),
    ("kubernetes-pause", 12.0),
    ("cni", 15.0),
    ("buildkit", 170.0),
    ("trivy-db", 12.0),
    ("act", 100.0),
    ("trivy", 420.0),
    ("copa", 110.0),
    ("helm-template", 60.0),
    ("kustomize", 20.0),
    ("programs", 300.0),
];

/// What a part cost, in seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Cost {
    /// From its start to its end.
    pub(crate) wall: f64,
    /// On the processor; nothing where another process did the work, such as Docker.
    #[serde(default)]
    pub(crate) cpu: Option<f64>,
    /// Of `wall`: downloading.
    #[serde(default)]
    pub(crate) network: f64,
}

/// How the records of whole runs begin.
const RUN_OF: &str = "run:";

/// The parts of this run, in the order in which they ended.
static RUN: Mutex<Vec<(String, Cost)>> = Mutex::new(Vec::new());

fn run() -> MutexGuard<'static, Vec<(String, Cost)>> {
    RUN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn file() -> PathBuf {
    paths::cache().join("timings.json")
}

/// What was recorded on this machine, by part; nothing if that can't be read.
fn recorded() -> BTreeMap<String, Cost> {
    let text = std::fs::read(file()).unwrap_or_default();
    serde_json::from_slice(&text).unwrap_or_default()
}

/// Record that `part` was made, at `cost`. A failure to store it is only printed.
pub(crate) fn record(part: &str, cost: Cost) {
    run().push((part.to_owned(), cost));
    let store = || -> anyhow::Result<()> {
        std::fs::create_dir_all(paths::cache())?;
        let lock = File::create(paths::cache().join("timings.lock"))?;
        lock.lock()?;
        let mut all = recorded();
        all.insert(part.to_owned(), cost);
        let part = file().with_extension("part");
        std::fs::write(&part, serde_json::to_vec_pretty(&all)?)?;
        Ok(std::fs::rename(part, file())?)
    };
    if let Err(e) = store() {
        progress::line(format!("  failed to record what {part} took: {e:#}"));
    }
}

/// Record what a whole run took for `what`: apart for a run that made something, and for one that found everything.
pub(crate) fn record_run(what: &str, took: Duration) {
    let fresh = run().iter().any(|(part, _)| is_part(part));
    let name = if fresh { "fresh" } else { "warm" };
    let wall = took.as_secs_f64();
    record(
        &format!("{RUN_OF} {what}, {name}"),
        Cost {
            wall,
            ..Cost::default()
        },
    );
}

// The image of the actions is new after every change.
fn is_part(part: &str) -> bool {
    !part.starts_with(RUN_OF) && !["image of the actions", "xtask", "programs"].contains(&part)
}

/// Do `work` as [`progress::step`] does, and record it as `part`.
///
/// # Errors
/// Those of `work`.
pub(crate) fn step<T>(
    part: &str,
    what: &str,
    work: impl FnOnce() -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let started = Instant::now();
    let done = progress::step(what, work)?;
    let wall = started.elapsed().as_secs_f64();
    record(
        part,
        Cost {
            wall,
            ..Cost::default()
        },
    );
    Ok(done)
}

/// Record what it took to compile this program, if it was compiled just now: Cargo replaces itself by the program, so
/// the process is as old as the command, and has Cargo's children (proc(5), `/proc/pid/stat`).
pub(crate) fn record_own_compilation() {
    let Some((age, children)) = own() else { return };
    if children >= 1.0 {
        let cpu = Some(children);
        record(
            "xtask",
            Cost {
                wall: age,
                cpu,
                network: 0.0,
            },
        );
    }
}

// Seconds since this process started, and seconds that its children of before took.
fn own() -> Option<(f64, f64)> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let uptime = std::fs::read_to_string("/proc/uptime").ok()?;
    let uptime: f64 = uptime.split_whitespace().next()?.parse().ok()?;
    let started = ticks(&stat, &[22])?;
    Some((uptime - started, ticks(&stat, &[16, 17])?))
}

/// The sum of some `fields` of `/proc/pid/stat`, numbered as in proc(5), in seconds.
pub(crate) fn ticks(stat: &str, fields: &[usize]) -> Option<f64> {
    // The kernel's unit (`sysconf(_SC_CLK_TCK)`) is a hundredth of a second on every Linux of today. The name, field 2,
    // may have spaces.
    let rest: Vec<_> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let mut sum = 0.0;
    for field in fields {
        sum += rest.get(field.checked_sub(3)?)?.parse::<f64>().ok()? / 100.0;
    }
    Some(sum)
}

fn cores() -> f64 {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    u32::try_from(cores).map_or(1.0, f64::from)
}

/// About how long the parts `left` take, as the end of a sentence: the builds `started` then, and the `last` part was
/// done then. Nothing if a part has no figure.
pub(super) fn time_left(left: &[&str], started: Instant, last: Option<Instant>) -> String {
    let known = recorded();
    let expected = |part: &str| {
        let own = known.get(part).and_then(|cost| cost.cpu);
        let shipped = EXPECTED.iter().find(|(name, _)| *name == part);
        own.or(shipped.map(|(_, seconds)| *seconds))
    };
    let done: Vec<_> = run().iter().map(|(part, _)| part.clone()).collect();
    let done: f64 = done.iter().filter_map(|part| expected(part)).sum();
    let last = last.unwrap_or(started);
    let took = last.duration_since(started).as_secs_f64();
    left.iter()
        .map(|part| expected(part))
        .sum::<Option<f64>>()
        .map(|left| estimate(left, done, took, last.elapsed().as_secs_f64()))
        .unwrap_or_default()
}

// Of `left` seconds on the processor, on which `since` seconds were spent already; the ones that are `done` took `took`:
// a machine that does other work is slower than its cores say.
fn estimate(left: f64, done: f64, took: f64, since: f64) -> String {
    let slower = if done > 60.0 {
        (took * cores() / done).clamp(1.0, 5.0)
    } else {
        1.0
    };
    let seconds = left / cores() * slower - since;
    if seconds < 90.0 {
        "; about a minute".into()
    } else {
        format!("; about {:.0} min", seconds / 60.0)
    }
}

/// The table of what this run made; empty if that was nothing.
pub(crate) fn table() -> String {
    render(run().iter().map(|(part, cost)| (part.as_str(), *cost)))
}

/// The table of what was last recorded for each part on this machine; empty if that is nothing.
pub(crate) fn table_of_records() -> String {
    let recorded = recorded();
    render(recorded.iter().map(|(part, cost)| (part.as_str(), *cost)))
}

fn render<'a>(parts: impl Iterator<Item = (&'a str, Cost)>) -> String {
    let (mut text, mut cpu) = (String::new(), 0.0);
    for (part, cost) in parts {
        let on_processor = cost
            .cpu
            .map_or_else(|| "-".into(), |cpu| format!("{cpu:.0}"));
        cpu += cost.cpu.unwrap_or_default();
        // Writing into a text does not fail.
        let _ = writeln!(
            text,
            "{part:<36} {:>7.0} {on_processor:>7} {:>9.0}",
            cost.wall, cost.network
        );
    }
    if text.is_empty() {
        return text;
    }
    format!(
        "{:<36} {:>7} {:>7} {:>9}\n{text}{:<36} {:>7} {cpu:>7.0}\n",
        "set-up, in seconds", "wall", "cpu", "network", "all parts, in parallel", ""
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_a_process_are_counted_from_its_name() {
        let stat = "42 (a (odd) name) S 1 2 3 4 5 6 7 8 9 10 150 50 25 75 20 0 1 0 12345 0";
        assert_eq!(ticks(stat, &[14, 15]), Some(2.0));
        assert_eq!(ticks(stat, &[16, 17]), Some(1.0));
        assert_eq!(ticks(stat, &[22]), Some(123.45));
        assert_eq!(ticks(stat, &[99]), None);
        assert_eq!(ticks("", &[14]), None);
    }

    #[test]
    fn a_slow_machine_has_a_longer_estimate() {
        let cores = cores();
        assert_eq!(estimate(600.0 * cores, 0.0, 0.0, 0.0), "; about 10 min");
        assert_eq!(estimate(600.0 * cores, 0.0, 0.0, 300.0), "; about 5 min");
        assert_eq!(
            estimate(600.0 * cores, 100.0 * cores, 300.0, 0.0),
            "; about 30 min"
        );
        assert_eq!(
            estimate(20.0 * cores, 100.0 * cores, 100.0, 0.0),
            "; about a minute"
        );
    }

    #[test]
    fn a_table_shows_what_is_known() {
        let cost = Cost {
            wall: 61.4,
            cpu: Some(100.2),
            network: 5.0,
        };
        let image = Cost {
            wall: 20.0,
            ..Cost::default()
        };
        assert_eq!(
            render([("copa", cost), ("debian:trixie-slim", image)].into_iter()),
            "set-up, in seconds                      wall     cpu   network\n\
             copa                                      61     100         5\n\
             debian:trixie-slim                        20       -         0\n\
             all parts, in parallel                           100\n"
        );
        assert_eq!(render(std::iter::empty()), "");
    }
}
