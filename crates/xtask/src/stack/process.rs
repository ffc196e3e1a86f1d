//! Long-lived processes: started apart from the terminal, known by a file, with a log.

use std::fs::File;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::paths;

fn folder() -> PathBuf {
    paths::state().join("processes")
}

/// The log of the process `name`.
pub(crate) fn log(name: &str) -> PathBuf {
    folder().join(format!("{name}.log"))
}

fn file(name: &str) -> PathBuf {
    folder().join(format!("{name}.pid"))
}

/// The processes that were started.
pub(crate) fn all() -> anyhow::Result<Vec<String>> {
    let Ok(entries) = std::fs::read_dir(folder()) else {
        return Ok(Vec::new());
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry
            .context("while reading the state")?
            .file_name()
            .to_string_lossy()
            .into_owned();
        names.extend(name.strip_suffix(".pid").map(ToOwned::to_owned));
    }
    names.sort();
    Ok(names)
}

// A process id is used again after a while; together with its start time it is not.
fn started(pid: i32) -> Option<String> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<_> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    (fields.first() != Some(&"Z")).then(|| fields.get(19).map(ToString::to_string))?
}

fn pid(name: &str) -> Option<i32> {
    let text = std::fs::read_to_string(file(name)).ok()?;
    let (pid, since) = text.trim().split_once(' ')?;
    let pid = pid.parse().ok()?;
    (started(pid).as_deref() == Some(since)).then_some(pid)
}

/// Whether the process `name` runs.
pub(crate) fn is_alive(name: &str) -> bool {
    pid(name).is_some()
}

/// Start `command` as the process `name`, unless it runs.
///
/// # Errors
/// When it can't be started.
pub(crate) fn start(name: &str, command: &mut Command) -> anyhow::Result<()> {
    if is_alive(name) {
        return Ok(());
    }
    std::fs::create_dir_all(folder())?;
    let log = File::create(log(name))?;
    let child = command
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .process_group(0)
        .spawn()
        .with_context(|| format!("while starting {name}"))?;
    let pid = i32::try_from(child.id()).context("while reading a process id")?;
    let since = started(pid)
        .with_context(|| format!("{name} ended at once; see `cargo xtask logs {name}`"))?;
    std::fs::write(file(name), format!("{pid} {since}"))?;
    Ok(())
}

/// Wait until `ready`; a process that ends meanwhile is an error that quotes its log.
///
/// # Errors
/// When it ends, or `limit` passes.
pub(crate) fn wait(name: &str, limit: Duration, ready: impl Fn() -> bool) -> anyhow::Result<()> {
    let begun = Instant::now();
    while !ready() {
        let ended = !is_alive(name);
        if ended || begun.elapsed() > limit {
            let text = std::fs::read_to_string(log(name)).unwrap_or_default();
            let lines: Vec<_> = text.lines().collect();
            let tail = lines[lines.len().saturating_sub(8)..].join("\n  ");
            let what = if ended {
                "ended".into()
            } else {
                format!("is not ready after {} s", limit.as_secs())
            };
            bail!("{name} {what}; the end of its log:\n  {tail}");
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

/// Ask the process `name` to end, and kill it after ten seconds.
pub(crate) fn stop(name: &str) {
    if let Some(id) = pid(name).and_then(Pid::from_raw) {
        // It may end by itself in between: that is what is wanted.
        let _ = kill_process(id, Signal::TERM);
        let begun = Instant::now();
        while is_alive(name) {
            if begun.elapsed() > Duration::from_secs(10) {
                let _ = kill_process(id, Signal::KILL);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
    let _ = std::fs::remove_file(file(name));
}
