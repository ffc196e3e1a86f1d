//! Child processes of the set-up: an argv, an exit code that must be 0, and an error that quotes
//! the end of what was printed.

use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

/// A command of `program` and `args`.
pub fn command<A: AsRef<std::ffi::OsStr>>(
    program: &str,
    args: impl IntoIterator<Item = A>,
) -> Command {
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null());
    // `cargo run` sets variables about this package. A build script that reads them (ring's does) would run
    // again in every build that is started here, and in the next one that is not.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    command
}

/// Run it; its output is shown only when it fails.
pub fn run(command: &mut Command) -> anyhow::Result<()> {
    output(command).map(drop)
}

/// Run it and return what it printed on standard output.
///
/// # Errors
/// When it can't be started, or its exit code is not 0: with the end of what it printed.
pub fn output(command: &mut Command) -> anyhow::Result<String> {
    let done = command.output();
    checked(command, done)
}

/// Run it, and return what it printed on standard output, and the seconds that it and its children took on the
/// processor.
///
/// # Errors
/// As [`output`].
pub(crate) fn measured(command: &mut Command) -> anyhow::Result<(String, f64)> {
    let mut cpu = 0.0;
    let piped = command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let done = piped.spawn().and_then(|child| {
        // Until it is waited for, an exited process keeps its figures.
        let stat = format!("/proc/{}/stat", child.id());
        let exited = Pid::from_child(&child);
        let observer = std::thread::spawn(move || {
            let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
            waitid(WaitId::Pid(exited), options).ok()?;
            let stat = std::fs::read_to_string(stat).ok()?;
            // Its own time and that of its children, in user mode and in the kernel (proc(5)).
            super::timings::ticks(&stat, &[14, 15, 16, 17])
        });
        let mut child = child;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let errors = std::thread::spawn(move || read(stderr));
        let (stdout, stderr) = (read(stdout), errors.join().unwrap_or_default());
        cpu = observer.join().ok().flatten().unwrap_or_default();
        let status = child.wait()?;
        Ok(std::process::Output {
            status,
            stdout,
            stderr,
        })
    });
    Ok((checked(command, done)?, cpu))
}

// All of it, as far as it can be read.
fn read(from: Option<impl std::io::Read>) -> Vec<u8> {
    let mut text = Vec::new();
    if let Some(mut from) = from {
        let _ = from.read_to_end(&mut text);
    }
    text
}

// The standard output of a command that is done.
fn checked(
    command: &Command,
    done: std::io::Result<std::process::Output>,
) -> anyhow::Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let first = command
        .get_args()
        .next()
        .map(|arg| arg.to_string_lossy().into_owned())
        .unwrap_or_default();
    let done = done.with_context(|| format!("failed to start `{name}`; is it installed?"))?;
    if !done.status.success() {
        let mut text = String::from_utf8_lossy(&done.stderr).into_owned();
        text.push_str(&String::from_utf8_lossy(&done.stdout));
        let lines: Vec<_> = text
            .lines()
            .filter(|line| !line.trim().is_empty())
            .collect();
        let tail = lines[lines.len().saturating_sub(12)..].join("\n  ");
        bail!("`{name} {first}` failed with {}:\n  {tail}", done.status);
    }
    Ok(String::from_utf8_lossy(&done.stdout).into_owned())
}

/// Whether it exits with code 0; its output is dropped.
pub fn succeeds(command: &mut Command) -> bool {
    command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}
