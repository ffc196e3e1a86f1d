//! The job log: lines, groups, annotations and masks.
//!
//! On the runner these are workflow commands (wire format by `actions-rs`); outside GitHub they are
//! plain lines that a person reads on a terminal.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use actions_rs::{Annotation, AnnotationKind, WorkflowCommand};

use crate::text;

/// Where the log goes. Cheap to clone; every clone writes to the same place.
#[derive(Clone)]
pub struct Log {
    on_runner: bool,
    debug: bool,
    out: Out,
    /// Where lines are seen at once: not `out` while its lines are buffered.
    live: Out,
}

type Out = Arc<Mutex<Box<dyn Write + Send>>>;

/// The level of an annotation, as the runner has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// Information.
    Notice,
    /// Something to look at; the step goes on.
    Warning,
    /// The reason of a failure.
    Error,
}

/// The place in the repository that an annotation points to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Location {
    /// Path relative to the repository's root.
    pub file: String,
    /// First line, counted from 1.
    pub line: Option<u32>,
    /// Last line, counted from 1.
    pub end_line: Option<u32>,
}

impl Log {
    /// A log on standard output. `on_runner` chooses workflow commands over plain lines; `debug`
    /// shows debug lines outside the runner (on the runner, it hides them itself).
    pub fn stdout(on_runner: bool, debug: bool) -> Self {
        Self::to(on_runner, debug, io::stdout())
    }

    /// A log into `out`.
    pub fn to(on_runner: bool, debug: bool, out: impl Write + Send + 'static) -> Self {
        let out: Out = Arc::new(Mutex::new(Box::new(out)));
        Self {
            on_runner,
            debug,
            live: Arc::clone(&out),
            out,
        }
    }

    /// A log that is discarded, for tests of code that logs.
    pub fn sink() -> Self {
        Self::to(false, false, io::sink())
    }

    /// A log whose lines are written when the result is dropped: work that runs in parallel with other work has its
    /// lines together, and a child's output stays between the commands that guard it.
    pub fn buffered(&self) -> Buffered {
        let lines = Lines::default();
        Buffered {
            log: Self {
                live: Arc::clone(&self.live),
                ..Self::to(self.on_runner, self.debug, lines.clone())
            },
            lines,
            parent: self.clone(),
        }
    }

    fn line(&self, line: &str) {
        write(&self.out, format!("{line}\n").as_bytes());
    }

    fn command(&self, command: &WorkflowCommand) {
        self.line(&command.to_string());
    }

    /// Write text, line by line; a line from outside cannot become a workflow command.
    pub fn info(&self, message: impl AsRef<str>) {
        for line in message.as_ref().lines() {
            self.line(&text::log_line(line));
        }
    }

    /// Write a line that is seen at once, also where others are buffered.
    pub fn progress(&self, message: impl AsRef<str>) {
        let line = text::log_line(message.as_ref());
        write(&self.live, format!("{line}\n").as_bytes());
    }

    /// Write a line that is shown only when debugging is on.
    pub fn debug(&self, message: impl AsRef<str>) {
        if self.on_runner {
            self.command(&WorkflowCommand::new("debug").message(message.as_ref()));
        } else if self.debug {
            self.line(&format!("debug: {}", message.as_ref()));
        }
    }

    /// Annotate the run: for information.
    pub fn notice(&self, message: impl AsRef<str>) {
        self.annotate(Level::Notice, None, message);
    }

    /// Annotate the run: something to look at.
    pub fn warning(&self, message: impl AsRef<str>) {
        self.annotate(Level::Warning, None, message);
    }

    /// Annotate the run: the reason of a failure.
    pub fn error(&self, message: impl AsRef<str>) {
        self.annotate(Level::Error, None, message);
    }

    /// Annotate the run, or a place in the repository.
    pub fn annotate(&self, level: Level, place: Option<&Location>, message: impl AsRef<str>) {
        let message = message.as_ref();
        if !self.on_runner {
            let level = match level {
                Level::Notice => "notice",
                Level::Warning => "warning",
                Level::Error => "error",
            };
            let place = place.map(|p| match p.line {
                Some(line) => format!("{}:{line}: ", p.file),
                None => format!("{}: ", p.file),
            });
            return self.info(format!("{level}: {}{message}", place.unwrap_or_default()));
        }
        let mut annotation = Annotation::new();
        if let Some(place) = place {
            annotation = annotation.file(&place.file);
            if let Some(line) = place.line {
                annotation = annotation.line(line);
            }
            if let Some(end) = place.end_line {
                annotation = annotation.end_line(end);
            }
        }
        let kind = match level {
            Level::Notice => AnnotationKind::Notice,
            Level::Warning => AnnotationKind::Warning,
            Level::Error => AnnotationKind::Error,
        };
        self.command(&annotation.command(kind, message));
    }

    /// Hide `value` from the log from here on. The runner warns of an empty mask and masks only
    /// whole values, so each non-blank line of a value is masked by itself as well.
    pub fn mask(&self, value: &str) {
        if !self.on_runner || value.trim().is_empty() {
            return;
        }
        self.command(&WorkflowCommand::new("add-mask").message(value));
        if value.trim().contains('\n') {
            for line in value.lines().map(str::trim).filter(|line| !line.is_empty()) {
                self.command(&WorkflowCommand::new("add-mask").message(line));
            }
        }
    }

    /// Open a group; it closes when the guard is dropped.
    pub fn group(&self, title: impl AsRef<str>) -> Group {
        if self.on_runner {
            self.command(&WorkflowCommand::new("group").message(title.as_ref()));
        } else {
            self.info(format!("── {}", title.as_ref()));
        }
        Group(self.clone())
    }

    /// Stop the runner from reading commands until the guard is dropped: for the raw output of a
    /// child process.
    pub fn stop_commands(&self) -> StopCommands {
        let token = random_token();
        if self.on_runner {
            self.command(&WorkflowCommand::new("stop-commands").message(token.clone()));
        }
        StopCommands {
            log: self.clone(),
            token,
        }
    }
}

// A closed standard output cannot be reported anywhere: the outcome of a write is dropped.
fn write(out: &Out, bytes: &[u8]) {
    let mut out = out.lock().unwrap_or_else(PoisonError::into_inner);
    let _ = out.write_all(bytes);
    let _ = out.flush();
}

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lines.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A log whose lines are written together.
#[must_use = "its lines are written when it is dropped"]
pub struct Buffered {
    log: Log,
    lines: Lines,
    parent: Log,
}

impl Buffered {
    /// The log to write to.
    pub fn log(&self) -> &Log {
        &self.log
    }
}

impl Drop for Buffered {
    fn drop(&mut self) {
        let lines = self.lines.0.lock().unwrap_or_else(PoisonError::into_inner);
        write(&self.parent.out, &lines);
    }
}

/// An open group of log lines.
#[must_use = "the group closes when this guard is dropped"]
pub struct Group(Log);

impl Drop for Group {
    fn drop(&mut self) {
        if self.0.on_runner {
            self.0.command(&WorkflowCommand::new("endgroup"));
        }
    }
}

/// A part of the log in which the runner reads no workflow commands.
#[must_use = "commands are read again when this guard is dropped"]
pub struct StopCommands {
    log: Log,
    token: String,
}

impl StopCommands {
    /// Write a line of a child's output as it came.
    pub fn raw(&self, line: &str) {
        self.log.line(line);
    }
}

impl Drop for StopCommands {
    fn drop(&mut self) {
        if self.log.on_runner {
            self.log.line(&format!("::{}::", self.token));
        }
    }
}

// A child must not be able to guess the token; the hasher keys of the standard library come from
// the operating system's random source.
fn random_token() -> String {
    use std::hash::{BuildHasher, RandomState};
    let word = || RandomState::new().hash_one(std::process::id());
    format!("stop-{:016x}{:016x}", word(), word())
}

#[cfg(test)]
pub(crate) mod tests;
