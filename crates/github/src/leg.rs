//! The leg of a matrix, which distinguishes the analyses, comments and snapshots of the jobs of one matrix.

use actions_toolkit::{Scope, Value};
use serde_json::Value as Json;

/// Characters of one variable of a leg; a longer one ends in its hash.
const LENGTH: usize = 100;

/// The variables of the job in its matrix, by name; none without a matrix.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Leg(Vec<(String, String)>);

/// `toJSON(matrix)`, which is `null` without a matrix. The runner evaluates the context in defaults of `action.yml`
/// (`input-default-context` in `src/Runner.Worker/action_yaml.json` of actions/runner).
impl Value for Leg {
    const WORKFLOW_DEFAULT: Option<&'static str> = Some("${{ toJSON(matrix) }}");

    fn parse(text: &str, _: &Scope<'_>) -> Result<Self, String> {
        let variables = match serde_json::from_str(text) {
            Ok(Json::Null) => return Ok(Self::default()),
            Ok(Json::Object(variables)) => variables,
            _ => return Err("is not a JSON object; pass `${{ toJSON(matrix) }}`".to_owned()),
        };
        let mut leg: Vec<_> = variables
            .into_iter()
            .filter_map(|(name, value)| Some((name, text_of(&value)?)))
            .collect();
        leg.sort();
        Ok(Self(leg))
    }

    fn absent() -> Option<Self> {
        Some(Self::default())
    }
}

fn text_of(value: &Json) -> Option<String> {
    let text = match value {
        Json::Null => return None,
        Json::String(text) => text.clone(),
        other => other.to_string(),
    };
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if text.is_empty() {
        return None;
    }
    match text.char_indices().nth(LENGTH) {
        Some((end, _)) => Some(format!("{}-{:016x}", &text[..end], fnv(&text))),
        None => Some(text),
    }
}

// FNV-1a, which is the same in every build (datatracker.ietf.org/doc/html/draft-eastlake-fnv).
fn fnv(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

impl Leg {
    /// `category` of this leg: with those variables whose value it does not have yet, `category/os:ubuntu`.
    #[must_use]
    pub fn in_category(&self, category: &str) -> String {
        let category = category.trim_end_matches('/');
        let missing = self
            .0
            .iter()
            .filter(|(_, value)| !has_word(category, value));
        missing.fold(category.to_owned(), |category, (name, value)| {
            format!("{category}/{name}:{value}")
        })
    }

    /// The end of a category of this leg: `/os:ubuntu/python:3.13`.
    pub(crate) fn suffix(&self) -> String {
        let variables = self.0.iter();
        variables.fold(String::new(), |suffix, (name, value)| {
            format!("{suffix}/{name}:{value}")
        })
    }
}

// Whether `word` is in `text`, and not a part of another word.
fn has_word(text: &str, word: &str) -> bool {
    text.match_indices(word).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + word.len()..].chars().next();
        ![before, after]
            .into_iter()
            .flatten()
            .any(char::is_alphanumeric)
    })
}

#[cfg(test)]
mod tests {
    use actions_toolkit::{Log, Workspace};

    use super::*;

    fn leg(text: &str) -> Result<Leg, String> {
        let (log, workspace) = (Log::sink(), Workspace::new("."));
        Leg::parse(text, &Scope::new(&log, &workspace))
    }

    #[test]
    fn the_variables_of_a_leg_are_in_its_categories() {
        let table = [
            ("null", ""),
            ("{}", ""),
            (
                r#"{"python": "3.13", "arch": "amd64"}"#,
                "/arch:amd64/python:3.13",
            ),
            (
                r#"{"n": 1, "b": true, "nothing": null, "empty": ""}"#,
                "/b:true/n:1",
            ),
            (
                r#"{"target": {"os": "a", "v": 1}}"#,
                r#"/target:{"os":"a","v":1}"#,
            ),
        ];
        for (text, suffix) in table {
            assert_eq!(leg(text).unwrap().suffix(), suffix, "{text}");
        }
        for text in ["[1]", "1", "os: ubuntu"] {
            assert!(leg(text).is_err(), "{text}");
        }
        let long = |end: &str| leg(&format!(r#"{{"x": "{}{end}"}}"#, "y".repeat(5000))).unwrap();
        assert!(long("1").suffix().len() < 130);
        assert_ne!(long("1"), long("2"));
    }

    #[test]
    fn a_category_that_names_its_leg_stays_as_it_is() {
        let leg = leg(r#"{"image": "web", "v": "1.2"}"#).unwrap();
        let table = [
            ("scan-web-1.2", "scan-web-1.2"),
            ("scan-web/", "scan-web/v:1.2"),
            ("scan-website", "scan-website/image:web/v:1.2"),
            ("scan", "scan/image:web/v:1.2"),
        ];
        for (category, expected) in table {
            assert_eq!(leg.in_category(category), expected);
        }
        assert_eq!(Leg::default().in_category("scan"), "scan");
    }
}
