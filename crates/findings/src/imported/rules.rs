//! The rules of a tool and its extensions: they have what a result leaves out.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};

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
        let arguments = arguments.as_array().into_iter().flatten().enumerate();
        let filled = arguments.fold(text.clone(), |text, (at, argument)| {
            text.replace(&format!("{{{at}}}"), argument.as_str().unwrap_or_default())
        });
        Some(filled)
    }
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
