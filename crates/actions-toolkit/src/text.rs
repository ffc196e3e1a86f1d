//! Text from outside (CVE titles, paths, tool output) made safe for the place it goes to.

mod table;

use std::time::Duration;

pub use table::Table;

/// Keep a log line from being read as a workflow command.
///
/// The runner takes a line whose first non-blank characters are `::`, and one that has `##[`
/// anywhere, for a command (`Runner.Common/ActionCommand.cs`). A zero-width space breaks both.
pub fn log_line(line: &str) -> String {
    let body = line.trim_start();
    let indent = &line[..line.len() - body.len()];
    let body = if body.starts_with("::") {
        format!(":\u{200b}{}", &body[1..])
    } else {
        body.to_owned()
    };
    format!("{indent}{}", body.replace("##[", "##\u{200b}["))
}

/// Escape for Markdown text, also inside a table cell: no formatting, no HTML, no line break.
pub fn markdown(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '#' | '~' => {
                out.push('\\');
                out.push(c);
            }
            '\n' | '\r' | '\t' => out.push(' '),
            // A mention would notify a person, a reference would link an unrelated issue.
            '@' => out.push_str("@\u{200b}"),
            _ => out.push(c),
        }
    }
    out
}

/// Inline code for a text with any backticks, also inside a table cell.
pub fn code(text: &str) -> String {
    let text = text.replace(['\n', '\r', '\t'], " ").replace('|', "\\|");
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    if longest == 0 {
        return format!("`{text}`");
    }
    let fence = "`".repeat(longest + 1);
    format!("{fence} {text} {fence}")
}

/// A fenced code block for a text with any fences.
pub fn code_block(text: &str) -> String {
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    format!("{fence}text\n{}\n{fence}\n", text.trim_end())
}

/// Escape for HTML text and attribute values.
pub fn html(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#39;")
}

/// The first `max` bytes of `text`, cut at a character boundary.
pub fn cut(text: &str, max: usize) -> &str {
    &text[..text.floor_char_boundary(max)]
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
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn commands_are_disarmed() {
        for line in ["::error::x", "  ::add-mask::x", "text ##[error] y"] {
            let safe = log_line(line);
            assert!(!safe.trim_start().starts_with("::"), "{safe}");
            assert!(!safe.contains("##["), "{safe}");
        }
        assert_eq!(log_line("a::b"), "a::b");
    }

    #[test]
    fn a_cell_stays_a_cell() {
        assert_eq!(markdown("a|b\nc <img>"), "a\\|b c &lt;img&gt;");
        assert_eq!(code("a`b"), "`` a`b ``");
        assert_eq!(code_block("```\nx"), "````text\n```\nx\n````\n");
        assert_eq!(plural(1, "finding"), "1 finding");
    }

    proptest! {
        #[test]
        fn no_text_breaks_out_of_its_place(text in ".{0,200}") {
            prop_assert!(!markdown(&text).contains(['\n', '<']));
            prop_assert!(!code(&text).contains('\n'));
            prop_assert!(!log_line(&text).trim_start().starts_with("::"));
            prop_assert!(cut(&text, 10).len() <= 10);
        }
    }
}
