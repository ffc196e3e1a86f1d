//! The linters: how each is run, and how its answer is read.

use std::sync::Arc;

use findings::sarif::Driver;
use findings::{Finding, Location, Rule, SourceFiles, Subject};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use trivy::Severity;

use crate::place::Map;
use crate::request::Request;

/// A linter.
#[derive(Debug)]
pub(crate) struct Linter {
    /// Its name, as the input `static-analysis` and the reader know it.
    pub(crate) name: &'static str,
    /// The tool in the SARIF file.
    pub(crate) driver: Driver,
    /// The program.
    pub(super) program: &'static str,
    /// Its arguments.
    pub(super) argv: fn(&Dockerfile) -> Vec<String>,
    /// Exit codes with which it has an answer.
    pub(super) verdicts: &'static [i64],
    /// Reads its standard output.
    pub(super) read: fn(&str) -> Result<Vec<Remark>, String>,
}

/// What the arguments depend on.
pub(super) struct Dockerfile<'a> {
    /// The Dockerfile's path where the linter runs.
    pub(super) path: &'a str,
    /// Whether `pyproject.toml` has settings for bandit, which does not look there by itself.
    pub(super) has_bandit_settings: bool,
}

/// What a linter said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Remark {
    code: String,
    message: String,
    /// `None` is the Dockerfile or, for packages, the lock file.
    path: Option<String>,
    line: u32,
    end_line: u32,
    level: Level,
    url: String,
    cwe: Option<u32>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Level {
    Error,
    #[default]
    Warning,
    Note,
}

/// All that are known, in the order in which they are reported.
pub(crate) static LINTERS: [Linter; 6] = [
    Linter {
        name: "ruff",
        driver: driver("ruff", "https://docs.astral.sh/ruff", false),
        program: "ruff",
        argv: |_| words("check --no-cache --output-format json ."),
        verdicts: &[0, 1],
        read: ruff,
    },
    Linter {
        name: "ruff-format",
        driver: driver(
            "ruff-format",
            "https://docs.astral.sh/ruff/formatter",
            false,
        ),
        program: "ruff",
        argv: |_| words("format --check --no-cache --output-format json ."),
        verdicts: &[0, 1],
        read: ruff_format,
    },
    Linter {
        name: "mypy",
        driver: driver("mypy", "https://mypy.readthedocs.io", false),
        program: "mypy",
        argv: |_| words("--output json --cache-dir /dev/null ."),
        verdicts: &[0, 1],
        read: mypy,
    },
    Linter {
        name: "bandit",
        driver: driver("bandit", "https://bandit.readthedocs.io", true),
        program: "bandit",
        argv: |given| {
            let settings = if given.has_bandit_settings {
                "--configfile pyproject.toml "
            } else {
                ""
            };
            words(&format!("--quiet {settings}--format json --recursive ."))
        },
        verdicts: &[0, 1],
        read: bandit,
    },
    Linter {
        name: "hadolint",
        driver: driver("hadolint", "https://github.com/hadolint/hadolint", false),
        program: "hadolint",
        argv: |given| words(&format!("--format json {}", given.path)),
        verdicts: &[0, 1],
        read: hadolint,
    },
    Linter {
        name: "pip check",
        driver: driver("pip", "https://pip.pypa.io/en/stable/cli/pip_check", false),
        program: "python",
        argv: |_| words("-m pip check --disable-pip-version-check"),
        verdicts: &[0, 1],
        read: |text| Ok(pip_check(text)),
    },
];

const fn driver(name: &'static str, page: &'static str, security: bool) -> Driver {
    Driver {
        name,
        page,
        security,
    }
}

fn words(line: &str) -> Vec<String> {
    line.split_whitespace().map(ToOwned::to_owned).collect()
}

/// The findings that `remarks` make, the worst first.
pub(super) fn findings(request: &Request, map: &Map, remarks: Vec<Remark>) -> Vec<Finding> {
    let source = SourceFiles::new(&request.workspace);
    let dockerfile = || {
        let path = map.file(&request.dockerfile);
        path.unwrap_or_else(|| request.dockerfile.clone())
    };
    let mut findings: Vec<_> = remarks
        .into_iter()
        .map(|remark| {
            let path = match &remark.path {
                Some(path) => map
                    .file(path)
                    .unwrap_or_else(|| path.trim_start_matches(['/', '.']).to_owned()),
                None => match (remark.code.as_str(), &request.dependencies) {
                    ("pip-check", Some(dependencies)) => dependencies.lock_file.clone(),
                    _ => dockerfile(),
                },
            };
            let place = Location::new(path, remark.line, remark.end_line);
            let hash = source.line_hash(&place.path, place.line);
            Finding {
                rule: Arc::new(rule(&remark)),
                severity: match remark.level {
                    Level::Error => Severity::High,
                    Level::Warning => Severity::Medium,
                    Level::Note => Severity::Low,
                },
                message: remark.message,
                subject: Subject::Check {
                    resource: String::new(),
                },
                fingerprint: hash.unwrap_or_else(|| "0:1".to_owned()),
                place,
                suppressed: None,
            }
        })
        .collect();
    findings.sort_by(|a, b| (b.severity, &a.place).cmp(&(a.severity, &b.place)));
    findings
}

fn rule(remark: &Remark) -> Rule {
    Rule {
        id: remark.code.clone(),
        title: remark.code.clone(),
        description: remark.message.clone(),
        url: remark.url.clone(),
        cwes: remark.cwe.iter().map(|id| format!("CWE-{id}")).collect(),
        score: None,
    }
}

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

fn ruff(text: &str) -> Result<Vec<Remark>, String> {
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

fn ruff_format(text: &str) -> Result<Vec<Remark>, String> {
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

fn mypy(text: &str) -> Result<Vec<Remark>, String> {
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

fn bandit(text: &str) -> Result<Vec<Remark>, String> {
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

fn hadolint(text: &str) -> Result<Vec<Remark>, String> {
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
fn pip_check(text: &str) -> Vec<Remark> {
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

#[cfg(test)]
pub(super) mod tests;
