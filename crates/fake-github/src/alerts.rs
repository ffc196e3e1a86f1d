//! Alerts of code scanning: findings with an identity, followed over uploads.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::account::Account;
use super::links::Links;
use super::state::Repository;
use super::uploads::Analysis;

/// What makes two findings the same alert.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Identity {
    tool: String,
    category: String,
    rule: String,
    fingerprint: String,
}

impl Identity {
    fn from_result(analysis: Analysis<'_>, result: &Value) -> Self {
        let print = result.pointer("/partialFingerprints/primaryLocationLineHash");
        let location = result
            .pointer("/locations/0/physicalLocation")
            .map(ToString::to_string);
        Self {
            tool: analysis.tool().to_owned(),
            category: analysis.category().to_owned(),
            rule: rule_id(result),
            // Without a fingerprint, the location identifies an alert, as on GitHub for files that were uploaded through the API.
            fingerprint: print
                .map(ToString::to_string)
                .or(location)
                .unwrap_or_default(),
        }
    }
}

/// An alert on one ref.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Alert {
    /// The same on every ref.
    pub(super) number: usize,
    pub(super) state: State,
    pub(super) git_ref: String,
    identity: Identity,
    pub(super) rule: Rule,
    pub(super) level: String,
    pub(super) message: String,
    /// What it is in, where the tool names one: a package with its version.
    pub(super) subject: Option<String>,
    pub(super) path: String,
    /// First and last line.
    pub(super) lines: (u64, u64),
    commit: String,
    /// The object of the API's responses.
    tool_json: Value,
    created: String,
    updated: String,
    pub(super) dismissal: Option<Dismissal>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum State {
    Open,
    Dismissed,
    Fixed,
}

/// What a person decided about an alert.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Dismissal {
    pub(super) number: usize,
    pub(super) by: Account,
    pub(super) reason: String,
    pub(super) comment: String,
    pub(super) at: String,
}

impl State {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Dismissed => "dismissed",
            Self::Fixed => "fixed",
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Rule {
    pub(super) id: String,
    pub(super) title: String,
    /// `critical`, `high`, `medium`, `low`; none without a number.
    pub(super) severity: Option<&'static str>,
    name: String,
    help: Option<String>,
    help_uri: Option<String>,
    tags: Vec<Value>,
}

impl Repository {
    /// Alerts by ref and identity. What the last analysis of a ref, tool and category has is open;
    /// what an earlier one had beyond that is fixed.
    pub(super) fn alerts(&self) -> Vec<Alert> {
        let mut numbers: BTreeMap<Identity, usize> = BTreeMap::new();
        let mut known: BTreeMap<(String, Identity), Alert> = BTreeMap::new();
        for analysis in self.analyses() {
            let location = (
                analysis.upload.git_ref(),
                analysis.tool(),
                analysis.category(),
            );
            for ((git_ref, identity), alert) in &mut known {
                if (
                    git_ref.as_str(),
                    identity.tool.as_str(),
                    identity.category.as_str(),
                ) == location
                    && alert.state != State::Fixed
                {
                    alert.state = State::Fixed;
                    alert.updated.clone_from(&analysis.upload.at);
                }
            }
            for result in analysis.results() {
                let mut alert = alert(analysis, result);
                let next = numbers.len() + 1;
                alert.number = *numbers.entry(alert.identity.clone()).or_insert(next);
                let key = (alert.git_ref.clone(), alert.identity.clone());
                if let Some(before) = known.get(&key) {
                    alert.created.clone_from(&before.created);
                }
                known.insert(key, alert);
            }
        }
        let mut alerts: Vec<_> = known.into_values().collect();
        for alert in alerts.iter_mut().filter(|alert| alert.state == State::Open) {
            let dismissal = self.dismissals.iter().rfind(|d| d.number == alert.number);
            if let Some(dismissal) = dismissal {
                alert.state = State::Dismissed;
                alert.dismissal = Some(dismissal.clone());
            }
        }
        alerts
    }
}

fn text(value: &Value, pointer: &str) -> Option<String> {
    value.pointer(pointer)?.as_str().map(ToOwned::to_owned)
}

fn alert(analysis: Analysis<'_>, result: &Value) -> Alert {
    let rule = rule(analysis.run, result);
    let location = "/locations/0/physicalLocation";
    let line = |name: &str| {
        result
            .pointer(&format!("{location}/region/{name}"))
            .and_then(Value::as_u64)
    };
    let first = line("startLine").unwrap_or(1);
    Alert {
        number: 0,
        // Its `suppressions` do not matter: GitHub does not read them (github/codeql-action, issue 1230).
        state: State::Open,
        git_ref: analysis.upload.git_ref().to_owned(),
        identity: Identity::from_result(analysis, result),
        rule,
        level: text(result, "/level").unwrap_or_else(|| "warning".into()),
        message: text(result, "/message/text").unwrap_or_default(),
        subject: text(result, "/locations/0/logicalLocations/0/fullyQualifiedName"),
        path: text(result, &format!("{location}/artifactLocation/uri")).unwrap_or_default(),
        lines: (first, line("endLine").unwrap_or(first)),
        commit: analysis.upload.commit().to_owned(),
        tool_json: analysis.tool_json(),
        created: analysis.upload.at.clone(),
        updated: analysis.upload.at.clone(),
        dismissal: None,
    }
}

fn rule_id(result: &Value) -> String {
    text(result, "/ruleId")
        .or_else(|| text(result, "/rule/id"))
        .unwrap_or_default()
}

fn rule(run: &Value, result: &Value) -> Rule {
    let id = rule_id(result);
    let rules = run.pointer("/tool/driver/rules").and_then(Value::as_array);
    let described = rules.into_iter().flatten().find(|rule| rule["id"] == *id);
    let described = described.unwrap_or(&Value::Null);
    let number = text(described, "/properties/security-severity");
    Rule {
        title: text(described, "/shortDescription/text").unwrap_or_else(|| id.clone()),
        severity: number.and_then(|number| severity(number.parse().ok()?)),
        name: text(described, "/name").unwrap_or_else(|| id.clone()),
        help: text(described, "/help/markdown").or_else(|| text(described, "/help/text")),
        help_uri: text(described, "/helpUri"),
        tags: described
            .pointer("/properties/tags")
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default(),
        id,
    }
}

// Source: docs.github.com, "SARIF support for code scanning", properties of a rule.
fn severity(number: f64) -> Option<&'static str> {
    match number {
        n if n > 9.0 => Some("critical"),
        n if n >= 7.0 => Some("high"),
        n if n >= 4.0 => Some("medium"),
        n if n > 0.0 => Some("low"),
        _ => None,
    }
}

/// The one of `alerts` that a result of `analysis` is.
pub(super) fn finder<'a>(
    alerts: &'a [Alert],
    analysis: Analysis<'_>,
) -> impl Fn(&Value) -> Option<&'a Alert> {
    let git_ref = analysis.upload.git_ref();
    let on_ref = alerts.iter().filter(|alert| alert.git_ref == git_ref);
    // An analysis may have 25,000 results.
    let by_identity: BTreeMap<_, _> = on_ref.map(|alert| (&alert.identity, alert)).collect();
    move |result: &Value| {
        let identity = Identity::from_result(analysis, result);
        by_identity.get(&identity).copied()
    }
}

impl Alert {
    pub(super) fn address(&self, links: &Links) -> String {
        links.api(&format!("code-scanning/alerts/{}", self.number))
    }

    pub(super) fn tool(&self) -> &str {
        &self.identity.tool
    }

    pub(super) fn category(&self) -> &str {
        &self.identity.category
    }

    pub(super) fn json(&self, links: &Links) -> Value {
        let url = self.address(links);
        let rule = &self.rule;
        let dismissal = self.dismissal.as_ref();
        json!({
            "number": self.number, "created_at": self.created, "updated_at": self.updated,
            "url": url, "html_url": links.page(&format!("security#alert-{}", self.number)),
            "instances_url": format!("{url}/instances"), "state": self.state.name(),
            "fixed_at": (self.state == State::Fixed).then_some(&self.updated),
            "dismissed_by": dismissal.map(|d| d.by.json()), "dismissed_at": dismissal.map(|d| &d.at),
            "dismissed_reason": dismissal.map(|d| &d.reason), "dismissed_comment": dismissal.map(|d| &d.comment),
            "rule": {
                "id": rule.id, "name": rule.name, "description": rule.title, "tags": rule.tags,
                "severity": self.level, "security_severity_level": rule.severity,
                "help": rule.help, "help_uri": rule.help_uri,
            },
            "tool": self.tool_json,
            "most_recent_instance": {
                "ref": self.git_ref, "analysis_key": self.category(), "environment": "{}",
                "category": self.category(), "state": self.state.name(), "commit_sha": self.commit,
                "message": {"text": self.message}, "classifications": [],
                "location": {"path": self.path, "start_line": self.lines.0, "end_line": self.lines.1, "start_column": 1, "end_column": 1},
            },
        })
    }
}
