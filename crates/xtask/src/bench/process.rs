//! What a process costs: its own time on the processor and its own peak of memory, without its children's.

use std::io::Read as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};

use crate::setup::timings;

/// How often a process is looked at.
const PERIOD: Duration = Duration::from_millis(2);

/// What one run cost.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Cost {
    /// From start to end.
    pub(super) wall: Duration,
    /// From start to the first byte of output.
    pub(super) first_line: Duration,
    /// User and system time of the process itself, in steps of 10 ms.
    pub(super) cpu: Duration,
    /// Peak of resident memory, in bytes.
    pub(super) memory: u64,
}

/// Run `command` until it exits.
///
/// # Errors
/// When it can't be started, or its exit code is not 0.
pub(super) fn measure(command: &mut Command) -> anyhow::Result<Cost> {
    let started = Instant::now();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .context("failed to start what is measured")?;
    let mut stdout = child.stdout.take().context("failed to read its output")?;
    let reader = std::thread::spawn(move || {
        let mut text = vec![0; 1];
        let first = stdout.read_exact(&mut text);
        let first_line = started.elapsed();
        let rest = stdout.read_to_end(&mut text);
        let text = String::from_utf8_lossy(&text).into_owned();
        (
            first.is_ok_and(|()| rest.is_ok()).then_some(first_line),
            text,
        )
    });
    let directory = format!("/proc/{}", child.id());
    let mut cost = Cost::default();
    let status = loop {
        cost.memory = cost.memory.max(peak(&directory).unwrap_or_default());
        cost.cpu = cost.cpu.max(cpu(&directory).unwrap_or_default());
        if let Some(status) = child.try_wait().context("failed to wait for it")? {
            break status;
        }
        std::thread::sleep(PERIOD);
    };
    cost.wall = started.elapsed();
    let (first_line, text) = reader.join().unwrap_or_default();
    let end: Vec<_> = text.lines().rev().take(5).collect();
    ensure!(status.success(), "failed with {status}: {end:?}");
    cost.first_line = first_line.context("it printed nothing")?;
    Ok(cost)
}

fn peak(directory: &str) -> Option<u64> {
    let text = std::fs::read_to_string(format!("{directory}/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: u64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(kilobytes * 1024)
}

// proc(5): `utime` and `stime` are fields 14 and 15; the children's are others.
fn cpu(directory: &str) -> Option<Duration> {
    let text = std::fs::read_to_string(format!("{directory}/stat")).ok()?;
    timings::ticks(&text, &[14, 15]).map(Duration::from_secs_f64)
}
