//! What a person sees: a line for each file, notes with their lines, and a diff.

use std::fmt::Write as _;

use similar::TextDiff;

use crate::{Moved, Verdict, Weight};

/// One line: how much of the file was moved, and what is lost.
pub fn summary(path: &str, moved: &Moved) -> String {
    let reasons: Vec<_> = moved
        .notes
        .iter()
        .filter(|note| note.weight > Weight::Note)
        .map(|note| format!("line {}: {}", note.line, note.text))
        .collect();
    match moved.verdict() {
        Verdict::Untouched => format!("{path}: nothing to move"),
        Verdict::Whole => format!("{path}: whole ({} steps)", moved.steps),
        Verdict::WithLoss => format!(
            "{path}: with a loss ({} steps): {}",
            moved.steps,
            reasons.join("; ")
        ),
        Verdict::Not => format!("{path}: not: {}", reasons.join("; ")),
    }
}

/// A line for each note.
pub fn notes(path: &str, moved: &Moved) -> String {
    let mut text = String::new();
    for note in &moved.notes {
        let weight = match note.weight {
            Weight::Note => "note",
            Weight::Loss => "lost",
            Weight::Not => "not moved",
        };
        let _ = writeln!(
            text,
            "{path}:{}: {}: {weight}: {}",
            note.line, note.step, note.text
        );
    }
    text
}

/// A unified diff, as `patch` and `git apply` take it.
pub fn diff(path: &str, old: &str, new: &str) -> String {
    let path = path.trim_start_matches("./");
    let diff = TextDiff::from_lines(old, new);
    diff.unified_diff()
        .context_radius(3)
        .header(&format!("a/{path}"), &format!("b/{path}"))
        .to_string()
}
