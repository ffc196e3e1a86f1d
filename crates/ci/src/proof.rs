//! What has been shown so far, whichever way the run ends.

use std::time::Duration;

use container::ImageInfo;

use crate::build::Build;
use crate::junit::Junit;
use crate::place::Map;

/// What the run has shown so far; the report is made of it.
#[derive(Debug, Default)]
pub(crate) struct Proof {
    /// The builds.
    pub(crate) builds: Vec<Build>,
    /// The `JUnit` report as the tests left it.
    pub(crate) junit_text: Option<Vec<u8>>,
    /// The tests.
    pub(crate) tests: Option<TestRun>,
    /// The image.
    pub(crate) image: Option<ImageInfo>,
    /// The smoke test.
    pub(crate) health: Option<Health>,
    /// The last words of what went wrong.
    pub(crate) evidence: Option<Evidence>,
}

/// A test run with a report that can be read.
#[derive(Debug)]
pub(crate) struct TestRun {
    /// The report.
    pub(crate) junit: Junit,
    /// How long the run took.
    pub(crate) time: Duration,
    /// Where the files of its container come from.
    pub(crate) map: Map,
}

/// The outcome of the smoke test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Health {
    /// The request, `GET /health`.
    pub(crate) request: String,
    /// The time from the start to the first of the answers that count, if it became healthy.
    pub(crate) healthy_after: Option<Duration>,
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
