//! How code scanning takes a SARIF file.
//!
//! Source: docs.github.com/code-security/reference/code-scanning/sarif-support-for-code-scanning (what
//! must be there, and the limits); the sentences of refusal are those that its users quote.

use std::io::Read as _;

use base64::Engine as _;
use serde_json::{Value, json};

use super::uploads::category_and_run_id;

/// Bytes of a compressed file.
const COMPRESSED: usize = 10 * 1024 * 1024;
const RUNS: usize = 20;
const RESULTS: usize = 25_000;
const RULES: usize = 25_000;

/// An upload that was accepted for processing.
#[derive(Debug, Clone)]
pub(super) struct Upload {
    /// The request, with the file unpacked in `sarif`.
    pub(super) request: Value,
    /// What processing will find wrong.
    pub(super) errors: Vec<String>,
}

/// Why an upload was refused at once.
pub(super) enum Refusal {
    TooLarge,
    Invalid(String),
}

fn text<'a>(value: &'a Value, pointer: &str) -> Option<&'a str> {
    value
        .pointer(pointer)?
        .as_str()
        .filter(|text| !text.is_empty())
}

pub(super) fn accept(body: &Value) -> Result<Upload, Refusal> {
    let invalid = |message: &str| Refusal::Invalid(message.to_owned());
    let sha = text(body, "/commit_sha")
        .ok_or_else(|| invalid("Invalid request.\n\n\"commit_sha\" wasn't supplied."))?;
    if sha.len() != 40 || !sha.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(invalid("commit_sha is not a valid SHA"));
    }
    let reference = text(body, "/ref")
        .ok_or_else(|| invalid("Invalid request.\n\n\"ref\" wasn't supplied."))?;
    if !["refs/heads/", "refs/tags/", "refs/pull/"]
        .iter()
        .any(|prefix| reference.starts_with(prefix))
    {
        return Err(invalid("ref must be a fully qualified ref"));
    }
    let packed = text(body, "/sarif")
        .ok_or_else(|| invalid("Invalid request.\n\n\"sarif\" wasn't supplied."))?;
    let packed = base64::engine::general_purpose::STANDARD
        .decode(packed)
        .map_err(|_| invalid("rejecting SARIF, as there was an error decoding it from base64"))?;
    if packed.len() > COMPRESSED {
        return Err(Refusal::TooLarge);
    }
    let mut unpacked = String::new();
    flate2::read::GzDecoder::new(&packed[..])
        .read_to_string(&mut unpacked)
        .map_err(|_| invalid("rejecting SARIF, as there was an error decompressing it"))?;
    let sarif: Value = serde_json::from_str(&unpacked)
        .map_err(|_| invalid("rejecting SARIF, as it is not valid JSON"))?;
    let mut request = body.clone();
    let errors = problems(&sarif);
    request["sarif"] = sarif;
    Ok(Upload { request, errors })
}

/// What processing reports.
fn problems(sarif: &Value) -> Vec<String> {
    let mut problems = Vec::new();
    if sarif["version"] != json!("2.1.0") {
        problems.push("rejecting SARIF, as its version is not 2.1.0".to_owned());
    }
    let Some(runs) = sarif["runs"].as_array() else {
        return vec!["rejecting SARIF, as there are no runs".to_owned()];
    };
    if runs.len() > RUNS {
        problems.push(format!(
            "rejecting SARIF, as there are more runs per file than allowed ({} > {RUNS})",
            runs.len()
        ));
    }
    let mut categories = Vec::new();
    for run in runs {
        let category = (run.pointer("/tool/driver/name"), category_and_run_id(run).0);
        if categories.contains(&category) {
            problems
                .push("A delivery cannot contain multiple runs with the same category".to_owned());
        }
        categories.push(category);
        run_problems(run, &mut problems);
    }
    problems
}

fn run_problems(run: &Value, problems: &mut Vec<String>) {
    if text(run, "/tool/driver/name").is_none() {
        problems.push("rejecting SARIF, as a run has no tool name".to_owned());
    }
    let none = Vec::new();
    let rules = run
        .pointer("/tool/driver/rules")
        .and_then(Value::as_array)
        .unwrap_or(&none);
    if rules.len() > RULES {
        problems.push(format!(
            "rejecting SARIF, as there are more rules per run than allowed ({} > {RULES})",
            rules.len()
        ));
    }
    for rule in rules {
        let id = text(rule, "/id").unwrap_or_default();
        for (pointer, limit) in [
            ("/shortDescription/text", 1024),
            ("/fullDescription/text", 1024),
            ("/help/text", usize::MAX),
        ] {
            if text(rule, pointer).is_none_or(|text| text.chars().count() > limit) {
                problems.push(format!("could not convert rules: {id}: invalid {pointer}"));
            }
        }
        if let Some(severity) = rule.pointer("/properties/security-severity") {
            let number = severity.as_str().and_then(|text| text.parse::<f64>().ok());
            if !number.is_some_and(|number| (0.0..=10.0).contains(&number)) {
                problems.push(format!("could not convert rules: invalid security severity value, is not a number: {severity}"));
            }
        }
    }
    let Some(results) = run["results"].as_array() else {
        problems.push("rejecting SARIF, as a run has no results".to_owned());
        return;
    };
    if results.len() > RESULTS {
        problems.push(format!(
            "rejecting SARIF, as there are more results per run than allowed ({} > {RESULTS})",
            results.len()
        ));
    }
    for result in results {
        if text(result, "/message/text").is_none() {
            problems.push("expected a message text".to_owned());
        }
        let Some(uri) = text(result, "/locations/0/physicalLocation/artifactLocation/uri") else {
            problems.push("locationFromSarifResult: expected artifact location".to_owned());
            continue;
        };
        let scheme = uri
            .split_once(':')
            .is_some_and(|(scheme, _)| !scheme.contains('/') && scheme != "file");
        if scheme || uri.contains(' ') {
            problems.push(format!(
                "an invalid URI was provided as a SARIF location: {uri}"
            ));
        }
        let line = result
            .pointer("/locations/0/physicalLocation/region/startLine")
            .and_then(Value::as_u64);
        if line.is_none_or(|line| line == 0) {
            problems.push("expected a region with a start line".to_owned());
        }
    }
}
