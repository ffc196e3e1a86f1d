//! Variables that the deployment sets in the containers that get its image.

use actions_toolkit::BadInput;
use serde_json::{Value, json};

const INPUT: &str = "environment-variables";

/// Names and values, in the order of the input.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Variables(Vec<(String, String)>);

/// The values of the placeholders, known once the image is pushed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Facts<'a> {
    /// The image by digest.
    pub(crate) image: &'a str,
    /// Its digest.
    pub(crate) digest: &'a str,
    /// The time of the deployment, as RFC 3339.
    pub(crate) time: &'a str,
}

impl Variables {
    /// One `NAME=value` a line.
    pub(crate) fn parse(lines: &[String]) -> Result<Self, BadInput> {
        let mut variables: Vec<(String, String)> = Vec::new();
        for line in lines {
            let bad = |problem: &str| BadInput::new(INPUT, format!("`{line}` {problem}"));
            let (name, value) = line
                .split_once('=')
                .ok_or_else(|| bad("is not of the form `NAME=value`"))?;
            if !is_name(name) {
                return Err(bad(
                    "has an invalid name; use letters, digits and underscores, not starting with a digit",
                ));
            }
            if variables.iter().any(|(other, _)| other == name) {
                return Err(BadInput::new(INPUT, format!("`{name}` is set twice")));
            }
            variables.push((name.to_owned(), value.to_owned()));
        }
        Ok(Self(variables))
    }

    /// The same with `{image}`, `{digest}` and `{time}` filled in; other braces stay as they are.
    pub(crate) fn filled(&self, facts: Facts<'_>) -> Self {
        let fill = |value: &str| {
            value
                .replace("{image}", facts.image)
                .replace("{digest}", facts.digest)
                .replace("{time}", facts.time)
        };
        let filled = self.0.iter();
        Self(filled.map(|(n, v)| (n.clone(), fill(v))).collect())
    }

    /// The time of an earlier deployment: `live` returns the value that a variable has in the cluster.
    pub(crate) fn time_of<'a>(&self, live: impl Fn(&str) -> Option<&'a str>) -> Option<&'a str> {
        self.0.iter().find_map(|(name, value)| {
            let (before, after) = value.split_once("{time}")?;
            live(name)?.strip_prefix(before)?.strip_suffix(after)
        })
    }

    /// Set them in `container`.
    pub(crate) fn set_in(&self, container: &mut Value) {
        if self.0.is_empty() {
            return;
        }
        let Some(fields) = container.as_object_mut() else {
            return;
        };
        let list = fields.entry("env").or_insert_with(|| json!([]));
        let Some(list) = list.as_array_mut() else {
            return;
        };
        for (name, value) in &self.0 {
            // The whole entry: a `value` next to a `valueFrom` would be rejected.
            let new = json!({"name": name, "value": value});
            match list.iter_mut().find(|entry| entry["name"] == **name) {
                Some(entry) => *entry = new,
                None => list.push(new),
            }
        }
    }
}

// The strict rule; the API server accepts more (`RelaxedEnvironmentVariableValidation`).
fn is_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes
        .next()
        .is_some_and(|b| b == b'_' || b.is_ascii_alphabetic())
        && bytes.all(|b| b == b'_' || b.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(lines: &[&str]) -> Result<Variables, BadInput> {
        let lines: Vec<_> = lines.iter().map(ToString::to_string).collect();
        Variables::parse(&lines)
    }

    #[test]
    fn variables_replace_those_of_the_same_name() {
        let variables = parse(&["A=1", "DIGEST={digest}", "JSON={\"a\": \"b=c\"}"]);
        let facts = Facts {
            image: "r.io/a@sha256:1",
            digest: "sha256:1",
            time: "2026-01-02T03:04:05Z",
        };
        let mut container = json!({"name": "app", "env": [
            {"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}, {"name": "KEPT", "value": "k"},
        ]});
        variables.unwrap().filled(facts).set_in(&mut container);
        assert_eq!(
            container["env"],
            json!([
                {"name": "A", "value": "1"}, {"name": "KEPT", "value": "k"},
                {"name": "DIGEST", "value": "sha256:1"}, {"name": "JSON", "value": "{\"a\": \"b=c\"}"},
            ])
        );
        let mut bare = json!({"name": "app"});
        Variables::default().set_in(&mut bare);
        assert_eq!(bare, json!({"name": "app"}));
    }

    #[test]
    fn the_time_of_an_earlier_deployment_is_parsed() {
        let variables = parse(&["A={digest}", "AT=at {time}."]).unwrap();
        let live = |value| move |name: &str| (name == "AT").then_some(value);
        assert_eq!(variables.time_of(live("at 12:00.")), Some("12:00"));
        assert_eq!(variables.time_of(live("by hand")), None);
        assert_eq!(variables.time_of(|_| None), None);
    }

    #[test]
    fn an_invalid_line_is_reported() {
        let error = |lines: &[&str]| parse(lines).unwrap_err().to_string();
        assert_eq!(
            error(&["A"]),
            "input `environment-variables`: `A` is not of the form `NAME=value`"
        );
        assert_eq!(
            error(&["A=1", "A=2"]),
            "input `environment-variables`: `A` is set twice"
        );
        assert!(error(&["1A=x"]).contains("not starting with a digit"));
        assert!(error(&["=x"]).contains("has an invalid name"));
    }
}
