//! Progress, for a person who waits.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the only module that prints"
)]

use std::process::ExitCode;
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// The first pause until a running step prints a line again.
pub(crate) const HEARTBEAT: Duration = Duration::from_secs(15);
/// The longest such pause.
const SLOWEST: Duration = Duration::from_secs(60);

/// The pause after `pause`: a step of minutes does not need a line every few seconds.
pub(crate) fn longer(pause: Duration) -> Duration {
    (pause * 2).min(SLOWEST)
}

/// Print one line.
pub fn line(text: impl AsRef<str>) {
    println!("{}", text.as_ref());
}

/// The exit code of a command, whose error is printed.
pub fn exit_code(outcome: &anyhow::Result<()>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            failed(e);
            ExitCode::FAILURE
        }
    }
}

/// Print why the command failed.
pub(crate) fn failed(error: &anyhow::Error) {
    eprintln!("error: {error:#}");
}

/// Do `work`, and print its name, that it is running, and its time.
pub fn step<T>(what: &str, work: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
    let started = Instant::now();
    let (done, waiting) = mpsc::channel::<()>();
    let label = what.to_owned();
    let heartbeat = std::thread::spawn(move || {
        let mut pause = HEARTBEAT;
        while waiting.recv_timeout(pause) == Err(mpsc::RecvTimeoutError::Timeout) {
            println!("  … {label} ({} s)", started.elapsed().as_secs());
            pause = longer(pause);
        }
    });
    let outcome = work();
    drop(done);
    // The thread only prints: it cannot fail.
    let _ = heartbeat.join();
    let mark = if outcome.is_ok() { "✓" } else { "✗" };
    println!("{mark} {what} ({:.1} s)", started.elapsed().as_secs_f64());
    outcome
}
