//! Progress, for a person who waits.

#![allow(clippy::print_stdout, clippy::print_stderr)] // the one place that prints

use std::sync::mpsc;
use std::time::{Duration, Instant};

/// After how long a step says for the first time that it lives.
pub(crate) const HEARTBEAT: Duration = Duration::from_secs(15);
/// And how seldom a very long one does.
const SLOWEST: Duration = Duration::from_secs(60);

/// The next pause after `pause`: what has taken minutes already is not news every few seconds.
pub(crate) fn longer(pause: Duration) -> Duration {
    (pause * 2).min(SLOWEST)
}

/// Say one line.
pub(crate) fn line(text: impl AsRef<str>) {
    println!("{}", text.as_ref());
}

/// Say why the command failed.
pub(crate) fn failed(error: &anyhow::Error) {
    eprintln!("error: {error:#}");
}

/// Do `work`, saying what it is, that it lives, and how long it took.
pub(crate) fn step<T>(what: &str, work: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
    let begun = Instant::now();
    let (done, waiting) = mpsc::channel::<()>();
    let label = what.to_owned();
    let heart = std::thread::spawn(move || {
        let mut pause = HEARTBEAT;
        while waiting.recv_timeout(pause) == Err(mpsc::RecvTimeoutError::Timeout) {
            println!("  … {label} ({} s)", begun.elapsed().as_secs());
            pause = longer(pause);
        }
    });
    let outcome = work();
    drop(done);
    // The thread only prints: it cannot fail.
    let _ = heart.join();
    let mark = if outcome.is_ok() { "✓" } else { "✗" };
    println!("{mark} {what} ({:.1} s)", begun.elapsed().as_secs_f64());
    outcome
}
