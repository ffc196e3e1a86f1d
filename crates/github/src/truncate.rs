//! Text within GitHub's limits.

use std::borrow::Cow;

/// The longest comment or issue body that GitHub accepts, in characters (its response to more: "body is too long").
pub(crate) const LIMIT: usize = 65_536;

/// `text` in at most `room` characters; if that is not all of it, it ends in `note`, which says so.
pub(crate) fn truncate<'a>(text: &'a str, room: usize, note: &str) -> Cow<'a, str> {
    if text.chars().count() <= room {
        return text.into();
    }
    // At the end of a line: half a table row would be shown as text.
    let end = text
        .char_indices()
        .nth(room - note.chars().count())
        .map_or(text.len(), |(at, _)| at);
    let end = text[..end].rfind('\n').unwrap_or(end);
    format!("{}{note}", &text[..end]).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_truncated_between_two_lines_and_says_so() {
        let table = [
            ("ü row\nü row\n", 12, "ü row\nü row\n"),
            ("ü row\nü row\nü row\n", 12, "ü row … cut"),
            ("ü row\nü row\nü row\n", 17, "ü row … cut"),
            ("ü row\nü row\nü row\nü row\n", 18, "ü row\nü row … cut"),
            ("one long line", 8, "on … cut"),
        ];
        for (text, room, expected) in table {
            assert_eq!(truncate(text, room, " … cut"), expected);
            assert!(expected.chars().count() <= room);
        }
    }
}
