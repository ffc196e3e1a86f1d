//! The results of the checks, up to the point that a run reached.

use std::time::Duration;

use docker::{BuildWarning, ImageInfo, Layer};

use crate::analysis::Analysis;
use crate::build::Build;
use crate::builder::Platform;
use crate::dependencies::Dependencies;
use crate::push::Pushed;
use crate::request::Tests;
use crate::request::test_stage::BaseCoverage;
use crate::source_map::SourceMap;
use crate::test_run::coverage::Coverage;
use crate::test_run::coverage::changed::ChangedCoverage;
use crate::test_run::junit::Junit;

/// The results, one field for each of the parallel checks. The report is made of it.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) tests: TestOutcome,
    pub(crate) analysis: Option<Analysis>,
    pub(crate) image: ImageOutcome,
    pub(crate) dependencies: Option<Dependencies>,
}

/// The result of building and running the test stage.
#[derive(Debug, Default)]
pub(crate) struct TestOutcome {
    pub(crate) build: BuildOutcome,
    /// The `JUnit` report as the tests wrote it, valid or not.
    pub(crate) junit_text: Option<Vec<u8>>,
    pub(crate) run: Option<TestRun>,
    pub(crate) coverage: Option<Coverage>,
    /// That of the base branch, where it was looked up.
    pub(crate) base_coverage: Option<Coverage>,
    /// The coverage report as the tests wrote it, valid or not.
    pub(crate) coverage_text: Option<Vec<u8>>,
    /// Of `run`, if the request names platforms.
    pub(crate) platform: Option<Platform>,
    /// The runs on further platforms, whose reports are not shown.
    pub(crate) others: Vec<(Platform, Option<TestRun>)>,
    /// Of the lines that the pull request adds, if there is one.
    pub(crate) changed: Option<ChangedCoverage>,
}

impl TestOutcome {
    /// The coverage of the base branch, if it is known.
    pub(crate) fn base_coverage<'a>(&'a self, tests: Option<&'a Tests>) -> Option<&'a Coverage> {
        match tests.map(|tests| &tests.base_coverage) {
            Some(BaseCoverage::Known(coverage)) => Some(coverage),
            _ => self.base_coverage.as_ref(),
        }
    }
}

/// The result of building and running the image.
#[derive(Debug, Default)]
pub(crate) struct ImageOutcome {
    pub(crate) build: BuildOutcome,
    pub(crate) image: Option<ImageInfo>,
    /// From the base up.
    pub(crate) layers: Vec<Layer>,
    pub(crate) health: Option<Health>,
    /// Of `image`, if the request names platforms.
    pub(crate) platform: Option<Platform>,
    /// The smoke tests on further platforms.
    pub(crate) others: Vec<(Platform, Option<Health>)>,
    /// Whether it has its names in Docker.
    pub(crate) is_tagged: bool,
    /// In each repository that it was pushed to.
    pub(crate) pushed: Vec<Pushed>,
}

/// The result of a build.
#[derive(Debug, Default)]
pub(crate) struct BuildOutcome {
    pub(crate) build: Option<Build>,
    /// Failed build checks of the Dockerfile.
    pub(crate) warnings: Vec<BuildWarning>,
    /// Images of `cache-from` whose registry refused them.
    pub(crate) unavailable_caches: Vec<String>,
    /// The last lines of what failed: the build, or what ran in its image.
    pub(crate) log_tail: Option<LogTail>,
}

/// A test run with a valid report.
#[derive(Debug)]
pub(crate) struct TestRun {
    pub(crate) junit: Junit,
    /// The tests that fail and do not fail in the baseline, if there is one.
    pub(crate) new_failures: Option<Vec<String>>,
    pub(crate) time: Duration,
    pub(crate) source_map: SourceMap,
}

/// The result of the smoke test.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Health {
    /// `GET /health`.
    pub(crate) request: String,
    /// In what it is not run as in production, as the inputs permit.
    pub(crate) relaxed: Vec<String>,
    /// From the start to the first of the consecutive successful responses, if it became healthy.
    pub(crate) healthy_after: Option<Duration>,
    /// Whether the image's own health check passed; `None` if it has none or was not run.
    pub(crate) checked: Option<bool>,
    /// The exit code after SIGTERM and the time until the exit, if SIGTERM was sent.
    pub(crate) stopped: Option<(i64, Duration)>,
    pub(crate) problem: Option<String>,
}

/// The last lines of a log, for the report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LogTail {
    pub(crate) title: String,
    pub(crate) lines: Vec<String>,
}
