//! What a terminal has in addition to a job log: colors, and moving lines for what takes long.

use std::io::{IsTerminal as _, stderr};
use std::time::Duration;

use anstream::stream::RawStream;
use anstream::{AutoStream, ColorChoice};
use clap::builder::styling::{AnsiColor, Style as Ansi};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

/// How often a moving line moves.
const TICK: Duration = Duration::from_millis(120);

/// What stands out.
#[derive(Debug, Clone, Copy)]
pub(super) enum Style {
    Heading,
    Notice,
    Warning,
    Error,
}

impl Style {
    const fn ansi(self) -> Ansi {
        match self {
            Self::Heading => Ansi::new().bold(),
            Self::Notice => AnsiColor::Cyan.on_default().bold(),
            Self::Warning => AnsiColor::Yellow.on_default().bold(),
            Self::Error => AnsiColor::Red.on_default().bold(),
        }
    }
}

/// The terminal that a log is on; the default is none.
#[derive(Clone, Default)]
pub(super) struct Terminal {
    colors: bool,
    /// On standard error, below the lines.
    moving: Option<MultiProgress>,
}

impl Terminal {
    /// That of `out`: with colors if it shows them (`NO_COLOR`, `CLICOLOR`, `CLICOLOR_FORCE`, `TERM`; no-color.org, bixense.com/clicolors),
    /// with moving lines if standard error is a terminal as well.
    pub(super) fn of(on_runner: bool, out: &impl RawStream) -> Self {
        if on_runner {
            return Self::default();
        }
        let moves = anstream::stream::IsTerminal::is_terminal(out) && stderr().is_terminal();
        Self {
            colors: AutoStream::choice(out) != ColorChoice::Never,
            moving: moves.then(MultiProgress::new),
        }
    }

    pub(super) fn styled(&self, style: Style, text: &str) -> String {
        if self.colors {
            let ansi = style.ansi();
            format!("{ansi}{text}{ansi:#}")
        } else {
            text.to_owned()
        }
    }

    /// Write above the moving lines.
    pub(super) fn above_the_lines<T>(&self, write: impl FnOnce() -> T) -> T {
        match &self.moving {
            Some(moving) => moving.suspend(write),
            None => write(),
        }
    }

    pub(super) fn spinner(&self, what: &str) -> Option<Spinner> {
        let moving = self.moving.as_ref()?;
        let template = ProgressStyle::with_template("{spinner} {msg} {elapsed:.dim}").ok()?;
        let bar = moving.add(ProgressBar::new_spinner().with_style(template));
        bar.set_message(what.to_owned());
        bar.enable_steady_tick(TICK);
        Some(Spinner(bar))
    }
}

/// A moving line.
pub(crate) struct Spinner(ProgressBar);

impl Drop for Spinner {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
