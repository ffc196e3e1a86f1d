//! The leg of a matrix, which distinguishes the analyses, comments and snapshots of the jobs of one matrix.

use actions_toolkit::{Scope, Value, text};
use serde_json::Value as Json;

/// Characters of one variable of a leg; a longer one ends in its hash.
const LENGTH: usize = 100;
/// Bytes of a leg in the name of a file; of a longer one, the rest is a hash.
const FILE_NAME: usize = 80;

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
        Some((end, _)) => Some(format!("{}-{:016x}", &text[..end], text::hash(&text))),
        None => Some(text),
    }
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

    /// What distinguishes the files of this leg by their names, `os-ubuntu-24.04-python-3.13`; `None` without a matrix. What a file
    /// name can't have is replaced, and a hash then keeps apart what would be one.
    pub fn in_file_name(&self) -> Option<String> {
        let exact = self.suffix();
        let parts = self.0.iter().map(|(name, value)| format!("{name}-{value}"));
        let joined = parts.collect::<Vec<_>>().join("-");
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        let mut name = joined.replace(|c: char| !is_plain(c), "-");
        if name != joined || name.len() > FILE_NAME {
            name.truncate(FILE_NAME);
            name = format!("{name}-{:016x}", text::hash(&exact));
        }
        (!exact.is_empty()).then_some(name)
    }

    /// The same without the variables `names`.
    #[must_use]
    pub fn without(mut self, names: &[&str]) -> Self {
        self.0.retain(|(name, _)| !names.contains(&name.as_str()));
        self
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
    fn two_legs_have_two_file_names() {
        let name = |text: &str| leg(text).unwrap().in_file_name();
        assert_eq!(name("null"), None);
        let plain = name(r#"{"python": "3.13", "os": "ubuntu-24.04"}"#);
        assert_eq!(plain.as_deref(), Some("os-ubuntu-24.04-python-3.13"));
        let slash = name(r#"{"context": "services/web"}"#).unwrap();
        assert!(slash.starts_with("context-services-web-"), "{slash}");
        let others = ["services-web", "services:web", "../services/web"];
        for other in others.map(|value| name(&format!(r#"{{"context": "{value}"}}"#)).unwrap()) {
            assert!(other != slash && !other.contains('/'), "{other}");
        }
        let long = |end: &str| name(&format!(r#"{{"x": "{}{end}"}}"#, "é".repeat(300))).unwrap();
        assert_ne!(long("1"), long("2"));
        assert!(long("1").len() < 120);
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
