//! Lines such as `type=registry,ref=ghcr.io/octo-org/app:cache,mode=max`, as Docker's command line has them: comma-separated
//! attributes, where quotes enclose a comma.

use std::collections::BTreeMap;

/// The attributes of `line`.
///
/// # Errors
/// When one has no value or is set twice.
pub(super) fn parse(line: &str) -> Result<BTreeMap<String, String>, String> {
    let mut attributes = BTreeMap::new();
    for field in fields(line)? {
        let (key, value) = field
            .split_once('=')
            .map(|(key, value)| (key.trim().to_lowercase(), value.trim()))
            .filter(|(key, _)| !key.is_empty())
            .ok_or_else(|| format!("`{field}` in `{line}` is not of the form `key=value`"))?;
        if attributes.insert(key.clone(), value.to_owned()).is_some() {
            return Err(format!("`{key}` is set twice in `{line}`"));
        }
    }
    Ok(attributes)
}

// A field that begins with a double quote ends with one, and two of them mean one (RFC 4180).
fn fields(line: &str) -> Result<Vec<String>, String> {
    let mut fields = Vec::new();
    let (mut field, mut is_quoted) = (String::new(), false);
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if is_quoted && chars.next_if_eq(&'"').is_some() => field.push('"'),
            '"' if is_quoted => is_quoted = false,
            '"' if field.is_empty() => is_quoted = true,
            ',' if !is_quoted => fields.push(std::mem::take(&mut field)),
            other => field.push(other),
        }
    }
    if is_quoted {
        return Err(format!("the quotes of `{line}` are not closed"));
    }
    fields.push(field);
    Ok(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_separated_by_commas() {
        let table = [
            ("type=gha", "type=gha"),
            ("Type = gha, scope=a=b", "scope=a=b type=gha"),
            (r#"type=local,"dest=a,b""#, "dest=a,b type=local"),
            (r#""x=say ""hi""""#, r#"x=say "hi""#),
        ];
        for (line, expected) in table {
            let attributes = parse(line).unwrap();
            let shown: Vec<_> = attributes.iter().map(|(k, v)| format!("{k}={v}")).collect();
            assert_eq!(shown.join(" "), expected);
        }
        for (line, problem) in [
            ("type", "`type` in `type` is not of the form `key=value`"),
            (
                "type=gha,",
                "`` in `type=gha,` is not of the form `key=value`",
            ),
            ("a=1,a=2", "`a` is set twice in `a=1,a=2`"),
            ("\"a=1", "the quotes of `\"a=1` are not closed"),
        ] {
            assert_eq!(parse(line).unwrap_err(), problem);
        }
    }
}
