//! Characters that do what they don't show: control characters, escape sequences, marks that reorder a line.

use std::borrow::Cow;
use std::fmt::Write as _;

/// The lines of `text` as the runner reads them: .NET's `ReadLine` ends one at `\n`, `\r\n`, and a lone `\r`
/// (`Runner.Sdk/ProcessInvoker.cs`). The end of the last line is not a line.
pub fn lines(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let Some(end) = rest.find(['\n', '\r']) else {
            return Some(std::mem::take(&mut rest));
        };
        let (line, tail) = rest.split_at(end);
        rest = tail.strip_prefix("\r\n").unwrap_or(&tail[1..]);
        Some(line)
    })
}

/// `text` with every character visible: a control character, a separator of lines and a mark that reorders or hides
/// text is shown by its code point, `\u{1b}`. A tab stays.
///
/// The marks are those of "Trojan Source" (CVE-2021-42574), and Unicode's tag characters.
pub fn printable(text: &str) -> Cow<'_, str> {
    shown(text, |_| 0)
}

/// [`printable`], but a sequence that only sets a color or style (`ESC [ … m`) stays as it is: for the output of tools.
pub fn styled(text: &str) -> Cow<'_, str> {
    shown(text, style)
}

// `kept` is the length of what stays as it is at the start of a text that starts with a hidden character.
fn shown(text: &str, kept: fn(&str) -> usize) -> Cow<'_, str> {
    let Some(first) = text.find(is_hidden) else {
        return text.into();
    };
    let mut out = text[..first].to_owned();
    let mut rest = &text[first..];
    while let Some(c) = rest.chars().next() {
        let kept = if is_hidden(c) {
            kept(rest)
        } else {
            c.len_utf8()
        };
        if kept == 0 {
            let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
            rest = &rest[c.len_utf8()..];
        } else {
            out.push_str(&rest[..kept]);
            rest = &rest[kept..];
        }
    }
    out.into()
}

fn is_hidden(c: char) -> bool {
    match c {
        '\t' => false,
        '\u{61c}'
        | '\u{200e}'
        | '\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2066}'..='\u{2069}'
        | '\u{feff}'
        | '\u{e0000}'..='\u{e007f}' => true,
        _ => c.is_control(),
    }
}

// ECMA-48, "Select Graphic Rendition".
fn style(text: &str) -> usize {
    let Some(body) = text.strip_prefix("\u{1b}[") else {
        return 0;
    };
    let parameters = body
        .find(|c: char| !(c.is_ascii_digit() || c == ';' || c == ':'))
        .unwrap_or(body.len());
    match body.as_bytes().get(parameters) {
        Some(b'm') => "\u{1b}[".len() + parameters + 1,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_where_the_runner_ends_them() {
        let table: [(&str, &[&str]); 5] = [
            ("", &[]),
            ("a\n\nb\n", &["a", "", "b"]),
            ("a\r\nb\rc", &["a", "b", "c"]),
            ("\r", &[""]),
            ("a\n\rb", &["a", "", "b"]),
        ];
        for (text, expected) in table {
            assert_eq!(lines(text).collect::<Vec<_>>(), expected, "{text:?}");
        }
    }

    #[test]
    fn what_is_hidden_is_shown() {
        let table = [
            ("plain\tüñ 👩‍🚀", "plain\tüñ 👩‍🚀", "plain\tüñ 👩‍🚀"),
            (
                "\u{1b}[31mred\u{1b}[0m",
                "\\u{1b}[31mred\\u{1b}[0m",
                "\u{1b}[31mred\u{1b}[0m",
            ),
            (
                "\u{1b}[2Kgone\u{1b}]0;title\u{7}",
                "\\u{1b}[2Kgone\\u{1b}]0;title\\u{7}",
                "\\u{1b}[2Kgone\\u{1b}]0;title\\u{7}",
            ),
            (
                "a\u{202e}b\u{2028}c\u{85}",
                "a\\u{202e}b\\u{2028}c\\u{85}",
                "a\\u{202e}b\\u{2028}c\\u{85}",
            ),
            ("\u{1b}[", "\\u{1b}[", "\\u{1b}["),
        ];
        for (text, plain, with_style) in table {
            assert_eq!(printable(text), plain);
            assert_eq!(styled(text), with_style);
        }
    }
}
