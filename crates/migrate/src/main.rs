//! `migrate .github/workflows/*.yml`: shows, or writes, workflows with the actions of this repository.

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use migrate::{Moved, Verdict, diff, migrate, notes, summary};

/// A workflow is never that large.
const LIMIT: u64 = 4 * 1024 * 1024;

/// Move workflows from other actions to those of this repository.
///
/// Prints what is lost and a diff. Exit codes: 0 everything is moved, or there is nothing to move; 1 something is lost or
/// stays; 3 a file can't be read, or is not a workflow.
#[derive(Debug, Parser)]
#[command(name = "migrate", version)]
struct Arguments {
    /// Workflows, and `action.yml` of composite actions.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Change the files.
    #[arg(long)]
    write: bool,
    /// Print one line for each file: whole, with a loss, not.
    #[arg(long)]
    summary: bool,
    /// Repository of the actions, and their version.
    #[arg(long, default_value = "OWNER/seaworthy@v1", value_parser = repository)]
    actions: String,
}

fn repository(text: &str) -> Result<String, String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
    let parts = text
        .split_once('@')
        .filter(|(name, version)| name.contains('/') && !version.is_empty());
    match parts {
        Some((name, version)) if name.chars().all(is_plain) && version.chars().all(is_plain) => {
            Ok(text.to_owned())
        }
        _ => Err("expected `owner/repository@version`".to_owned()),
    }
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let is_help = !error.use_stderr();
            let _ = error.print();
            return ExitCode::from(if is_help { 0 } else { 3 });
        }
    };
    let mut worst = 0;
    for file in &arguments.files {
        let code = match one(file, &arguments) {
            Ok(Verdict::Whole | Verdict::Untouched) => 0,
            Ok(Verdict::WithLoss | Verdict::Not) => 1,
            Err(reason) => {
                let _ = writeln!(std::io::stderr(), "migrate: `{}`: {reason}", file.display());
                3
            }
        };
        worst = worst.max(code);
    }
    ExitCode::from(worst)
}

fn one(file: &Path, arguments: &Arguments) -> Result<Verdict, String> {
    let text = read(file)?;
    let moved = migrate(&text, &arguments.actions).map_err(|e| e.to_string())?;
    let path = file.display().to_string();
    if arguments.write && moved.text != text {
        std::fs::write(file, &moved.text).map_err(|e| format!("failed to write: {e}"))?;
    }
    let shown = shown(&path, &text, &moved, arguments.summary);
    // A pipe that is closed, as by `head`, is not an error of the file.
    let _ = std::io::stdout().write_all(shown.as_bytes());
    Ok(moved.verdict())
}

fn shown(path: &str, text: &str, moved: &Moved, is_summary: bool) -> String {
    let line = summary(path, moved);
    if is_summary || moved.verdict() == Verdict::Untouched {
        return line + "\n";
    }
    format!("{}{}", notes(path, moved), diff(path, text, &moved.text))
}

fn read(file: &Path) -> Result<String, String> {
    let open = std::fs::File::open(file).map_err(|e| e.to_string())?;
    let mut text = String::new();
    let read = open.take(LIMIT).read_to_string(&mut text);
    read.map_err(|e| format!("failed to read: {e}"))?;
    Ok(text)
}
