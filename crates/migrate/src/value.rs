//! Values of inputs: what is known of them before the run, and how they are written in YAML.

/// Whether a part of it is known only in the run.
pub(crate) fn is_dynamic(text: &str) -> bool {
    text.contains("${{")
}

/// The one expression that a text is, without its braces.
pub(crate) fn expression(text: &str) -> Option<&str> {
    let inner = text.trim().strip_prefix("${{")?.strip_suffix("}}")?;
    (!inner.contains("${{")).then(|| inner.trim())
}

/// Whether another job, with these variables, can use it as it is.
pub(crate) fn is_shared(text: &str, variables: &[(String, String)]) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let is_set = |rest: &str| {
        let name = rest.split(|c| !is_part(c)).next().unwrap_or_default();
        variables.iter().any(|(other, _)| other == name)
    };
    let own = ["steps.", "needs.", "matrix.", "job."];
    !own.iter().any(|context| text.contains(context)) && text.split("env.").skip(1).all(is_set)
}

/// As an action reads a switch.
pub(crate) fn is_true(text: &str) -> bool {
    matches!(
        text.trim().to_ascii_lowercase().as_str(),
        "true" | "1" | "yes"
    )
}

/// The parts of a list that lines or commas separate; a comma within an expression does not.
pub(crate) fn list(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let length = match rest.strip_prefix("${{").and_then(|inner| inner.find("}}")) {
            Some(end) => end + "${{}}".len(),
            None => c.len_utf8(),
        };
        match c {
            ',' | '\n' | '\r' => parts.push(String::new()),
            _ => {
                if let Some(part) = parts.last_mut() {
                    part.push_str(&rest[..length]);
                }
            }
        }
        rest = &rest[length..];
    }
    let parts = parts.into_iter().map(|part| part.trim().to_owned());
    parts.filter(|part| !part.is_empty()).collect()
}

/// The lines of a text that are not empty.
pub(crate) fn lines(text: &str) -> Vec<String> {
    let lines = text.lines().map(|line| line.trim().to_owned());
    lines.filter(|line| !line.is_empty()).collect()
}

/// Values of a list, one per line.
pub(crate) fn joined(values: &[String]) -> String {
    match values {
        [one] => one.clone(),
        several => several.join("\n") + "\n",
    }
}

/// A scalar of YAML, for the value of a key that is indented by `indent`; in a flow collection, or on separate lines.
pub(crate) fn scalar(text: &str, indent: usize, is_flow: bool, newline: &str) -> String {
    let is_printable = |c: char| {
        !c.is_control() && c != '\u{feff}' && c != '\u{2028}' && c != '\u{2029}' && c != '\u{85}'
    };
    let trimmed = text.strip_suffix('\n').unwrap_or(text);
    let is_block = trimmed.contains('\n')
        && !is_flow
        && trimmed
            .lines()
            .all(|line| line.chars().all(is_printable) && line.trim_end() == line)
        && !trimmed.starts_with([' ', '\n'])
        && !trimmed.ends_with('\n');
    if is_block {
        let pad = " ".repeat(indent + 2);
        let style = if text.ends_with('\n') { "|" } else { "|-" };
        let mut block = style.to_owned();
        for line in trimmed.lines() {
            block.push_str(newline);
            if !line.is_empty() {
                block.push_str(&pad);
                block.push_str(line);
            }
        }
        return block;
    }
    if !text.chars().all(is_printable) {
        return double_quoted(text);
    }
    if is_plain(text, is_flow) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', "''"))
}

fn double_quoted(text: &str) -> String {
    let mut quoted = String::from('"');
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            ' '..='~' => quoted.push(c),
            _ if u32::from(c) <= 0xffff => quoted.push_str(&format!("\\u{:04x}", u32::from(c))),
            _ => quoted.push_str(&format!("\\U{:08x}", u32::from(c))),
        }
    }
    quoted.push('"');
    quoted
}

// Without quotes it is the same string, for every reader of YAML.
fn is_plain(text: &str, is_flow: bool) -> bool {
    let starts_well = text.starts_with(|c: char| c.is_ascii_alphanumeric() || "$./_{".contains(c))
        && !text.starts_with('{');
    let is_word = matches!(
        text.to_ascii_lowercase().as_str(),
        "null" | "yes" | "no" | "on" | "off" | "y" | "n"
    );
    let is_number = text.contains(|c: char| c.is_ascii_digit())
        && text.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && text
            .chars()
            .all(|c| c.is_ascii_hexdigit() || "._:+-xo".contains(c));
    let ends_well = text.trim_end() == text && !text.ends_with(':');
    let is_safe = !text.contains(": ") && !text.contains(" #") && !text.contains('\t');
    let is_flow_safe = !is_flow || !text.contains([',', '[', ']', '{', '}', ':']);
    starts_well && !is_word && !is_number && ends_well && is_safe && is_flow_safe
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml::Document;
    use proptest::prelude::*;

    #[test]
    fn a_list_has_lines_and_commas_but_not_those_of_expressions() {
        assert_eq!(list("a, b\nc,"), ["a", "b", "c"]);
        assert_eq!(
            list("x:${{ format('{0},{1}', a, b) }},y"),
            ["x:${{ format('{0},{1}', a, b) }}", "y"]
        );
        assert_eq!(list("${{ a"), ["${{ a"]);
    }

    #[test]
    fn values_are_written_without_quotes_where_that_is_the_same() {
        let write = |text| scalar(text, 10, false, "\n");
        assert_eq!(write("true"), "true");
        assert_eq!(
            write("ghcr.io/a/b:${{ github.sha }}"),
            "ghcr.io/a/b:${{ github.sha }}"
        );
        assert_eq!(write("1.10"), "'1.10'");
        assert_eq!(write("a: b"), "'a: b'");
        assert_eq!(write("*x"), "'*x'");
        assert_eq!(write("a\nb\n"), "|\n            a\n            b");
        assert_eq!(scalar("a,b", 0, true, "\n"), "'a,b'");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(text in "[ -~\\n\\té€]{1,40}", is_flow: bool) {
            let value = scalar(&text, 0, is_flow, "\n");
            let document = if is_flow { format!("{{k: {value}, l: m}}\n") } else { format!("k: {value}\nl: m\n") };
            let read = Document::parse(&document).unwrap();
            let root = read.root().unwrap();
            prop_assert_eq!(read.text_of(root, "k"), Some(text.as_str()), "{}", document);
            prop_assert_eq!(read.text_of(root, "l"), Some("m"));
        }
    }
}
