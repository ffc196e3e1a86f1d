//! The results of an analysis of another scanner.

use std::collections::HashMap;

use actions_toolkit::text::plural;
use serde_json::{Map, Value, json};

use super::Levels;
use super::paths::Paths;
use super::rules::{self, Rules};
use crate::fingerprint::hash;
use crate::sarif::RESULTS;
use crate::{Occurrences, SourceFiles};

/// Locations of a result that GitHub accepts.
const LOCATIONS: usize = 1000;
/// Locations of the flows of a result that GitHub accepts.
const FLOW_LOCATIONS: usize = 10_000;
/// Parts of a result that are not looked into any further.
const DEPTH: usize = 32;
/// Results that are kept at a time, of which only the worst ones remain: each of them can be two bytes in the file, and gets a text
/// and a place.
const KEPT: usize = 4 * RESULTS;

/// The results that GitHub gets.
pub(super) struct Results<'a> {
    rules: &'a Rules,
    paths: &'a Paths<'a>,
    source: &'a SourceFiles,
    levels: Levels,
    kept: Vec<((i64, u8), Value)>,
    /// How many were more than GitHub accepts.
    left_out: usize,
    suppressed: usize,
    passed: usize,
    invalid: usize,
    without_place: usize,
    moved: usize,
    without_fingerprint: usize,
}

impl<'a> Results<'a> {
    pub(super) fn new(rules: &'a Rules, paths: &'a Paths<'a>, source: &'a SourceFiles) -> Self {
        Self {
            rules,
            paths,
            source,
            levels: Levels::default(),
            kept: Vec::new(),
            left_out: 0,
            suppressed: 0,
            passed: 0,
            invalid: 0,
            without_place: 0,
            moved: 0,
            without_fingerprint: 0,
        }
    }

    pub(super) fn add(&mut self, mut result: Value) {
        if !result.is_object() {
            self.invalid += 1;
            return;
        }
        // GitHub opens an alert for a suppressed result, and for one that a check has passed.
        if is_suppressed(&result) {
            self.suppressed += 1;
            return;
        }
        if ["pass", "notApplicable"].contains(&result["kind"].as_str().unwrap_or_default()) {
            self.passed += 1;
            return;
        }
        let rule = self.rules.of(&result);
        if result["ruleId"].as_str().is_none()
            && let Some(rule) = rule.filter(|rule| (1..=rules::TEXT).contains(&rule.id.len()))
        {
            result["ruleId"] = rule.id.clone().into();
        }
        let text = message(&result, rule);
        match result.get_mut("message").and_then(Value::as_object_mut) {
            Some(message) => {
                message.insert("text".to_owned(), text.into());
            }
            None => result["message"] = json!({"text": text}),
        }
        let level = rules::level(&result, rule).to_owned();
        self.levels.add(&level);
        let order = rules::order(&result, rule);
        // With fewer rules, the index would be another one's.
        if let Some(result) = result.as_object_mut()
            && self.rules.count() > super::RULES
        {
            result.remove("ruleIndex");
            result.remove("rule");
        }
        self.place(&mut result);
        self.kept.push((order, result));
        if self.kept.len() == KEPT {
            self.keep_worst();
        }
    }

    // As many as GitHub accepts.
    fn keep_worst(&mut self) {
        self.left_out += self.kept.len().saturating_sub(RESULTS);
        self.kept.sort_by_key(|(order, _)| *order);
        self.kept.truncate(RESULTS);
    }

    // Every result has a line of a file of the repository.
    fn place(&mut self, result: &mut Value) {
        let mut moved = false;
        self.rewrite(result, DEPTH, &mut moved);
        self.moved += usize::from(moved);
        if let Some(Value::Array(flows)) = result.get("codeFlows")
            && count_locations(flows) > FLOW_LOCATIONS
            && let Some(result) = result.as_object_mut()
        {
            result.remove("codeFlows");
        }
        let mut locations = match result.get_mut("locations").map(Value::take) {
            Some(Value::Array(locations)) => locations,
            _ => Vec::new(),
        };
        locations
            .retain(|location| location["physicalLocation"]["artifactLocation"]["uri"].is_string());
        locations.truncate(LOCATIONS);
        if locations.is_empty() {
            self.without_place += 1;
            let unknown = json!({"physicalLocation": {"artifactLocation": {"uri": "unknown"}}});
            locations.push(unknown);
        }
        for location in &mut locations {
            check_region(&mut location["physicalLocation"]);
        }
        result["locations"] = locations.into();
    }

    fn rewrite(&self, value: &mut Value, depth: usize, moved: &mut bool) {
        let Some(depth) = depth.checked_sub(1) else {
            return;
        };
        match value {
            Value::Object(members) => {
                for (name, member) in members {
                    if name == "artifactLocation" {
                        *moved |= self.paths.rewrite(member);
                    } else {
                        self.rewrite(member, depth, moved);
                    }
                }
            }
            Value::Array(members) => {
                for member in members {
                    self.rewrite(member, depth, moved);
                }
            }
            _ => {}
        }
    }

    /// The results, their levels, and what was changed.
    pub(super) fn finish(mut self) -> (Vec<Value>, Levels, Vec<String>) {
        self.identify();
        let mut remarks = Vec::new();
        let mut remark = |count: usize, what: &str, end: &str| {
            if count > 0 {
                remarks.push(format!("{} {end}", plural(count, what)));
            }
        };
        if self.kept.len() > RESULTS || self.left_out > 0 {
            self.keep_worst();
        }
        remark(
            self.left_out,
            "result",
            &format!("of the lowest severities left out: GitHub accepts {RESULTS} of one analysis"),
        );
        remark(self.suppressed, "suppressed result", "left out");
        remark(
            self.passed,
            "check",
            "left out that passed or did not apply",
        );
        remark(self.invalid, "result", "left out: not an object");
        remark(
            self.without_place,
            "result",
            "without a file; shown on a file `unknown`",
        );
        remark(self.moved, "path", "made relative to the workspace");
        remark(self.without_fingerprint, "fingerprint", "added");
        let results = self.kept.into_iter().map(|(_, result)| result);
        (results.collect(), self.levels, remarks)
    }

    // GitHub compares `primaryLocationLineHash` and nothing else. Its own uploader adds the hash of the line, which two results
    // of one rule on one line share: these are told apart by their messages.
    fn identify(&mut self) {
        let missing = self
            .kept
            .iter()
            .enumerate()
            .filter_map(|(at, (_, result))| {
                let own = &result["partialFingerprints"]["primaryLocationLineHash"];
                own.as_str()
                    .is_none_or(str::is_empty)
                    .then(|| (at, self.line_hash(result)))
            });
        let missing: Vec<_> = missing.collect();
        self.without_fingerprint = missing.len();
        let key = |result: &Value, line: &str| {
            let rule = result["ruleId"].as_str().unwrap_or_default();
            (rule.to_owned(), line.to_owned())
        };
        let mut shared: HashMap<_, usize> = HashMap::new();
        for (at, line) in missing
            .iter()
            .filter_map(|(at, line)| Some((at, line.as_ref()?)))
        {
            *shared.entry(key(&self.kept[*at].1, line)).or_default() += 1;
        }
        let mut occurrences = Occurrences::default();
        for (at, line) in missing {
            let result = &mut self.kept[at].1;
            let is_own = |line: &&String| shared.get(&key(result, line)) == Some(&1);
            let fingerprint = if let Some(line) = line.as_ref().filter(is_own) {
                line.clone()
            } else {
                let location = &result["locations"][0]["physicalLocation"]["artifactLocation"];
                let parts = [
                    result["ruleId"].as_str().unwrap_or_default(),
                    location["uri"].as_str().unwrap_or_default(),
                    line.as_deref().unwrap_or_default(),
                    result["message"]["text"].as_str().unwrap_or_default(),
                ];
                occurrences.number(parts[0], &hash(&parts))
            };
            match result
                .get_mut("partialFingerprints")
                .and_then(Value::as_object_mut)
            {
                Some(own) => {
                    own.insert("primaryLocationLineHash".to_owned(), fingerprint.into());
                }
                None => {
                    result["partialFingerprints"] = json!({"primaryLocationLineHash": fingerprint});
                }
            }
        }
    }

    fn line_hash(&self, result: &Value) -> Option<String> {
        let physical = &result["locations"][0]["physicalLocation"];
        let path = self.paths.path(&physical["artifactLocation"])?;
        let line = physical["region"]["startLine"].as_u64()?;
        self.source.line_hash(&path, u32::try_from(line).ok()?)
    }
}

// A suppression that a person rejected, or has not decided on, is none (SARIF 2.1.0, 3.35.3).
fn is_suppressed(result: &Value) -> bool {
    let suppressions = result["suppressions"].as_array().into_iter().flatten();
    let mut suppressions = suppressions.peekable();
    suppressions.peek().is_some()
        && suppressions.all(|suppression| {
            let status = suppression["status"].as_str();
            status.is_none_or(|status| status == "accepted")
        })
}

fn message(result: &Value, rule: Option<&rules::Rule>) -> String {
    let message = &result["message"];
    let own = [&message["text"], &message["markdown"]];
    let own = own.into_iter().filter_map(Value::as_str);
    let of_rule = || {
        let id = message["id"].as_str()?;
        rule?.message(id, &message["arguments"])
    };
    let own = own.map(ToOwned::to_owned).find(|text| !text.is_empty());
    let text = own.or_else(of_rule);
    let text = text.or_else(|| rule.map(|rule| rule.text.clone()));
    let text = text.filter(|text| !text.is_empty());
    let id = || result["ruleId"].as_str().unwrap_or("no message").to_owned();
    text.unwrap_or_else(id)
}

// Lines and columns are counted from 1.
fn check_region(physical: &mut Value) {
    let Some(physical) = physical.as_object_mut() else {
        return;
    };
    let region = physical.entry("region").or_insert_with(|| json!({}));
    if !region.is_object() {
        *region = json!({});
    }
    let Some(region) = region.as_object_mut() else {
        return;
    };
    let start = number(region, "startLine").max(1);
    region.insert("startLine".to_owned(), start.into());
    if region.contains_key("endLine") {
        let end = number(region, "endLine").max(start);
        region.insert("endLine".to_owned(), end.into());
    }
    for column in ["startColumn", "endColumn"] {
        if region.contains_key(column) {
            let at = number(region, column).max(1);
            region.insert(column.to_owned(), at.into());
        }
    }
}

// Some scanners write a line as a text, or -1 where they know none.
fn number(region: &Map<String, Value>, name: &str) -> u64 {
    let value = region.get(name);
    let text = || value?.as_str()?.parse().ok();
    value.and_then(Value::as_u64).or_else(text).unwrap_or(0)
}

fn count_locations(flows: &[Value]) -> usize {
    let threads = flows
        .iter()
        .filter_map(|flow| flow["threadFlows"].as_array());
    let lists = threads
        .flatten()
        .filter_map(|thread| thread["locations"].as_array());
    lists.map(Vec::len).sum()
}
