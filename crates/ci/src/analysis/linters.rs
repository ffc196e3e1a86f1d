//! The linters: how each runs, and how its output is parsed. A new linter is a row of [`LINTERS`] and a parser in
//! `output`.

pub(crate) mod output;

use findings::sarif::Driver;

use super::settings::Settings;

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
    /// For versions that do not know an option of `args`.
    pub(super) old: Option<OldVersion>,
    /// The files with its settings, in the order in which it looks for them.
    pub(super) settings: &'static [Settings],
    /// The settings that make it run a program.
    pub(super) programs: &'static [&'static str],
}

impl Linter {
    /// Whether its arguments depend on its settings.
    pub(super) fn reads_texts(&self) -> bool {
        matches!(self.program, "mypy" | "bandit")
    }
}

/// How an old version of a linter runs.
#[derive(Debug)]
pub(super) struct OldVersion {
    pub(super) args: fn(&LinterArgs) -> Vec<String>,
    /// Parses its standard output.
    pub(super) parse: fn(&str) -> Result<Vec<Diagnostic>, String>,
}

/// What the arguments of a linter depend on.
pub(super) struct LinterArgs<'a> {
    /// Path of the Dockerfile where the linter runs.
    pub(super) dockerfile: &'a str,
    /// Whether `pyproject.toml` has settings for bandit, which reads it only when it is named.
    pub(super) has_bandit_settings: bool,
    /// Whether the settings of mypy name what it checks.
    pub(super) has_mypy_files: bool,
    pub(super) bandit_file: BanditFile,
    /// The only file with settings that mypy may read, empty for none; `None` if it may look for one.
    pub(super) mypy_settings: Option<&'a str>,
}

/// Bandit's own file with settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BanditFile {
    Absent,
    /// What it excludes would be overridden.
    Present,
    /// It names what is checked, too.
    WithTargets,
}

/// A message of a linter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Diagnostic {
    pub(crate) code: String,
    pub(crate) message: String,
    /// `None` is the Dockerfile or, for packages, the lock file.
    pub(crate) path: Option<String>,
    /// Counted from 1; 0 for the whole file.
    pub(crate) line: u32,
    pub(crate) end_line: u32,
    pub(crate) level: Level,
    pub(crate) url: String,
    pub(crate) cwe: Option<u32>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Level {
    Error,
    #[default]
    Warning,
    Note,
}

// docs.astral.sh/ruff/configuration
const RUFF: &[Settings] = &[
    settings(".ruff.toml", ""),
    settings("ruff.toml", ""),
    settings("pyproject.toml", "[tool.ruff"),
];
// mypy.readthedocs.io/en/stable/config_file.html
const MYPY: &[Settings] = &[
    settings("mypy.ini", ""),
    settings(".mypy.ini", ""),
    settings("pyproject.toml", "[tool.mypy"),
    settings("setup.cfg", "[mypy"),
];
// bandit.readthedocs.io/en/latest/config.html
const BANDIT: &[Settings] = &[
    settings(".bandit", ""),
    settings("pyproject.toml", "[tool.bandit"),
];
// github.com/hadolint/hadolint#configure
const HADOLINT: &[Settings] = &[
    settings(".hadolint.yaml", ""),
    settings(".hadolint.yml", ""),
];

/// Every supported linter, in the order of the report.
pub(crate) static LINTERS: [Linter; 6] = [
    Linter {
        name: "ruff",
        driver: driver("ruff", "https://docs.astral.sh/ruff", false),
        program: "ruff",
        args: |_| words("check --no-cache --output-format json ."),
        exit_codes: &[0, 1],
        parse: output::ruff,
        // Before 0.0.291.
        old: Some(OldVersion {
            args: |_| words("check --no-cache --format json ."),
            parse: output::ruff,
        }),
        settings: RUFF,
        programs: &[],
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
        old: Some(OldVersion {
            args: |_| words("format --check --no-cache ."),
            parse: |text| Ok(output::ruff_format_text(text)),
        }),
        settings: RUFF,
        programs: &[],
    },
    Linter {
        name: "mypy",
        driver: driver("mypy", "https://mypy.readthedocs.io", false),
        program: "mypy",
        args: |args| mypy(args, "--output json"),
        exit_codes: &[0, 1],
        parse: output::mypy,
        old: Some(OldVersion {
            args: |args| mypy(args, "--show-error-codes --no-color-output --no-pretty"),
            parse: |text| Ok(output::mypy_text(text)),
        }),
        settings: MYPY,
        programs: &["plugins", "python_executable"],
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
            let exclude = match args.bandit_file {
                BanditFile::Absent => format!("--exclude {NOT_OF_THE_PROJECT} "),
                BanditFile::Present | BanditFile::WithTargets => String::new(),
            };
            // A path would override what the file names; it looks for the file below a path only.
            let targets = match args.bandit_file {
                BanditFile::WithTargets => "--ini .bandit",
                BanditFile::Absent | BanditFile::Present => ".",
            };
            words(&format!(
                "--quiet {settings}{exclude}--format json --recursive {targets}"
            ))
        },
        exit_codes: &[0, 1],
        parse: output::bandit,
        old: None,
        settings: BANDIT,
        programs: &[],
    },
    Linter {
        name: "hadolint",
        driver: driver("hadolint", "https://github.com/hadolint/hadolint", false),
        program: "hadolint",
        args: |args| words(&format!("--format json {}", args.dockerfile)),
        exit_codes: &[0, 1],
        parse: output::hadolint,
        old: None,
        settings: HADOLINT,
        programs: &[],
    },
    Linter {
        name: "pip check",
        driver: driver("pip", "https://pip.pypa.io/en/stable/cli/pip_check", false),
        program: "python",
        args: |_| words("-m pip check --disable-pip-version-check"),
        exit_codes: &[0, 1],
        parse: |text| Ok(output::pip_check(text)),
        old: None,
        settings: &[],
        programs: &[],
    },
];

// Bandit's own default, and environments and packages inside of the project; it excludes each path that has one of them in it.
const NOT_OF_THE_PROJECT: &str = ".svn,CVS,.bzr,.hg,.git,__pycache__,.tox,.eggs,*.egg,/.nox/,/.venv/,/venv/,/site-packages/,/node_modules/";

fn mypy(args: &LinterArgs, format: &str) -> Vec<String> {
    let settings = args
        .mypy_settings
        .map(|file| format!("--config-file={file} "));
    let settings = settings.unwrap_or_default();
    // A path would override what the settings name.
    let path = if args.has_mypy_files { "" } else { " ." };
    words(&format!("{settings}{format} --cache-dir /dev/null{path}"))
}

const fn driver(name: &'static str, page: &'static str, security: bool) -> Driver {
    Driver {
        name,
        page,
        security,
    }
}

const fn settings(name: &'static str, section: &'static str) -> Settings {
    Settings { name, section }
}

fn words(line: &str) -> Vec<String> {
    line.split_whitespace().map(ToOwned::to_owned).collect()
}

#[cfg(test)]
mod tests;
