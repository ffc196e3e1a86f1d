//! The secrets of a build: an id and a value each.

use std::collections::BTreeMap;

use actions_toolkit::{Scope, Secret, Value};
use docker::BuildSecrets;

/// `build-secrets`; each value is masked.
#[derive(Debug, Clone, Default)]
pub(crate) struct SecretLines(pub(crate) BuildSecrets);

impl Value for SecretLines {
    const SECRET: bool = true;

    fn parse(text: &str, scope: &Scope<'_>) -> Result<Self, String> {
        let mut pairs: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        for (id, value) in entries(text)? {
            let secret = Secret::parse(&value, scope)?;
            if pairs.contains_key(&id) {
                return Err(format!("`{id}` is set twice"));
            }
            pairs.insert(id, secret.expose().as_bytes().to_vec());
        }
        Ok(Self(pairs.into_iter().collect()))
    }

    fn absent() -> Option<Self> {
        Some(Self::default())
    }
}

// Lines `id=value`; a value that starts with a double quote continues to the line that ends with one, and two of
// them mean one. An error names the line and the id, never the value.
fn entries(text: &str) -> Result<Vec<(String, String)>, String> {
    let mut entries = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        if line.trim().is_empty() {
            continue;
        }
        let (id, value) = line
            .split_once('=')
            .map(|(id, value)| (id.trim(), value))
            .filter(|(id, _)| !id.is_empty() && !id.contains(char::is_whitespace))
            .ok_or_else(|| format!("line {} is not of the form `id=value`", number + 1))?;
        let Some(first) = value.strip_prefix('"') else {
            if value.is_empty() {
                return Err(format!("`{id}` has no value"));
            }
            entries.push((id.to_owned(), value.to_owned()));
            continue;
        };
        let mut quoted = first.to_owned();
        let mut closed = is_closed(first);
        while !closed {
            let Some((_, line)) = lines.next() else {
                return Err(format!("the quotes of `{id}` are not closed"));
            };
            quoted.push('\n');
            quoted.push_str(line);
            closed = is_closed(line);
        }
        let value = quoted.trim_end();
        let value = value.strip_suffix('"').unwrap_or(value);
        entries.push((id.to_owned(), value.replace("\"\"", "\"")));
    }
    Ok(entries)
}

// Whether the last quote of a line closes: a pair of quotes means one.
fn is_closed(line: &str) -> bool {
    let end = line.trim_end();
    let count = end.len() - end.trim_end_matches('"').len();
    count % 2 == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_and_a_value_each() {
        let text = "token=a=b c\n\npip=\"[global]\nindex-url = \"\"x\"\"\n\"\nlast=\"one\"";
        let expected = [
            ("token", "a=b c"),
            ("pip", "[global]\nindex-url = \"x\"\n"),
            ("last", "one"),
        ];
        let expected = expected.map(|(id, value)| (id.to_owned(), value.to_owned()));
        assert_eq!(entries(text).unwrap(), expected);
    }

    #[test]
    fn a_value_may_have_many_empty_lines() {
        let empty = "\n".repeat(200_000);
        let text = format!("a=\"{empty}\"\nb=1");
        let read = entries(&text).unwrap();
        assert_eq!(read[0], ("a".to_owned(), empty));
        assert_eq!(read[1], ("b".to_owned(), "1".to_owned()));
    }

    #[test]
    fn an_error_does_not_contain_the_value() {
        let table = [
            ("s3cr3t", "line 1 is not of the form `id=value`"),
            ("a=1\n=s3cr3t", "line 2 is not of the form `id=value`"),
            ("a b=s3cr3t", "line 1 is not of the form `id=value`"),
            ("a=", "`a` has no value"),
            ("a=\"s3cr3t\nmore", "the quotes of `a` are not closed"),
        ];
        for (text, problem) in table {
            assert_eq!(entries(text).unwrap_err(), problem);
        }
    }
}
