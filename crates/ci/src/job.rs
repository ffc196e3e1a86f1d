//! What every check needs.

use actions_toolkit::{Context, Log};
use docker::Docker;
use oci::Logins;

use crate::request::Request;

/// The run, as one of the parallel checks sees it.
#[derive(Clone, Copy)]
pub(crate) struct Job<'a> {
    /// Its log takes the progress lines, which must not be buffered.
    pub(crate) ctx: &'a Context,
    /// The check's own log: its lines stay together.
    pub(crate) log: &'a Log,
    pub(crate) docker: &'a Docker,
    pub(crate) request: &'a Request,
    /// Of the registries that the run signed in to.
    pub(crate) logins: &'a Logins,
    /// The label of the run's containers, by which they are removed.
    pub(crate) run: &'a str,
}
