//! How the tests run, and what they have to reach.

use std::time::Duration;

use actions_toolkit::{BadInput, Context, ResultFile, Scope, Value, WorkspacePath, choice};
use docker::Dockerfile;
use oci::ImageRef;

use super::cpus::Cpus;
use super::path::DockerfilePath;
use super::{Service, build, environment, memory};
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
    /// Another image, with the workspace in it.
    Given(ImageRef),
}

impl std::fmt::Display for TestImage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Stage(stage) => write!(f, "stage `{stage}`"),
            Self::Image => f.write_str("the image"),
            Self::Given(image) => write!(f, "the image `{image}`"),
        }
    }
}

/// `baseline-coverage`.
#[derive(Debug, Clone)]
pub(crate) enum BaselineCoverage {
    /// What a run on the base branch has kept.
    Auto,
    /// A report in the workspace.
    File(WorkspacePath),
}

impl Value for BaselineCoverage {
    fn parse(text: &str, scope: &Scope<'_>) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            path => WorkspacePath::parse(path, scope).map(Self::File),
        }
    }
}

/// The coverage of the base branch.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum BaseCoverage {
    Unknown,
    Known(Coverage),
    /// It is looked up after the tests.
    Auto,
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
    /// The host at which they reach the application, if it runs next to them.
    pub(crate) application: Option<String>,
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
    pub(crate) base_coverage: BaseCoverage,
    /// In percent.
    pub(crate) min_coverage: Option<f64>,
    /// The report of the base branch.
    pub(crate) baseline: Option<Junit>,
    /// In megabytes; `None` for no limit.
    pub(crate) memory: Option<u16>,
    /// `None` for no limit.
    pub(crate) cpus: Option<Cpus>,
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
        let memory = inputs.test_memory;
        let memory = memory.map(|value| memory::megabytes(Inputs::test_memory, value));
        Ok(Some(Self {
            target,
            command: inputs.test_command.clone(),
            env: match service {
                Some(service) => environment::over(&service.env, env),
                None => env,
            },
            service: service.cloned(),
            application: None,
            outside: match inputs.test_network {
                TestNetwork::None => Outside::Unreachable,
                TestNetwork::Internet => Outside::Reachable,
            },
            junit_paths: inputs
                .junit_path
                .iter()
                .map(|path| path.0.clone())
                .collect(),
            junit_file: inputs.junit_file.clone().into_path(),
            coverage_path: inputs.coverage_path.as_ref().map(|path| path.0.clone()),
            coverage_file: inputs.coverage_file.clone().map(ResultFile::into_path),
            base_coverage: match &inputs.baseline_coverage {
                Some(BaselineCoverage::File(file)) => base_coverage(ctx, file)?,
                Some(BaselineCoverage::Auto) => BaseCoverage::Auto,
                None => BaseCoverage::Unknown,
            },
            min_coverage: inputs.min_coverage.map(|percentage| percentage.0),
            baseline: inputs.baseline_junit.as_ref().map(baseline).transpose()?,
            memory: memory.transpose()?,
            cpus: inputs.test_cpus,
            timeout: inputs.test_timeout.0,
        }))
    }
}

fn target(inputs: &Inputs, stages: &Dockerfile) -> Result<Option<TestImage>, BadInput> {
    let command = inputs.test_command.is_some();
    if let Some(image) = &inputs.test_image {
        let problem = if inputs.test_target.is_some() {
            "is set, and so is `test-target`; keep the one that has what the tests need"
        } else if !command {
            "needs `test-command`, since an image that was not built for these tests has no command for them"
        } else {
            return Ok(Some(TestImage::Given(image.0.clone())));
        };
        return Err(BadInput::new(Inputs::test_image, problem));
    }
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
    let dockerfile = DockerfilePath::of(inputs)?.in_context;
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
fn base_coverage(ctx: &Context, path: &WorkspacePath) -> Result<BaseCoverage, BadInput> {
    if path.absolute().symlink_metadata().is_err() {
        ctx.log().notice(format!(
            "there is no `{}` (`baseline-coverage`), so the change of the coverage is unknown",
            path.given()
        ));
        return Ok(BaseCoverage::Unknown);
    }
    let text = path.read(coverage::SIZE_LIMIT as u64)?;
    let totals = Coverage::totals(text.as_bytes());
    totals.map(BaseCoverage::Known).map_err(|e| {
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
