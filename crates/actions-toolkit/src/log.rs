//! The job log: lines, groups, annotations and masks.
//!
//! On the runner these are workflow commands (wire format by `actions-rs`); outside GitHub they are
//! plain lines that a person reads on a terminal.

mod terminal;

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use actions_rs::{Annotation, AnnotationKind, WorkflowCommand};

use terminal::{Spinner, Style, Terminal};

use crate::{Redactor, text};

/// Where the log goes. Cheap to clone; every clone writes to the same place.
#[derive(Clone)]
pub struct Log {
    on_runner: bool,
    debug: bool,
    out: Out,
    /// Where lines are seen at once: not `out` while its lines are buffered.
    live: Out,
    redactor: Redactor,
    terminal: Terminal,
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
        Self {
            terminal: Terminal::of(on_runner, &io::stdout()),
            ..Self::to(on_runner, debug, io::stdout())
        }
    }

    /// The same log on standard error: standard output is for what a program reads.
    #[must_use]
    pub fn on_stderr(&self) -> Self {
        Self {
            redactor: self.redactor.clone(),
            terminal: Terminal::of(self.on_runner, &io::stderr()),
            ..Self::to(self.on_runner, self.debug, io::stderr())
        }
    }

    /// A log into `out`.
    pub fn to(on_runner: bool, debug: bool, out: impl Write + Send + 'static) -> Self {
        let out: Out = Arc::new(Mutex::new(Box::new(out)));
        Self {
            on_runner,
            debug,
            live: Arc::clone(&out),
            out,
            redactor: Redactor::default(),
            terminal: Terminal::default(),
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
                redactor: self.redactor.clone(),
                terminal: self.terminal.clone(),
                ..Self::to(self.on_runner, self.debug, lines.clone())
            },
            lines,
            parent: self.clone(),
        }
    }

    /// What keeps the secrets of the run out of a text: it knows every value that was masked.
    pub fn redactor(&self) -> &Redactor {
        &self.redactor
    }

    // Every line of the log comes through here, or through `write_lines`.
    fn command(&self, command: &WorkflowCommand) {
        self.write(&self.out, format!("{command}\n").as_bytes());
    }

    // A closed standard output cannot be reported anywhere: the outcome of a write is dropped.
    fn write(&self, out: &Out, bytes: &[u8]) {
        self.terminal.above_the_lines(|| write(out, bytes));
    }

    // `safe` makes a line from outside safe to print.
    fn write_lines<'a, S: AsRef<str>>(
        &self,
        out: &Out,
        message: &'a str,
        safe: impl Fn(&'a str) -> S,
    ) {
        for line in text::lines(message) {
            self.write(out, format!("{}\n", safe(line).as_ref()).as_bytes());
        }
    }

    /// A moving line for `what`, which takes long, until it is dropped; `None` without a terminal.
    pub(crate) fn spinner(&self, what: &str) -> Option<Spinner> {
        let what = self.redactor.redact(what);
        self.terminal.spinner(&text::log_line(&what))
    }

    // A line that begins with `mark`, which stands out on a terminal.
    fn marked(&self, style: Style, mark: &str, message: &str) {
        let message = self.redactor.redact(message);
        let mark = self.terminal.styled(style, mark);
        let mut lines = text::lines(&message).map(text::log_line);
        let first = lines.next().unwrap_or_default();
        self.write(&self.out, format!("{mark}{first}\n").as_bytes());
        for line in lines {
            self.write(&self.out, format!("{line}\n").as_bytes());
        }
    }

    // The text of an annotation or title: the runner shows it, and GitHub keeps it.
    fn shown(&self, message: &str) -> String {
        let message = self.redactor.redact(message);
        let lines: Vec<_> = text::lines(&message).map(text::printable).collect();
        lines.join("\n")
    }

    /// Write text, line by line; a line from outside cannot become a workflow command.
    pub fn info(&self, message: impl AsRef<str>) {
        let message = self.redactor.redact(message.as_ref());
        self.write_lines(&self.out, &message, text::log_line);
    }

    /// Write lines that are seen at once, also where others are buffered.
    pub fn progress(&self, message: impl AsRef<str>) {
        let message = self.redactor.redact(message.as_ref());
        self.write_lines(&self.live, &message, text::log_line);
    }

    /// Write a line that is shown only when debugging is on.
    pub fn debug(&self, message: impl AsRef<str>) {
        if self.on_runner {
            self.command(&WorkflowCommand::new("debug").message(self.shown(message.as_ref())));
        } else if self.debug {
            self.info(format!("debug: {}", message.as_ref()));
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
            let (style, level) = match level {
                Level::Notice => (Style::Notice, "notice: "),
                Level::Warning => (Style::Warning, "warning: "),
                Level::Error => (Style::Error, "error: "),
            };
            let place = place.map(|p| match p.line {
                Some(line) => format!("{}:{line}: ", p.file),
                None => format!("{}: ", p.file),
            });
            let message = format!("{}{message}", place.unwrap_or_default());
            return self.marked(style, level, &message);
        }
        let mut annotation = Annotation::new();
        if let Some(place) = place {
            annotation = annotation.file(self.shown(&place.file));
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
        self.command(&annotation.command(kind, self.shown(message)));
    }

    /// [`Log::mask`] for a client that receives secrets later: the tokens of a registry, for example.
    pub fn masker(&self) -> impl Fn(&str) + Clone + Send + Sync + use<> {
        let log = self.clone();
        move |secret| log.mask(secret)
    }

    /// Hide `value` from here on, in the log and in all that leaves the run. The runner warns of an empty mask and
    /// masks only whole values, so each non-blank line of a value is masked by itself as well.
    pub fn mask(&self, value: &str) {
        self.redactor.learn(value);
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
            self.command(&WorkflowCommand::new("group").message(self.shown(title.as_ref())));
        } else {
            self.marked(Style::Heading, "── ", title.as_ref());
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
        self.parent.write(&self.parent.out, &lines);
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
    /// Write a line of a child's output. Colors stay as they are; workflow commands are inert here.
    pub fn raw(&self, line: &str) {
        let line = self.log.redactor.redact(line);
        self.log.write_lines(&self.log.out, &line, text::styled);
    }
}

impl Drop for StopCommands {
    fn drop(&mut self) {
        if self.log.on_runner {
            let line = format!("::{}::\n", self.token);
            self.log.write(&self.log.out, line.as_bytes());
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
