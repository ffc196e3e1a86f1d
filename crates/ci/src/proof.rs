//! What has been shown so far, whichever way the run ends.

use std::time::Duration;

use docker::{BuildWarning, ImageInfo, Layer};

use crate::analysis::Analysis;
use crate::build::Build;
use crate::coverage::Coverage;
use crate::dependencies::Dependencies;
use crate::junit::Junit;
use crate::place::Map;

/// What the run has shown so far; the report is made of it. Its parts are filled side by side.
#[derive(Debug, Default)]
pub(crate) struct Proof {
    /// The tests.
    pub(crate) suite: SuiteProof,
    /// The linters.
    pub(crate) analysis: Option<Analysis>,
    /// The image.
    pub(crate) image: ImageProof,
    /// The packages of the lock file.
    pub(crate) dependencies: Option<Dependencies>,
}

/// What building and running the test stage has shown.
#[derive(Debug, Default)]
pub(crate) struct SuiteProof {
    /// The build, and the last words of what went wrong.
    pub(crate) built: Built,
    /// The `JUnit` report as the tests left it.
    pub(crate) junit_text: Option<Vec<u8>>,
    /// The tests.
    pub(crate) tests: Option<TestRun>,
    /// How much of the code they ran.
    pub(crate) coverage: Option<Coverage>,
}

/// What building and running the image has shown.
#[derive(Debug, Default)]
pub(crate) struct ImageProof {
    /// The build, and the last words of what went wrong.
    pub(crate) built: Built,
    /// The image.
    pub(crate) image: Option<ImageInfo>,
    /// The instructions that made it, from the base up.
    pub(crate) layers: Vec<Layer>,
    /// The smoke test.
    pub(crate) health: Option<Health>,
    /// Whether it has its name.
    pub(crate) named: bool,
}

/// What a build leaves behind, and what ran after it.
#[derive(Debug, Default)]
pub(crate) struct Built {
    /// The build.
    pub(crate) build: Option<Build>,
    /// Build checks that the Dockerfile does not pass.
    pub(crate) warnings: Vec<BuildWarning>,
    /// The last words of what went wrong.
    pub(crate) evidence: Option<Evidence>,
}

/// A test run with a report that can be read.
#[derive(Debug)]
pub(crate) struct TestRun {
    /// The report.
    pub(crate) junit: Junit,
    /// The tests that fail and did not fail in the base, if there is one.
    pub(crate) new_failures: Option<Vec<String>>,
    /// How long the run took.
    pub(crate) time: Duration,
    /// Where the files of its container come from.
    pub(crate) map: Map,
}

/// The outcome of the smoke test.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Health {
    /// The request, `GET /health`.
    pub(crate) request: String,
    /// The time from the start to the first of the answers that count, if it became healthy.
    pub(crate) healthy_after: Option<Duration>,
    /// Whether the image's own health check agrees; `None` if it has none, or it did not come to that.
    pub(crate) checked: Option<bool>,
    /// The exit code after SIGTERM and the time it took, if it came to that.
    pub(crate) stopped: Option<(i64, Duration)>,
    /// What is wrong, if anything is.
    pub(crate) problem: Option<String>,
}

/// Lines that show what went wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Evidence {
    /// Whose lines they are.
    pub(crate) title: String,
    /// The lines.
    pub(crate) lines: Vec<String>,
}
