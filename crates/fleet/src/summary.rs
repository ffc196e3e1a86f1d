//! What a person reads.

use actions_toolkit::text::{self, Table, plural};

use crate::{Entry, Merged, Plan};

/// Rows of a table; the file has all of them.
const ROWS: usize = 200;

pub(crate) fn plan_line(plan: &Plan) -> String {
    let (images, shards) = (plan.items().count(), plan.shards.len());
    let bytes: u64 = plan.items().map(|item| item.bytes).sum();
    let errors = plan.others.iter().filter(|other| !other.is_done()).count();
    let skipped = plan.others.len() - errors
        + plan
            .unchanged
            .iter()
            .filter(|entry| entry.result == "skipped")
            .count();
    let mut line = format!(
        "{} to do ({} of layers) in {}, {} unchanged, {skipped} skipped",
        plural(images, "image"),
        megabytes(bytes),
        plural(shards, "shard"),
        plan.unchanged.len() + plan.others.len() - errors - skipped
    );
    if errors > 0 {
        line.push_str(&format!(", {errors} unreadable"));
    }
    line
}

fn megabytes(bytes: u64) -> String {
    format!("{} MB", bytes.div_ceil(1_000_000))
}

/// The summary of the job that plans.
pub(crate) fn of_plan(plan: &Plan) -> String {
    let mut out = format!("## Plan: {}\n\n", plan_line(plan));
    let mut table = Table::new(["Shard", "Images", "Layers"]).numbers([1, 2]);
    for index in 0..plan.shards.len() {
        let (bytes, images) = plan.size(index);
        table.row([
            (index + 1).to_string(),
            images.to_string(),
            megabytes(bytes),
        ]);
    }
    if !table.is_empty() {
        out.push_str(&table.to_string());
    }
    let rows = plan.others.iter().map(problem).collect();
    out.push_str(&problems("Not done", rows));
    out
}

pub(crate) fn merged_line(merged: &Merged) -> String {
    let entries = &merged.entries;
    let mut results: Vec<(&str, usize)> = Vec::new();
    for entry in entries {
        match results.iter_mut().find(|(name, _)| *name == entry.result) {
            Some((_, count)) => *count += 1,
            None => results.push((&entry.result, 1)),
        }
    }
    results.sort_unstable();
    let results = results
        .iter()
        .map(|(name, count)| format!("{count} {name}"));
    let results: Vec<_> = results.collect();
    let mut line = format!("{}: {}", plural(entries.len(), "image"), results.join(", "));
    if merged.unchanged > 0 {
        line.push_str(&format!("; {} as of an earlier run", merged.unchanged));
    }
    line
}

/// The summary of the job that merges; the results are in `file`.
pub(crate) fn of_merged(
    merged: &Merged,
    file: &str,
    (title, detail): (&str, fn(&Entry) -> String),
) -> String {
    let entries = &merged.entries;
    let is_red = entries.iter().any(|entry| !entry.is_done());
    let mark = if is_red || !merged.missing.is_empty() {
        "❌"
    } else {
        "✅"
    };
    let mut out = format!("## {mark} {}\n\n", merged_line(merged));
    for (number, why) in &merged.missing {
        let why = text::markdown(why);
        out.push_str(&format!("> ⚠️ Shard {number} {why}\n\n"));
    }
    let red = entries.iter().filter(|entry| !entry.is_done());
    out.push_str(&problems("Failed", red.map(problem).collect()));
    let mut table = Table::new(["Image", "Result", "Findings", title]);
    let done = || {
        let done = entries.iter().filter(|entry| entry.is_done());
        done.filter(|entry| entry.result != "skipped")
    };
    for entry in done().take(ROWS) {
        table.row([
            text::code(&entry.image),
            text::markdown(&entry.result),
            findings(entry),
            text::markdown(&detail(entry)),
        ]);
    }
    if !table.is_empty() {
        let line = if out.ends_with("\n\n") { "" } else { "\n" };
        out.push_str(&format!("{line}{table}"));
    }
    out.push_str(&cut(done().count()));
    let skipped = merged.with("skipped").map(problem).collect();
    out.push_str(&problems("Skipped", skipped));
    out.push_str(&format!("\nEvery result is in {}.\n", text::code(file)));
    out
}

fn findings(entry: &Entry) -> String {
    const WORST_FIRST: [&str; 5] = ["critical", "high", "medium", "low", "unknown"];
    let counts = WORST_FIRST.iter().filter_map(|severity| {
        let count = entry.findings.get(*severity).filter(|count| **count > 0)?;
        Some(format!("{count} {severity}"))
    });
    let counts: Vec<_> = counts.collect();
    if counts.is_empty() {
        return "none".to_owned();
    }
    counts.join(", ")
}

fn problem(entry: &Entry) -> [String; 2] {
    let reason = entry.reason.as_deref().unwrap_or_default();
    [
        text::code(&entry.image),
        text::markdown(text::cut(reason, 500)),
    ]
}

fn problems(title: &str, rows: Vec<[String; 2]>) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let count = rows.len();
    let mut table = Table::new(["Image", "Reason"]);
    table.extend(rows.into_iter().take(ROWS));
    format!("\n### {title}\n\n{table}{}", cut(count))
}

fn cut(rows: usize) -> String {
    match rows.saturating_sub(ROWS) {
        0 => String::new(),
        rest => format!("\n… and {rest} more.\n"),
    }
}
