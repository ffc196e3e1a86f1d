//! What every part of the work needs.

use actions_toolkit::{Context, Log};
use docker::Docker;

use crate::request::Request;

/// The run, as one of the parts that go on side by side sees it.
#[derive(Clone, Copy)]
pub(crate) struct Job<'a> {
    /// The run's context; its log takes the signs of life.
    pub(crate) ctx: &'a Context,
    /// The part's own log: its lines stay together.
    pub(crate) log: &'a Log,
    /// Docker.
    pub(crate) docker: &'a Docker,
    /// What is asked for.
    pub(crate) request: &'a Request,
    /// The id that marks the run's containers.
    pub(crate) run: &'a str,
}
