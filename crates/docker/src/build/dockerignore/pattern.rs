//! One pattern of an ignore file, as Docker reads it: not as a shell or another ignore file does.

use std::iter::Peekable;
use std::str::Chars;

/// One character of UTF-8 except `/`.
const CHARACTER: &str = r"(?:[\x00-\x2E\x30-\x7F]|[\xC2-\xF4][\x80-\xBF]{1,3})";

/// A pattern.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Pattern {
    /// Without a wildcard.
    Name(String),
    /// A regular expression of bytes for the whole path.
    Expression(String),
}

/// Parse `text`, which is clean: `*`, `?` and classes stay within a name, `**` crosses directories, a backslash escapes.
///
/// # Errors
/// With what is wrong with it.
pub(super) fn parse(text: &str) -> Result<Pattern, String> {
    if let Some(end) = text.strip_prefix("**").filter(|end| is_plain(end)) {
        // Whatever ends so. With `**/`, that is a whole name, or several.
        let expression = match end.strip_prefix('/') {
            Some(name) => format!("(?:.*/)?{}", regex::escape(name)),
            None => format!(".*{}", regex::escape(end)),
        };
        return Ok(Pattern::Expression(expression));
    }
    let (mut name, mut expression) = (String::new(), String::new());
    let mut is_name = true;
    let mut chars = text.chars().peekable();
    while let Some(char) = chars.next() {
        let literal = match char {
            '*' | '?' | '[' => {
                is_name = false;
                expression.push_str(&wildcard(char, &mut chars)?);
                continue;
            }
            '\\' => chars.next().ok_or("a `\\` at its end")?,
            literal => literal,
        };
        name.push(literal);
        expression.push_str(&regex::escape(literal.encode_utf8(&mut [0; 4])));
    }
    Ok(if is_name {
        Pattern::Name(name)
    } else {
        Pattern::Expression(expression)
    })
}

fn is_plain(text: &str) -> bool {
    !text.contains(['*', '?', '[', '\\'])
}

fn wildcard(first: char, rest: &mut Peekable<Chars<'_>>) -> Result<String, String> {
    match first {
        '?' => Ok(CHARACTER.to_owned()),
        '[' => class(rest),
        _ if rest.next_if_eq(&'*').is_none() => Ok("[^/]*".to_owned()),
        _ => {
            rest.next_if_eq(&'/');
            // Any number of directories, or anything at the end.
            let is_end = rest.peek().is_none();
            Ok(if is_end { ".*" } else { "(?:.*/)?" }.to_owned())
        }
    }
}

// `a-z]` or `^a-z]`, after the `[`.
fn class(rest: &mut Peekable<Chars<'_>>) -> Result<String, String> {
    const OPEN: &str = "`[` without `]`";
    let mut class = "(?u:[".to_owned();
    if rest.next_if_eq(&'^').is_some() {
        class.push('^');
    }
    let mut is_empty = true;
    loop {
        let low = match rest.next() {
            Some(']') if !is_empty => break,
            None | Some(']') => return Err(OPEN.to_owned()),
            Some(char) => escaped(char, rest)?,
        };
        is_empty = false;
        let mut high = low;
        if rest.next_if_eq(&'-').is_some() {
            let char = rest.next().filter(|char| *char != ']').ok_or(OPEN)?;
            high = escaped(char, rest)?;
        }
        if high < low {
            return Err(format!("`{low}-{high}` is not a range"));
        }
        class.push_str(&format!(
            "\\u{{{:x}}}-\\u{{{:x}}}",
            u32::from(low),
            u32::from(high)
        ));
    }
    class.push_str("])");
    Ok(class)
}

fn escaped(char: char, rest: &mut Peekable<Chars<'_>>) -> Result<char, String> {
    match char {
        '\\' => rest.next().ok_or_else(|| "a `\\` at its end".to_owned()),
        char => Ok(char),
    }
}
