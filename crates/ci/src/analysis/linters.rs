//! The linters: how each runs, and how its output is parsed. A new linter is a row of [`LINTERS`] and a parser in
//! `output`.

mod output;

use findings::sarif::Driver;

/// A linter.
#[derive(Debug)]
pub(crate) struct Linter {
    /// As in the input `static-analysis`.
    pub(crate) name: &'static str,
    /// The tool in the SARIF file.
    pub(crate) driver: Driver,
    pub(super) program: &'static str,
    pub(super) args: fn(&LinterArgs) -> Vec<String>,
    /// The exit codes of a complete run.
    pub(super) exit_codes: &'static [i64],
    /// Parses its standard output.
    pub(super) parse: fn(&str) -> Result<Vec<Diagnostic>, String>,
}

/// What the arguments of a linter depend on.
pub(super) struct LinterArgs<'a> {
    /// Path of the Dockerfile where the linter runs.
    pub(super) dockerfile: &'a str,
    /// Whether `pyproject.toml` has settings for bandit, which reads it only when it is named.
    pub(super) has_bandit_settings: bool,
}

/// A message of a linter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Diagnostic {
    pub(super) code: String,
    pub(super) message: String,
    /// `None` is the Dockerfile or, for packages, the lock file.
    pub(super) path: Option<String>,
    /// Counted from 1; 0 for the whole file.
    pub(super) line: u32,
    pub(super) end_line: u32,
    pub(super) level: Level,
    pub(super) url: String,
    pub(super) cwe: Option<u32>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Level {
    Error,
    #[default]
    Warning,
    Note,
}

/// Every supported linter, in the order of the report.
pub(crate) static LINTERS: [Linter; 6] = [
    Linter {
        name: "ruff",
        driver: driver("ruff", "https://docs.astral.sh/ruff", false),
        program: "ruff",
        args: |_| words("check --no-cache --output-format json ."),
        exit_codes: &[0, 1],
        parse: output::ruff,
    },
    Linter {
        name: "ruff-format",
        driver: driver(
            "ruff-format",
            "https://docs.astral.sh/ruff/formatter",
            false,
        ),
        program: "ruff",
        args: |_| words("format --check --no-cache --output-format json ."),
        exit_codes: &[0, 1],
        parse: output::ruff_format,
    },
    Linter {
        name: "mypy",
        driver: driver("mypy", "https://mypy.readthedocs.io", false),
        program: "mypy",
        args: |_| words("--output json --cache-dir /dev/null ."),
        exit_codes: &[0, 1],
        parse: output::mypy,
    },
    Linter {
        name: "bandit",
        driver: driver("bandit", "https://bandit.readthedocs.io", true),
        program: "bandit",
        args: |args| {
            let settings = if args.has_bandit_settings {
                "--configfile pyproject.toml "
            } else {
                ""
            };
            words(&format!("--quiet {settings}--format json --recursive ."))
        },
        exit_codes: &[0, 1],
        parse: output::bandit,
    },
    Linter {
        name: "hadolint",
        driver: driver("hadolint", "https://github.com/hadolint/hadolint", false),
        program: "hadolint",
        args: |args| words(&format!("--format json {}", args.dockerfile)),
        exit_codes: &[0, 1],
        parse: output::hadolint,
    },
    Linter {
        name: "pip check",
        driver: driver("pip", "https://pip.pypa.io/en/stable/cli/pip_check", false),
        program: "python",
        args: |_| words("-m pip check --disable-pip-version-check"),
        exit_codes: &[0, 1],
        parse: |text| Ok(output::pip_check(text)),
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

#[cfg(test)]
mod tests;
