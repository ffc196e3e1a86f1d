//! Child processes of the set-up: an argv, an exit code that must be 0, and an error that quotes
//! the end of what was printed.

use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};

/// A command of `program` and `args`.
pub(crate) fn command<A: AsRef<std::ffi::OsStr>>(
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
pub(crate) fn run(command: &mut Command) -> anyhow::Result<()> {
    output(command).map(drop)
}

/// Run it and return what it printed on standard output.
pub(crate) fn output(command: &mut Command) -> anyhow::Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let first = command
        .get_args()
        .next()
        .map(|arg| arg.to_string_lossy().into_owned())
        .unwrap_or_default();
    let done = command
        .output()
        .with_context(|| format!("failed to start `{name}`; is it installed?"))?;
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
pub(crate) fn succeeds(command: &mut Command) -> bool {
    command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}
