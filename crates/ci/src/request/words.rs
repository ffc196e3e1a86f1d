//! Words of a command line, as a shell splits them: quotes and backslashes, no expansion.

/// Split `text`.
///
/// # Errors
/// When a quote is not closed.
pub(super) fn split(text: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\'' | '"' => {
                let word = word.get_or_insert_default();
                loop {
                    match chars.next() {
                        Some(end) if end == c => break,
                        Some('\\') if c == '"' => match chars.next() {
                            Some(escaped @ ('"' | '\\' | '$' | '`')) => word.push(escaped),
                            Some(other) => word.extend(['\\', other]),
                            None => return Err(format!("the quotes of `{text}` are not closed")),
                        },
                        Some(inside) => word.push(inside),
                        None => return Err(format!("the quotes of `{text}` are not closed")),
                    }
                }
            }
            // A backslash before the end of a line continues it.
            '\\' => match chars.next() {
                Some('\n') | None => {}
                Some(escaped) => word.get_or_insert_default().push(escaped),
            },
            c if c.is_whitespace() => words.extend(word.take()),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_of_a_shell() {
        let table: [(&str, &[&str]); 6] = [
            ("", &[]),
            ("  a  b\n\tc ", &["a", "b", "c"]),
            (
                r#"--health-cmd "pg_isready -U \"x\"" '' 'it is'"#,
                &["--health-cmd", "pg_isready -U \"x\"", "", "it is"],
            ),
            (r"a\ b \'c", &["a b", "'c"]),
            (r#"x"y"'z' "\n""#, &["xyz", r"\n"]),
            ("a \\\n b", &["a", "b"]),
        ];
        for (text, words) in table {
            assert_eq!(split(text).unwrap(), words, "{text}");
        }
        for text in ["'a", "\"a", "\"a\\"] {
            let problem = format!("the quotes of `{text}` are not closed");
            assert_eq!(split(text).unwrap_err(), problem);
        }
    }
}
