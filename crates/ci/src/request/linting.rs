//! Which linters run, and which findings fail the step.

use std::time::Duration;

use actions_toolkit::{Scope, Value, choice, invalid_choice};
use trivy::Severity;

use crate::action::Inputs;
use crate::analysis::linters::{LINTERS, Linter};

/// The run of the linters.
#[derive(Debug, Clone)]
pub(crate) struct Linting {
    pub(crate) linters: Vec<&'static Linter>,
    /// Whether a linter that is not installed is an error.
    pub(crate) required: bool,
    /// The lowest severity that fails; `None` for never.
    pub(crate) fail_on: Option<Severity>,
    /// Of all linters together.
    pub(crate) timeout: Duration,
}

impl Linting {
    pub(super) fn new(inputs: &Inputs, has_test_stage: bool) -> Option<Self> {
        let (linters, required) = match &inputs.static_analysis {
            LinterSelection::None => return None,
            // Without a test stage there is no environment to look in.
            LinterSelection::Auto if !has_test_stage => return None,
            LinterSelection::Auto => (LINTERS.iter().collect(), false),
            LinterSelection::Named(linters) => (linters.clone(), true),
        };
        Some(Self {
            linters,
            required,
            fail_on: inputs.fail_on_analysis.0.map(FailingLevel::severity),
            timeout: inputs.test_timeout.0,
        })
    }
}

/// `static-analysis`.
#[derive(Debug, Clone)]
pub(crate) enum LinterSelection {
    Auto,
    None,
    Named(Vec<&'static Linter>),
}

impl Value for LinterSelection {
    fn parse(text: &str, _: &Scope<'_>) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "none" => Ok(Self::None),
            names => names
                .split([',', '\n'])
                .map(str::trim)
                .filter(|name| !name.is_empty())
                .map(linter)
                .collect::<Result<_, _>>()
                .map(Self::Named),
        }
    }
}

fn linter(name: &str) -> Result<&'static Linter, String> {
    let linter = LINTERS.iter().find(|linter| linter.name == name);
    linter.ok_or_else(|| {
        let names = LINTERS.iter().map(|linter| linter.name);
        let choices: Vec<_> = names.chain(["auto", "none"]).collect();
        invalid_choice(name, &choices)
    })
}

choice! {
    /// `fail-on-analysis`.
    pub(crate) enum FailingLevel {
        Error = "error",
        Warning = "warning",
        Note = "note",
    }
}

impl FailingLevel {
    // The severities that `analysis::findings` assigns.
    fn severity(self) -> Severity {
        match self {
            Self::Error => Severity::High,
            Self::Warning => Severity::Medium,
            Self::Note => Severity::Low,
        }
    }
}
