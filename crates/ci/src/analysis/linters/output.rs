//! The output formats of the linters.

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{Diagnostic, Level};

/// Of a file that a linter can't parse.
const SYNTAX_ERROR: &str = "syntax-error";
const UNFORMATTED: &str = "the file is not formatted; run `ruff format`";

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
        code: finding.code.unwrap_or_else(|| SYNTAX_ERROR.to_owned()),
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
        message: UNFORMATTED.to_owned(),
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

/// The text of versions before 1.11: `app.py:3: error: Name "x" is not defined  [name-defined]`.
pub(crate) fn mypy_text(text: &str) -> Vec<Diagnostic> {
    let lines = text.lines().filter_map(|line| {
        let (path, rest) = line.split_once(':')?;
        let (number, rest) = rest.split_once(':')?;
        let number = number.trim().parse().ok()?;
        let (severity, message) = rest.trim_start().split_once(':')?;
        let level = match severity {
            "error" => Level::Error,
            "note" => Level::Note,
            _ => return None,
        };
        let message = message.trim();
        let code = message
            .strip_suffix(']')
            .and_then(|message| message.rsplit_once("  ["));
        let (message, code) = code.unwrap_or((message, "mypy"));
        Some(Diagnostic {
            code: code.to_owned(),
            message: message.to_owned(),
            path: Some(path.to_owned()),
            line: number,
            end_line: number,
            level,
            ..Diagnostic::default()
        })
    });
    lines.collect()
}

/// The text of versions of ruff whose formatter has no other format: `Would reformat: app.py`.
pub(crate) fn ruff_format_text(text: &str) -> Vec<Diagnostic> {
    let paths = text
        .lines()
        .filter_map(|line| line.strip_prefix("Would reformat: "));
    let diagnostics = paths.map(|path| Diagnostic {
        code: "unformatted".to_owned(),
        message: UNFORMATTED.to_owned(),
        path: Some(path.trim().to_owned()),
        line: 1,
        end_line: 1,
        level: Level::Warning,
        ..Diagnostic::default()
    });
    diagnostics.collect()
}

/// The files that ruff's formatter can't parse, which it names on standard error:
/// `error: Failed to parse app.py:1:5: Expected …`.
pub(crate) fn unparsed(text: &str) -> Vec<Diagnostic> {
    let lines = text.lines().filter_map(|line| {
        // Standard output may end in the same line.
        let (_, rest) = line.split_once("error: Failed to parse ")?;
        let (path, rest) = rest.split_once(':')?;
        let (number, rest) = rest.split_once(':').unwrap_or(("", rest));
        let number = number.parse().unwrap_or(0);
        let message = rest.split_once(": ").map_or(rest, |(_, message)| message);
        Some(Diagnostic {
            code: SYNTAX_ERROR.to_owned(),
            message: message.trim().to_owned(),
            path: Some(path.to_owned()),
            line: number,
            end_line: number,
            level: Level::Error,
            ..Diagnostic::default()
        })
    });
    lines.collect()
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
    // A file that it can't read is a finding: the other files have their own.
    let unread = report.errors.into_iter().map(|error| Diagnostic {
        code: SYNTAX_ERROR.to_owned(),
        message: error.reason,
        path: Some(error.filename),
        level: Level::Error,
        ..Diagnostic::default()
    });
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
    let findings = report.results.into_iter().map(diagnostic);
    Ok(unread.chain(findings).collect())
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
