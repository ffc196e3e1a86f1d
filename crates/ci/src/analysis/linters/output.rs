//! The output formats of the linters.

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{Diagnostic, Level};

fn json<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    serde_json::from_str(text).map_err(|e| e.to_string())
}

// docs.astral.sh/ruff/settings/#output-format
#[derive(Deserialize)]
struct Ruff {
    code: Option<String>,
    message: String,
    filename: String,
    location: RuffLocation,
    end_location: RuffLocation,
    url: Option<String>,
}

#[derive(Deserialize)]
struct RuffLocation {
    row: u32,
}

pub(crate) fn ruff(text: &str) -> Result<Vec<Diagnostic>, String> {
    let findings: Vec<Ruff> = json(text)?;
    let diagnostic = |finding: Ruff| Diagnostic {
        code: finding.code.unwrap_or_else(|| "syntax-error".to_owned()),
        message: finding.message,
        path: Some(finding.filename),
        line: finding.location.row,
        end_line: finding.end_location.row,
        level: Level::Error,
        url: finding.url.unwrap_or_default(),
        cwe: None,
    };
    Ok(findings.into_iter().map(diagnostic).collect())
}

pub(crate) fn ruff_format(text: &str) -> Result<Vec<Diagnostic>, String> {
    let diagnostics = ruff(text)?.into_iter().map(|diagnostic| Diagnostic {
        message: "the file is not formatted; run `ruff format`".to_owned(),
        end_line: diagnostic.line,
        level: Level::Warning,
        ..diagnostic
    });
    let mut diagnostics: Vec<_> = diagnostics.collect();
    diagnostics.dedup_by(|a, b| a.path == b.path);
    Ok(diagnostics)
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

pub(crate) fn mypy(text: &str) -> Result<Vec<Diagnostic>, String> {
    let lines = text.lines().filter(|line| line.starts_with('{'));
    lines
        .map(|line| {
            let finding: Mypy = json(line)?;
            let hint = finding.hint.map(|hint| format!("\n{hint}"));
            let line = u32::try_from(finding.line).unwrap_or_default();
            Ok(Diagnostic {
                code: finding.code.unwrap_or_else(|| "mypy".to_owned()),
                message: format!("{}{}", finding.message, hint.unwrap_or_default()),
                path: Some(finding.file),
                line,
                end_line: line,
                level: match finding.severity.as_str() {
                    "error" => Level::Error,
                    _ => Level::Note,
                },
                ..Diagnostic::default()
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

pub(crate) fn bandit(text: &str) -> Result<Vec<Diagnostic>, String> {
    let report: BanditReport = json(text)?;
    if let Some(error) = report.errors.first() {
        return Err(format!(
            "failed to read `{}`: {}",
            error.filename, error.reason
        ));
    }
    let diagnostic = |finding: Bandit| Diagnostic {
        code: finding.test_id,
        message: finding.issue_text,
        path: Some(finding.filename),
        line: finding.line_number,
        end_line: finding.line_number,
        level: match finding.issue_severity.as_str() {
            "HIGH" => Level::Error,
            "MEDIUM" => Level::Warning,
            _ => Level::Note,
        },
        url: finding.more_info.unwrap_or_default(),
        cwe: finding.issue_cwe.and_then(|cwe| cwe.id),
    };
    Ok(report.results.into_iter().map(diagnostic).collect())
}

#[derive(Deserialize)]
struct Hadolint {
    code: String,
    message: String,
    line: u32,
    level: String,
}

pub(crate) fn hadolint(text: &str) -> Result<Vec<Diagnostic>, String> {
    let findings: Vec<Hadolint> = json(text)?;
    let diagnostic = |finding: Hadolint| Diagnostic {
        url: if finding.code.starts_with("DL") {
            format!("https://github.com/hadolint/hadolint/wiki/{}", finding.code)
        } else {
            format!("https://www.shellcheck.net/wiki/{}", finding.code)
        },
        code: finding.code,
        message: finding.message,
        path: None,
        line: finding.line,
        end_line: finding.line,
        level: match finding.level.as_str() {
            "error" => Level::Error,
            "warning" => Level::Warning,
            _ => Level::Note,
        },
        cwe: None,
    };
    Ok(findings.into_iter().map(diagnostic).collect())
}

// One incompatible package per line: `flask 3.1.0 requires jinja2, which is not installed.`
pub(crate) fn pip_check(text: &str) -> Vec<Diagnostic> {
    let lines = text.lines().map(str::trim);
    lines
        .filter(|line| !line.is_empty() && *line != "No broken requirements found.")
        .map(|line| Diagnostic {
            code: "pip-check".to_owned(),
            message: line.to_owned(),
            level: Level::Error,
            ..Diagnostic::default()
        })
        .collect()
}
