//! The linters: how each is run, and how its answer is read.

mod answer;

use std::sync::Arc;

use findings::sarif::Driver;
use findings::{Finding, Location, Rule, SourceFiles, Subject};
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
        read: answer::ruff,
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
        read: answer::ruff_format,
    },
    Linter {
        name: "mypy",
        driver: driver("mypy", "https://mypy.readthedocs.io", false),
        program: "mypy",
        argv: |_| words("--output json --cache-dir /dev/null ."),
        verdicts: &[0, 1],
        read: answer::mypy,
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
        read: answer::bandit,
    },
    Linter {
        name: "hadolint",
        driver: driver("hadolint", "https://github.com/hadolint/hadolint", false),
        program: "hadolint",
        argv: |given| words(&format!("--format json {}", given.path)),
        verdicts: &[0, 1],
        read: answer::hadolint,
    },
    Linter {
        name: "pip check",
        driver: driver("pip", "https://pip.pypa.io/en/stable/cli/pip_check", false),
        program: "python",
        argv: |_| words("-m pip check --disable-pip-version-check"),
        verdicts: &[0, 1],
        read: |text| Ok(answer::pip_check(text)),
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
                location: place,
                suppressed: None,
            }
        })
        .collect();
    findings.sort_by(|a, b| (b.severity, &a.location).cmp(&(a.severity, &b.location)));
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

#[cfg(test)]
pub(super) mod tests;
