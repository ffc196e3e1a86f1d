//! act's log, short enough to read: each step with its time, warnings and errors, and what a step
//! says in its own words outside of groups.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::Instant;

use serde_json::Value;

use crate::say;

/// What is known of the steps so far.
#[derive(Default)]
pub(super) struct Log {
    begun: BTreeMap<String, Instant>,
    group: bool,
    stopped: Option<String>,
}

impl Log {
    /// Take one line of `act --json`; the whole text goes to `full`.
    pub(super) fn line(&mut self, line: &str, full: &mut impl Write) -> anyhow::Result<()> {
        let Ok(entry) = serde_json::from_str::<Value>(line) else {
            writeln!(full, "{line}")?;
            return Ok(());
        };
        let text = |name: &str| entry[name].as_str().unwrap_or_default();
        let message = text("msg").trim_end();
        writeln!(full, "{} {message}", text("step"))?;
        full.flush()?;
        if text("stage") != "Main" && text("jobResult").is_empty() {
            return Ok(());
        }
        let step = text("step");
        if !step.is_empty()
            && entry["raw_output"] != true
            && !self.begun.contains_key(step)
            && step != "Set up job"
            && step != "Complete job"
        {
            self.begun.insert(step.to_owned(), Instant::now());
            say::line(format!("▸ {step}"));
        }
        if entry["raw_output"] == true {
            self.said(message);
        }
        if let Some(command) = entry["command"].as_str() {
            match command {
                "group" => self.group = true,
                "endgroup" => self.group = false,
                "error" | "warning" | "notice" => {
                    say::line(format!("    {command}: {}", text("arg")))
                }
                _ => {}
            }
        }
        if let Some(result) = entry["stepResult"].as_str().filter(|_| !step.is_empty()) {
            let seconds = self
                .begun
                .get(step)
                .map_or(0.0, |begun| begun.elapsed().as_secs_f64());
            let mark = if result == "success" { "✓" } else { "✗" };
            say::line(format!("{mark} {step} ({seconds:.1} s)"));
            self.group = false;
        }
        Ok(())
    }

    fn said(&mut self, message: &str) {
        if let Some(token) = message.strip_prefix("::stop-commands::") {
            self.stopped = Some(format!("::{token}::"));
        } else if self.stopped.as_deref() == Some(message) {
            self.stopped = None;
        } else if !self.group
            && self.stopped.is_none()
            && !message.is_empty()
            && !message.starts_with("::")
        {
            say::line(format!("    {message}"));
        }
    }
}
