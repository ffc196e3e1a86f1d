//! Text from outside (CVE titles, paths, tool output) made safe for the place it goes to.
//!
//! - [`printable`] and [`lines`]: what a terminal and the runner make of a text is what it says;
//! - [`log_line`]: a line of the job log;
//! - [`markdown`], [`code`], [`code_block`], [`html`]: places in a summary, comment or issue.

mod printable;
mod table;

use std::fmt::Write as _;
use std::time::Duration;

pub use printable::{lines, printable, styled};
pub use table::Table;

/// Nothing that a reader sees, and the end of what GitHub and the runner recognize.
pub(crate) const ZERO_WIDTH_SPACE: char = '\u{200b}';

/// A line of the job log: [`printable`], and never a workflow command.
///
/// The runner takes a line whose first non-blank characters are `::`, and one that has `##[`
/// anywhere, for a command (`Runner.Common/ActionCommand.cs`). A zero-width space breaks both.
pub fn log_line(line: &str) -> String {
    let line = printable(line);
    let body = line.trim_start();
    let indent = &line[..line.len() - body.len()];
    let body = match body.strip_prefix("::") {
        Some(rest) => format!(":{ZERO_WIDTH_SPACE}:{rest}"),
        None => body.to_owned(),
    };
    format!("{indent}{}", body.replace("##[", "##\u{200b}["))
}

/// Escape for Markdown text on one line, also at its start and inside a table cell: no formatting, no HTML, no
/// link, no mention, no reference to an issue.
///
/// GitHub looks for mentions, references and URLs in the rendered text, where a backslash is gone: these are
/// broken by a zero-width space (github.github.com/gfm, "Autolinks"; docs.github.com, "Autolinked references").
pub fn markdown(text: &str) -> String {
    let text = one_line(text);
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.trim_start().chars() {
        escape(&mut out, c);
    }
    without_block(inert(&out))
}

fn escape(out: &mut String, c: char) {
    match c {
        '&' => out.push_str("&amp;"),
        '<' => out.push_str("&lt;"),
        '>' => out.push_str("&gt;"),
        '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '#' | '~' | '$' => {
            out.push('\\');
            out.push(c);
        }
        _ => out.push(c),
    }
}

// At the start of a line, `- `, `+ `, `=` and `1. ` would be a list or the underline of a heading.
fn without_block(text: String) -> String {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    match &text.as_bytes()[digits..] {
        [b'-' | b'+' | b'=', ..] if digits == 0 => format!("\\{text}"),
        [b'.' | b')'] | [b'.' | b')', b' ', ..] if digits > 0 => {
            format!("{}\\{}", &text[..digits], &text[digits..])
        }
        _ => text,
    }
}

// A mention would notify a person, a reference would link an unrelated issue, and a URL would be a link to anywhere.
fn inert(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    let mut copied = 0;
    for (at, byte) in text.bytes().enumerate() {
        let end = at + 1;
        let ends_here = match byte {
            b'@' | b'#' => true,
            b':' => text[end..].starts_with("//"),
            b'-' => ends_with_ignoring_case(&text[..end], "gh-"),
            b'w' | b'W' => {
                text[end..].starts_with('.') && ends_with_ignoring_case(&text[..end], "www")
            }
            _ => false,
        };
        if ends_here {
            out.push_str(&text[copied..end]);
            out.push(ZERO_WIDTH_SPACE);
            copied = end;
        }
    }
    out.push_str(&text[copied..]);
    out
}

fn ends_with_ignoring_case(text: &str, end: &str) -> bool {
    let start = text.len().checked_sub(end.len());
    start
        .and_then(|start| text.get(start..))
        .is_some_and(|tail| tail.eq_ignore_ascii_case(end))
}

fn one_line(text: &str) -> String {
    let mut joined = String::with_capacity(text.len());
    for (index, line) in lines(text).enumerate() {
        if index > 0 {
            joined.push(' ');
        }
        joined.push_str(&line.replace('\t', " "));
    }
    printable(&joined).into_owned()
}

/// Inline code for a text with any backticks, also inside a table cell.
pub fn code(text: &str) -> String {
    let text = one_line(text);
    if text.trim().is_empty() || text.contains('|') {
        return html_code(&text);
    }
    let longest = longest_run_of_backticks(&text);
    // The blank at each end is part of the syntax; without it, one of the text would be taken for it.
    let pad = if longest > 0 || text.starts_with(' ') {
        " "
    } else {
        ""
    };
    let fence = "`".repeat(longest + 1);
    format!("{fence}{pad}{text}{pad}{fence}")
}

// A cell ends at each `|` that no backslash escapes, and in code a backslash is not always one
// (github.github.com/gfm, "Tables"): HTML has an entity for it. Autolinks are looked for in HTML's `code` as well.
fn html_code(text: &str) -> String {
    let mut out = String::from("<code>");
    for c in inert(text).chars() {
        match c {
            '|' | '\\' | '`' | '*' | '_' | '[' | ']' | '#' | '~' | '$' => {
                let _ = write!(out, "&#{};", u32::from(c));
            }
            _ => escape(&mut out, c),
        }
    }
    out.push_str("</code>");
    out
}

/// A fenced code block for a text with any fences.
pub fn code_block(text: &str) -> String {
    let text: Vec<_> = lines(text.trim_end()).map(printable).collect();
    let text = text.join("\n");
    let fence = "`".repeat(longest_run_of_backticks(&text).max(2) + 1);
    format!("{fence}text\n{text}\n{fence}\n")
}

fn longest_run_of_backticks(text: &str) -> usize {
    text.split(|c| c != '`').map(str::len).max().unwrap_or(0)
}

/// Escape for text on one line in HTML, without mentions, references and links.
pub fn html(text: &str) -> String {
    let text = one_line(text)
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&apos;");
    inert(&text)
}

/// The first `max` bytes of `text`, cut at a character boundary.
pub fn cut(text: &str, max: usize) -> &str {
    &text[..text.floor_char_boundary(max)]
}

/// A hash that is the same in every build: FNV-1a, 64 bits (datatracker.ietf.org/doc/html/draft-eastlake-fnv). Not against a
/// person who looks for two texts with one hash.
pub fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// `count` with its noun: `1 finding`, `2 findings`.
pub fn plural(count: usize, noun: &str) -> String {
    if count == 1 {
        format!("1 {noun}")
    } else {
        format!("{count} {noun}s")
    }
}

/// A duration for a reader, in whole seconds: `45 seconds`.
pub fn seconds(time: Duration) -> String {
    let seconds = usize::try_from(time.as_secs()).unwrap_or(usize::MAX);
    plural(seconds, "second")
}

#[cfg(test)]
mod tests;
