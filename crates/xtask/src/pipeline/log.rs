//! act's log, short enough to read: each step with its time, warnings and errors, and what a step
//! prints outside of groups.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::progress;

/// A finished step.
#[derive(Debug, Clone)]
pub struct Step {
    /// Its name in the workflow.
    pub name: String,
    /// From its first line until it finished.
    pub time: Duration,
}

/// The state of the steps so far.
pub(super) struct Log {
    /// By job and name, since two jobs may have steps of one name.
    started: BTreeMap<String, Instant>,
    finished: Vec<Step>,
    under_way: Option<(String, Instant)>,
    printed: Instant,
    group: bool,
    stopped: Option<String>,
}

impl Log {
    /// A log without a line.
    pub(super) fn new() -> Self {
        Self {
            started: BTreeMap::new(),
            finished: Vec::new(),
            under_way: None,
            printed: Instant::now(),
            group: false,
            stopped: None,
        }
    }

    /// The finished steps, in the order in which they finished.
    pub(super) fn into_steps(self) -> Vec<Step> {
        self.finished
    }

    fn show(&mut self, text: &str) {
        progress::line(text);
        self.printed = Instant::now();
    }

    /// Print that the step is still running, if nothing was printed for a while.
    pub(super) fn pulse(&mut self) {
        if let Some((step, started)) = &self.under_way
            && self.printed.elapsed() >= progress::HEARTBEAT
        {
            let text = format!("  … {step} ({} s)", started.elapsed().as_secs());
            self.show(&text);
        }
    }

    /// Read one line of `act --json`; the whole text goes to `full`.
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
        let (step, raw) = (text("step"), entry["raw_output"] == true);
        let key = format!("{}/{step}", text("job"));
        let of_runner = ["", "Set up job", "Complete job"].contains(&step);
        if !of_runner && !raw && !self.started.contains_key(&key) {
            self.started.insert(key.clone(), Instant::now());
            self.under_way = Some((step.to_owned(), Instant::now()));
            self.show(&format!("▸ {step}"));
        }
        if raw {
            self.print_output(message);
        }
        match text("command") {
            "group" => self.group = true,
            "endgroup" => self.group = false,
            command @ ("error" | "warning" | "notice") => {
                self.show(&format!("    {command}: {}", text("arg")));
            }
            _ => {}
        }
        if let Some(result) = entry["stepResult"].as_str().filter(|_| !step.is_empty()) {
            let started = self.started.get(&key).copied().unwrap_or_else(Instant::now);
            let mark = if result == "success" { "✓" } else { "✗" };
            let time = started.elapsed();
            self.show(&format!("{mark} {step} ({:.1} s)", time.as_secs_f64()));
            self.finished.push(Step {
                name: step.to_owned(),
                time,
            });
            self.under_way = None;
            self.group = false;
        }
        Ok(())
    }

    /// Read one line of an action's own output.
    pub(super) fn plain(&mut self, line: &str) {
        let command = line
            .strip_prefix("::")
            .and_then(|rest| rest.split_once("::"));
        match command {
            Some((name, _)) if name.starts_with("group") => self.group = true,
            Some(("endgroup", _)) => self.group = false,
            Some((name, text)) if self.stopped.is_none() => {
                let name = name.split(' ').next().unwrap_or_default();
                if ["error", "warning", "notice"].contains(&name) {
                    self.show(&format!("    {name}: {text}"));
                }
                self.print_output(line);
            }
            _ => self.print_output(line),
        }
    }

    fn print_output(&mut self, message: &str) {
        if let Some(token) = message.strip_prefix("::stop-commands::") {
            self.stopped = Some(format!("::{token}::"));
        } else if self.stopped.as_deref() == Some(message) {
            self.stopped = None;
        } else if !self.group
            && self.stopped.is_none()
            && !message.is_empty()
            && !message.starts_with("::")
        {
            self.show(&format!("    {message}"));
        }
    }
}
