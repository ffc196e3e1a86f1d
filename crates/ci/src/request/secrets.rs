//! The secrets of a build: an id and a value each.

use actions_toolkit::{BadInput, Inputs, Log, Secret};
use docker::BuildSecrets;

const INPUT: &str = "build-secrets";

/// Read the input, and mask every value.
pub(super) fn read(inputs: &Inputs, log: &Log) -> Result<BuildSecrets, BadInput> {
    let mut pairs: Vec<(String, Vec<u8>)> = Vec::new();
    for (id, value) in entries(inputs.text(INPUT).unwrap_or_default())? {
        let secret = Secret::new(value, log);
        if pairs.iter().any(|(known, _)| *known == id) {
            return Err(BadInput::new(INPUT, format!("`{id}` is given twice")));
        }
        pairs.push((id, secret.expose().as_bytes().to_vec()));
    }
    Ok(pairs.into_iter().collect())
}

// Lines `id=value`; a value that starts with a double quote goes on to the line that ends with one, and two of
// them stand for one. An error names the line and the id, never the value.
fn entries(text: &str) -> Result<Vec<(String, String)>, BadInput> {
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
            .ok_or_else(|| {
                let number = number + 1;
                BadInput::new(
                    INPUT,
                    format!("line {number} is not of the form `id=value`"),
                )
            })?;
        let Some(first) = value.strip_prefix('"') else {
            if value.is_empty() {
                return Err(BadInput::new(INPUT, format!("`{id}` has no value")));
            }
            entries.push((id.to_owned(), value.to_owned()));
            continue;
        };
        let mut quoted = first.to_owned();
        while !is_closed(&quoted) {
            let Some((_, more)) = lines.next() else {
                let problem = format!("the quotes of `{id}` are not closed");
                return Err(BadInput::new(INPUT, problem));
            };
            quoted.push('\n');
            quoted.push_str(more);
        }
        let value = quoted.trim_end();
        let value = value.strip_suffix('"').unwrap_or(value);
        entries.push((id.to_owned(), value.replace("\"\"", "\"")));
    }
    Ok(entries)
}

// Whether the last quote is one that closes: a pair of them stands for one.
fn is_closed(quoted: &str) -> bool {
    let end = quoted.trim_end();
    let marks = end.len() - end.trim_end_matches('"').len();
    marks % 2 == 1
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
    fn an_error_has_no_value_in_it() {
        let table = [
            ("s3cr3t", "line 1 is not of the form `id=value`"),
            ("a=1\n=s3cr3t", "line 2 is not of the form `id=value`"),
            ("a b=s3cr3t", "line 1 is not of the form `id=value`"),
            ("a=", "`a` has no value"),
            ("a=\"s3cr3t\nmore", "the quotes of `a` are not closed"),
        ];
        for (text, problem) in table {
            let error = entries(text).unwrap_err().to_string();
            assert_eq!(error, format!("input `build-secrets`: {problem}"));
        }
    }
}
