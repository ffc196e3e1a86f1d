//! How each linter's answer is read.

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{Level, Remark};

fn json<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    serde_json::from_str(text).map_err(|e| e.to_string())
}

// docs.astral.sh/ruff/settings/#output-format
#[derive(Deserialize)]
struct Ruff {
    code: Option<String>,
    message: String,
    filename: String,
    location: RuffPlace,
    end_location: RuffPlace,
    url: Option<String>,
}

#[derive(Deserialize)]
struct RuffPlace {
    row: u32,
}

pub(super) fn ruff(text: &str) -> Result<Vec<Remark>, String> {
    let found: Vec<Ruff> = json(text)?;
    let remark = |found: Ruff| Remark {
        code: found.code.unwrap_or_else(|| "syntax-error".to_owned()),
        message: found.message,
        path: Some(found.filename),
        line: found.location.row,
        end_line: found.end_location.row,
        level: Level::Error,
        url: found.url.unwrap_or_default(),
        cwe: None,
    };
    Ok(found.into_iter().map(remark).collect())
}

pub(super) fn ruff_format(text: &str) -> Result<Vec<Remark>, String> {
    let remarks = ruff(text)?.into_iter().map(|remark| Remark {
        message: "the file is not formatted: run `ruff format`".to_owned(),
        end_line: remark.line,
        level: Level::Warning,
        ..remark
    });
    let mut remarks: Vec<_> = remarks.collect();
    remarks.dedup_by(|a, b| a.path == b.path);
    Ok(remarks)
}

// mypy.readthedocs.io/en/stable/command_line.html#cmdoption-mypy-output
#[derive(Deserialize)]
struct Mypy {
    file: String,
    line: i64,
    message: String,
    hint: Option<String>,
    code: Option<String>,
    severity: String,
}

pub(super) fn mypy(text: &str) -> Result<Vec<Remark>, String> {
    let lines = text.lines().filter(|line| line.starts_with('{'));
    lines
        .map(|line| {
            let found: Mypy = json(line)?;
            let hint = found.hint.map(|hint| format!("\n{hint}"));
            let line = u32::try_from(found.line).unwrap_or_default();
            Ok(Remark {
                code: found.code.unwrap_or_else(|| "mypy".to_owned()),
                message: format!("{}{}", found.message, hint.unwrap_or_default()),
                path: Some(found.file),
                line,
                end_line: line,
                level: match found.severity.as_str() {
                    "error" => Level::Error,
                    _ => Level::Note,
                },
                ..Remark::default()
            })
        })
        .collect()
}

#[derive(Deserialize)]
struct BanditReport {
    errors: Vec<BanditError>,
    results: Vec<Bandit>,
}

#[derive(Deserialize)]
struct BanditError {
    filename: String,
    reason: String,
}

#[derive(Deserialize)]
struct Bandit {
    test_id: String,
    issue_text: String,
    issue_severity: String,
    filename: String,
    line_number: u32,
    more_info: Option<String>,
    issue_cwe: Option<BanditWeakness>,
}

#[derive(Deserialize)]
struct BanditWeakness {
    id: Option<u32>,
}

pub(super) fn bandit(text: &str) -> Result<Vec<Remark>, String> {
    let report: BanditReport = json(text)?;
    if let Some(error) = report.errors.first() {
        return Err(format!(
            "it could not read `{}`: {}",
            error.filename, error.reason
        ));
    }
    let remark = |found: Bandit| Remark {
        code: found.test_id,
        message: found.issue_text,
        path: Some(found.filename),
        line: found.line_number,
        end_line: found.line_number,
        level: match found.issue_severity.as_str() {
            "HIGH" => Level::Error,
            "MEDIUM" => Level::Warning,
            _ => Level::Note,
        },
        url: found.more_info.unwrap_or_default(),
        cwe: found.issue_cwe.and_then(|cwe| cwe.id),
    };
    Ok(report.results.into_iter().map(remark).collect())
}

#[derive(Deserialize)]
struct Hadolint {
    code: String,
    message: String,
    line: u32,
    level: String,
}

pub(super) fn hadolint(text: &str) -> Result<Vec<Remark>, String> {
    let found: Vec<Hadolint> = json(text)?;
    let remark = |found: Hadolint| Remark {
        url: if found.code.starts_with("DL") {
            format!("https://github.com/hadolint/hadolint/wiki/{}", found.code)
        } else {
            format!("https://www.shellcheck.net/wiki/{}", found.code)
        },
        code: found.code,
        message: found.message,
        path: None,
        line: found.line,
        end_line: found.line,
        level: match found.level.as_str() {
            "error" => Level::Error,
            "warning" => Level::Warning,
            _ => Level::Note,
        },
        cwe: None,
    };
    Ok(found.into_iter().map(remark).collect())
}

// One package that does not fit per line: `flask 3.1.0 requires jinja2, which is not installed.`
pub(super) fn pip_check(text: &str) -> Vec<Remark> {
    let lines = text.lines().map(str::trim);
    lines
        .filter(|line| !line.is_empty() && *line != "No broken requirements found.")
        .map(|line| Remark {
            code: "pip-check".to_owned(),
            message: line.to_owned(),
            level: Level::Error,
            ..Remark::default()
        })
        .collect()
}
