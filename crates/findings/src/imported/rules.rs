//! The rules of a tool and its extensions: they have what a result leaves out.

use std::collections::{HashMap, HashSet};

use actions_toolkit::text::cut;
use serde_json::{Map, Value};

/// Bytes of a text that a result gets from its rule: one of a million results could have no other, and a rule one of a megabyte.
pub(super) const TEXT: usize = 1024;

/// What is needed of one rule.
#[derive(Debug, Default, Clone)]
pub(super) struct Rule {
    pub(super) id: String,
    /// One line on it.
    pub(super) text: String,
    messages: HashMap<String, String>,
    level: String,
    /// 0.0 to 10.0; negative if there is none.
    score: f64,
}

/// The rules of the driver, then those of each extension.
pub(super) struct Rules {
    components: Vec<Vec<Rule>>,
    by_id: HashMap<String, (usize, usize)>,
}

impl Rules {
    pub(super) fn new(tool: &Value) -> Self {
        let extensions = tool["extensions"].as_array().into_iter().flatten();
        let components: Vec<Vec<Rule>> = std::iter::once(&tool["driver"])
            .chain(extensions)
            .map(|component| {
                let rules = component["rules"].as_array().into_iter().flatten();
                rules.map(Rule::new).collect()
            })
            .collect();
        let mut by_id = HashMap::new();
        for (component, rules) in components.iter().enumerate() {
            for (at, rule) in rules.iter().enumerate() {
                by_id.entry(rule.id.clone()).or_insert((component, at));
            }
        }
        Self { components, by_id }
    }

    pub(super) fn count(&self) -> usize {
        self.components.iter().map(Vec::len).sum()
    }

    /// The rule of `result`, which refers to it by its id, or by its index in the driver or in an extension.
    pub(super) fn of(&self, result: &Value) -> Option<&Rule> {
        let number = |value: &Value| usize::try_from(value.as_u64()?).ok();
        let extension = number(&result["rule"]["toolComponent"]["index"]).map(|index| index + 1);
        let index = number(&result["ruleIndex"]).or_else(|| number(&result["rule"]["index"]));
        let by_index = index.and_then(|at| {
            let rules = self.components.get(extension.unwrap_or_default())?;
            rules.get(at)
        });
        by_index.or_else(|| {
            let id = result["ruleId"].as_str();
            let id = id.or_else(|| result["rule"]["id"].as_str())?;
            // `CA1000/1` is a sub-rule of `CA1000` (SARIF 2.1.0, 3.27.5).
            let parent = id.rsplit_once('/').map(|(parent, _)| parent);
            let known = self.by_id.get(id);
            let known = known.or_else(|| self.by_id.get(parent?));
            let (component, at) = known?;
            self.components.get(*component)?.get(*at)
        })
    }
}

impl Rule {
    fn new(rule: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let texts = [
            &rule["shortDescription"]["text"],
            &rule["fullDescription"]["text"],
            &rule["name"],
        ];
        let messages = rule["messageStrings"].as_object().into_iter().flatten();
        let score = &rule["properties"]["security-severity"];
        let score = match score.as_str() {
            Some(text) => text.parse().ok(),
            None => score.as_f64(),
        };
        Self {
            id: text(&rule["id"]),
            text: texts
                .map(text)
                .into_iter()
                .find(|t| !t.is_empty())
                .map(|t| cut(&t, TEXT).to_owned())
                .unwrap_or_default(),
            messages: messages
                .map(|(id, message)| (id.clone(), text(&message["text"])))
                .collect(),
            level: text(&rule["defaultConfiguration"]["level"]),
            score: score.unwrap_or(-1.0),
        }
    }

    /// The message `id` of the rule, with `arguments` in place of `{0}`, `{1}` and so on.
    pub(super) fn message(&self, id: &str, arguments: &Value) -> Option<String> {
        let text = self.messages.get(id).filter(|text| !text.is_empty())?;
        let arguments = arguments.as_array().map_or(&[][..], Vec::as_slice);
        Some(filled(text, arguments))
    }
}

// One pass: what an argument has in braces stays as it is. Otherwise a few arguments that name each other would fill the memory.
fn filled(text: &str, arguments: &[Value]) -> String {
    let mut filled = String::new();
    let mut rest = text;
    while let Some(start) = rest.find('{').filter(|_| filled.len() <= TEXT) {
        filled.push_str(&rest[..start]);
        rest = &rest[start + 1..];
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, after) = rest.split_at(digits);
        let argument = number.parse::<usize>().ok();
        let argument = argument.and_then(|at| arguments.get(at));
        match (argument, after.strip_prefix('}')) {
            (Some(argument), Some(after)) => {
                let argument = argument.as_str().unwrap_or_default();
                filled.push_str(cut(argument, TEXT));
                rest = after;
            }
            _ => filled.push('{'),
        }
    }
    filled.push_str(cut(rest, TEXT));
    cut(&filled, TEXT).to_owned()
}

/// The level of `result`: its own, or that of its rule.
pub(super) fn level<'a>(result: &'a Value, rule: Option<&'a Rule>) -> &'a str {
    let own = result["level"].as_str();
    let of_rule = || rule.map(|rule| rule.level.as_str());
    own.or_else(of_rule)
        .filter(|level| !level.is_empty())
        .unwrap_or("warning")
}

/// How bad a result is, the worst first: by the score of its rule, then by its level.
pub(super) fn order(result: &Value, rule: Option<&Rule>) -> (i64, u8) {
    let score = rule.map_or(-1.0, |rule| rule.score).clamp(-1.0, 10.0);
    let level = match level(result, rule) {
        "error" => 0,
        "warning" => 1,
        "note" => 2,
        _ => 3,
    };
    #[expect(clippy::cast_possible_truncation, reason = "between -10 and 100")]
    let score = (score * 10.0) as i64;
    (-score, level)
}

/// Keep the rules that `results` name; the results refer to them by id from then on.
pub(super) fn keep_used(run: &mut Map<String, Value>, results: &[Value]) {
    let used: HashSet<&str> = results
        .iter()
        .filter_map(|result| result["ruleId"].as_str())
        .collect();
    let Some(tool) = run.get_mut("tool") else {
        return;
    };
    if let Some(Value::Array(rules)) = tool.pointer_mut("/driver/rules") {
        rules.retain(|rule| rule["id"].as_str().is_some_and(|id| used.contains(id)));
    }
    let extensions = tool["extensions"].as_array_mut().into_iter().flatten();
    for extension in extensions {
        if let Some(Value::Array(rules)) = extension.get_mut("rules") {
            rules.retain(|rule| rule["id"].as_str().is_some_and(|id| used.contains(id)));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_message_has_each_argument_once_filled_in() {
        let table = [
            ("plain", json!([]), "plain"),
            ("{0} in {1}, {0}", json!(["a", "b"]), "a in b, a"),
            ("{2} {x} {", json!(["a"]), "{2} {x} {"),
            ("{{0}}", json!(["a"]), "{a}"),
            ("{0}", json!([7]), ""),
            // An argument is not a message.
            ("{0}", json!(["{1}{1}", "b"]), "{1}{1}"),
        ];
        for (text, arguments, expected) in table {
            let arguments = arguments.as_array().unwrap();
            assert_eq!(filled(text, arguments), expected, "{text}");
        }
    }

    #[test]
    fn arguments_do_not_make_a_message_large() {
        let large = json!(["x".repeat(1 << 20)]);
        for text in ["{0}".repeat(100_000), "{".repeat(1 << 20)] {
            let message = filled(&text, large.as_array().unwrap());
            assert_eq!(message.len(), TEXT);
        }
        let rule = Rule::new(&json!({"id": "a", "name": "x".repeat(1 << 20)}));
        assert_eq!(rule.text.len(), TEXT);
    }
}
