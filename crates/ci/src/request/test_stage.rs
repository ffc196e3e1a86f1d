//! How the tests run, and what they have to reach.

use std::time::Duration;

use actions_toolkit::{BadInput, Context, Scope, Value, WorkspacePath, choice};
use docker::Dockerfile;

use super::{Service, build, environment, path};
use crate::action::Inputs;
use crate::services::Outside;
use crate::test_run::coverage::{self, Coverage};
use crate::test_run::junit::{Junit, SIZE_LIMIT};

/// Names of a stage that has the tests, of which the first one of a Dockerfile is taken by default.
const STAGES: &[&str] = &[
    "test",
    "tests",
    "testing",
    "unit-test",
    "unit-tests",
    "unittest",
];

/// The image that the tests run in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TestImage {
    /// A stage of the Dockerfile.
    Stage(String),
    /// The image that the step builds.
    Image,
}

impl std::fmt::Display for TestImage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Stage(stage) => write!(f, "stage `{stage}`"),
            Self::Image => f.write_str("the image"),
        }
    }
}

/// The run of the tests.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Tests {
    pub(crate) target: TestImage,
    /// For a shell; the image's own command by default.
    pub(crate) command: Option<String>,
    /// As `NAME=value`.
    pub(crate) env: Vec<String>,
    /// How the compose file runs the application.
    pub(crate) service: Option<Service>,
    /// What they reach.
    pub(crate) outside: Outside,
    /// Of the reports, in the container; empty for the default.
    pub(crate) junit_paths: Vec<String>,
    /// Where the report is copied to.
    pub(crate) junit_file: WorkspacePath,
    /// Of the coverage report, in the container; `None` for the default.
    pub(crate) coverage_path: Option<String>,
    /// Where that report is copied to.
    pub(crate) coverage_file: Option<WorkspacePath>,
    /// That of the base branch.
    pub(crate) base_coverage: Option<Coverage>,
    /// In percent.
    pub(crate) min_coverage: Option<f64>,
    /// The report of the base branch.
    pub(crate) baseline: Option<Junit>,
    pub(crate) timeout: Duration,
}

impl Tests {
    /// `None` for `test-target: none`.
    pub(super) fn new(
        ctx: &Context,
        inputs: &Inputs,
        stages: &Dockerfile,
        service: Option<&Service>,
    ) -> Result<Option<Self>, BadInput> {
        let Some(target) = target(inputs, stages)? else {
            return Ok(None);
        };
        let env = environment::environment(Inputs::test_env, &inputs.test_env)?;
        Ok(Some(Self {
            target,
            command: inputs.test_command.clone(),
            env: match service {
                Some(service) => environment::over(&service.env, env),
                None => env,
            },
            service: service.cloned(),
            outside: match inputs.test_network {
                TestNetwork::None => Outside::Unreachable,
                TestNetwork::Internet => Outside::Reachable,
            },
            junit_paths: inputs
                .junit_path
                .iter()
                .map(|path| path.0.clone())
                .collect(),
            junit_file: path::file(Inputs::junit_file, &inputs.junit_file)?,
            coverage_path: inputs.coverage_path.as_ref().map(|path| path.0.clone()),
            coverage_file: match &inputs.coverage_file {
                Some(file) => Some(path::file(Inputs::coverage_file, file)?),
                None => None,
            },
            base_coverage: match &inputs.baseline_coverage {
                Some(file) => base_coverage(ctx, file)?,
                None => None,
            },
            min_coverage: inputs.min_coverage.map(|percentage| percentage.0),
            baseline: inputs.baseline_junit.as_ref().map(baseline).transpose()?,
            timeout: inputs.test_timeout.0,
        }))
    }
}

fn target(inputs: &Inputs, stages: &Dockerfile) -> Result<Option<TestImage>, BadInput> {
    let command = inputs.test_command.is_some();
    let name = match &inputs.test_target {
        Some(target) => match &target.0 {
            Some(name) => name,
            None if command => {
                let problem = "is set, and `test-target: none` is for no tests";
                return Err(BadInput::new(Inputs::test_command, problem));
            }
            None => return Ok(None),
        },
        None => match STAGES.iter().find(|name| stages.has(name)) {
            Some(name) => return Ok(Some(TestImage::Stage((*name).to_owned()))),
            None if command => return Ok(Some(TestImage::Image)),
            None => STAGES[0],
        },
    };
    if stages.has(name) {
        return Ok(Some(TestImage::Stage(name.to_owned())));
    }
    let dockerfile = path::relative(Inputs::dockerfile, &inputs.dockerfile)?;
    let hint = "; `none` builds without tests, and `test-command` runs them in the image itself";
    let input = Inputs::test_target;
    Err(build::no_stage(input, name, &dockerfile, stages, hint))
}

choice! {
    /// `test-network`.
    pub(crate) enum TestNetwork {
        None = "none",
        Internet = "internet",
    }
}

fn baseline(path: &WorkspacePath) -> Result<Junit, BadInput> {
    let text = path.read(SIZE_LIMIT as u64)?;
    Junit::parse(&text).map_err(|e| {
        let problem = format!("`{}` is invalid: {e}", path.given());
        BadInput::new(Inputs::baseline_junit, problem)
    })
}

// The first run of a branch has none, which is no reason to fail.
fn base_coverage(ctx: &Context, path: &WorkspacePath) -> Result<Option<Coverage>, BadInput> {
    if path.absolute().symlink_metadata().is_err() {
        ctx.log().notice(format!(
            "there is no `{}` (`baseline-coverage`), so the change of the coverage is unknown",
            path.given()
        ));
        return Ok(None);
    }
    let text = path.read(coverage::SIZE_LIMIT as u64)?;
    Coverage::totals(text.as_bytes()).map(Some).map_err(|e| {
        let problem = format!("`{}` is invalid: {e}", path.given());
        BadInput::new(Inputs::baseline_coverage, problem)
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
