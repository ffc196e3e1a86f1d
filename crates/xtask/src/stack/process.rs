//! Long-lived processes: started in their own session, identified by a file, with a log.

use std::ffi::OsStr;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::paths;

/// Timeout until a process exits after SIGTERM. Docker stops its containers first.
const STOP_TIMEOUT: Duration = Duration::from_secs(25);
/// Timeout until the kernel has removed a killed process.
const KILL_TIMEOUT: Duration = Duration::from_secs(5);

fn directory() -> PathBuf {
    paths::state().join("processes")
}

/// The log of the process `name`.
pub(crate) fn log(name: &str) -> PathBuf {
    directory().join(format!("{name}.log"))
}

fn file(name: &str) -> PathBuf {
    directory().join(format!("{name}.pid"))
}

/// The processes that were started, and not stopped.
///
/// # Errors
/// When the state can't be read.
pub(crate) fn all() -> anyhow::Result<Vec<String>> {
    names(".pid")
}

/// Everything that has a log.
///
/// # Errors
/// When the state can't be read.
pub(crate) fn logs() -> anyhow::Result<Vec<String>> {
    names(".log")
}

fn names(ending: &str) -> anyhow::Result<Vec<String>> {
    let Ok(entries) = std::fs::read_dir(directory()) else {
        return Ok(Vec::new());
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry.context("failed to read the state")?.file_name();
        let name = name.to_string_lossy();
        names.extend(name.strip_suffix(ending).map(ToOwned::to_owned));
    }
    names.sort();
    Ok(names)
}

// A process id is used again after a while; together with its start time it is not.
fn start_time(pid: i32) -> Option<String> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<_> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    (fields.first() != Some(&"Z")).then(|| fields.get(19).map(ToString::to_string))?
}

struct Record {
    pid: Pid,
    key: String,
}

// What is known of a process that runs.
fn record(name: &str) -> Option<Record> {
    let text = std::fs::read_to_string(file(name)).ok()?;
    let mut words = text.split_whitespace();
    let (pid, since) = (words.next()?.parse().ok()?, words.next()?);
    let key = words.next().unwrap_or_default().to_owned();
    let alive = start_time(pid).as_deref() == Some(since);
    alive.then(|| {
        Some(Record {
            pid: Pid::from_raw(pid)?,
            key,
        })
    })?
}

/// Whether the process `name` runs.
pub(crate) fn is_alive(name: &str) -> bool {
    record(name).is_some()
}

// What a process was started from: its program, its arguments, and the files that those name.
fn key(command: &Command) -> String {
    let mut text = String::new();
    for word in std::iter::once(command.get_program()).chain(command.get_args()) {
        text.push_str(&word.to_string_lossy());
        text.push('\0');
        let value = word.to_string_lossy();
        let value = value.split_once('=').map_or(&*value, |(_, value)| value);
        text.push_str(&file_key(Path::new(value)));
    }
    let changed = |(name, value): (&OsStr, Option<&OsStr>)| {
        let value = value.map(OsStr::to_string_lossy).unwrap_or_default();
        format!("{}={value}\0", name.to_string_lossy())
    };
    text.extend(command.get_envs().map(changed));
    paths::key_of_text(&text)
}

// A small file by its content, a program by when it was written.
fn file_key(path: &Path) -> String {
    const SMALL: u64 = 1 << 20;
    let about = path.is_absolute().then(|| path.metadata().ok()).flatten();
    let Some(about) = about.filter(std::fs::Metadata::is_file) else {
        return String::new();
    };
    if about.len() <= SMALL {
        return std::fs::read_to_string(path).unwrap_or_default();
    }
    format!("{:?} {}", about.modified().ok(), about.len())
}

/// Start `command` as the process `name`, unless it runs already; one that was started from something
/// else is replaced.
///
/// # Errors
/// When it can't be started.
pub(crate) fn start(name: &str, command: &Command) -> anyhow::Result<()> {
    let key = key(command);
    if let Some(running) = record(name) {
        if running.key == key {
            return Ok(());
        }
        stop(name);
    }
    std::fs::create_dir_all(directory())?;
    let log = File::create(log(name))?;
    // Its own session: it outlives this terminal, and no signal of the terminal reaches it.
    let mut session = Command::new("setsid");
    session.arg(command.get_program()).args(command.get_args());
    for (variable, value) in command.get_envs() {
        match value {
            Some(value) => session.env(variable, value),
            None => session.env_remove(variable),
        };
    }
    let child = session
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
        .with_context(|| format!("failed to start {name}"))?;
    let pid = i32::try_from(child.id()).context("failed to read a process id")?;
    let since = start_time(pid)
        .with_context(|| format!("{name} exited immediately; see `cargo xtask logs {name}`"))?;
    std::fs::write(file(name), format!("{pid} {since} {key}"))?;
    Ok(())
}

/// Wait until `ready`; a process that exits meanwhile is an error that quotes its log.
///
/// # Errors
/// When it exits, or after `timeout`.
pub(crate) fn wait(name: &str, timeout: Duration, ready: impl Fn() -> bool) -> anyhow::Result<()> {
    let started = Instant::now();
    while !ready() {
        let exited = !is_alive(name);
        if exited || started.elapsed() > timeout {
            let text = std::fs::read_to_string(log(name)).unwrap_or_default();
            let lines: Vec<_> = text.lines().collect();
            let tail = lines[lines.len().saturating_sub(8)..].join("\n  ");
            let what = if exited {
                "exited".into()
            } else {
                format!("was not ready after {}s", timeout.as_secs())
            };
            bail!("{name} {what}; the end of its log:\n  {tail}");
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

/// Send SIGTERM to the process `name`, and SIGKILL if it does not exit. One that stays is still among
/// [`all`].
pub(crate) fn stop(name: &str) {
    if let Some(running) = record(name) {
        // It may exit in between, which is fine.
        let _ = kill_process(running.pid, Signal::TERM);
        if !exits(name, STOP_TIMEOUT) {
            let _ = kill_process(running.pid, Signal::KILL);
            if !exits(name, KILL_TIMEOUT) {
                return;
            }
        }
    }
    let _ = std::fs::remove_file(file(name));
}

fn exits(name: &str, timeout: Duration) -> bool {
    let started = Instant::now();
    while is_alive(name) {
        if started.elapsed() > timeout {
            return false;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_identified_by_its_arguments_variables_and_files() {
        let directory = tempfile::tempdir().unwrap();
        let config = directory.path().join("config.yml");
        std::fs::write(&config, "a").unwrap();
        let key_for = |argument: &str, variable: &str| {
            let mut command = Command::new("serve");
            command.arg(format!("--config={}", config.display()));
            key(command.arg(argument).env("X", variable))
        };
        let first = key_for("-v", "1");
        assert_eq!(first, key_for("-v", "1"));
        assert_ne!(first, key_for("-q", "1"));
        assert_ne!(first, key_for("-v", "2"));
        std::fs::write(&config, "b").unwrap();
        assert_ne!(first, key_for("-v", "1"));
    }
}
