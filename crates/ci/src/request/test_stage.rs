//! How the tests run, and what they have to reach.

use std::time::Duration;

use actions_toolkit::{BadInput, Scope, Value, WorkspacePath};
use docker::Dockerfile;

use super::{build, path};
use crate::action::Inputs;
use crate::test_run::junit::{Junit, SIZE_LIMIT};

/// The run of the test stage.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Tests {
    /// The stage whose command runs them.
    pub(crate) target: String,
    /// Of the reports, in the container; empty for the default.
    pub(crate) junit_paths: Vec<String>,
    /// Where the report is copied to.
    pub(crate) junit_file: WorkspacePath,
    /// Of the coverage report, in the container; `None` for the default.
    pub(crate) coverage_path: Option<String>,
    /// In percent.
    pub(crate) min_coverage: Option<f64>,
    /// The report of the base branch.
    pub(crate) baseline: Option<Junit>,
    pub(crate) timeout: Duration,
}

impl Tests {
    /// `None` for `test-target: none`.
    pub(super) fn new(inputs: &Inputs, stages: &Dockerfile) -> Result<Option<Self>, BadInput> {
        let Some(target) = &inputs.test_target.0 else {
            return Ok(None);
        };
        if !stages.has(target) {
            let dockerfile = path::relative(Inputs::dockerfile, &inputs.dockerfile)?;
            let hint = "; `none` builds without tests";
            let input = Inputs::test_target;
            return Err(build::no_stage(input, target, &dockerfile, stages, hint));
        }
        Ok(Some(Self {
            target: target.clone(),
            junit_paths: inputs
                .junit_path
                .iter()
                .map(|path| path.0.clone())
                .collect(),
            junit_file: path::file(Inputs::junit_file, &inputs.junit_file)?,
            coverage_path: inputs.coverage_path.as_ref().map(|path| path.0.clone()),
            min_coverage: inputs.min_coverage.map(|percentage| percentage.0),
            baseline: inputs.baseline_junit.as_ref().map(baseline).transpose()?,
            timeout: inputs.test_timeout.0,
        }))
    }
}

fn baseline(path: &WorkspacePath) -> Result<Junit, BadInput> {
    let text = path.read(SIZE_LIMIT as u64)?;
    Junit::parse(&text).map_err(|e| {
        let problem = format!("`{}` is invalid: {e}", path.given());
        BadInput::new(Inputs::baseline_junit, problem)
    })
}

/// From 0 to 100.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Percentage(f64);

impl Value for Percentage {
    fn parse(text: &str, scope: &Scope<'_>) -> Result<Self, String> {
        let number = f64::parse(text, scope)?;
        if (0.0..=100.0).contains(&number) {
            Ok(Self(number))
        } else {
            Err(format!("`{text}` is not a percentage between 0 and 100"))
        }
    }
}
