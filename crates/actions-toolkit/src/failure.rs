//! How an action ends: exit codes, and the errors that choose them.

use std::fmt;
use std::process::ExitCode;

/// A finished action, with the value of its `result` output (`passed`, `patched`, `deployed` …).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Done(pub &'static str);

/// A mistake in the inputs: nothing was started, and the exit code is 3.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct BadInput(pub String);

impl BadInput {
    /// An error about the input `name`: what is wrong, and what would be right.
    pub fn new(name: &str, problem: impl fmt::Display) -> Self {
        Self(format!("input `{name}`: {problem}"))
    }
}

/// A verdict against the change: findings over the threshold, failed tests, a failed health check.
/// The exit code is 1.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct PolicyFailure(pub String);

/// The runner or the user stopped the step. The exit code is 2: no verdict was reached.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("stopped by {0} before a verdict was reached")]
pub struct Cancelled(pub &'static str);

/// The exit codes of the suite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitStatus {
    /// Exit code 0.
    Done,
    /// Exit code 1: a policy said no.
    PolicyFailed,
    /// Exit code 2: a tool or a service failed, and no verdict was reached.
    ToolFailed,
    /// Exit code 3: nothing was started.
    BadInput,
}

impl ExitStatus {
    /// The status of `error`, independent of the context that was added to it.
    pub fn from_error(error: &anyhow::Error) -> Self {
        if error.downcast_ref::<BadInput>().is_some() {
            Self::BadInput
        } else if error.downcast_ref::<PolicyFailure>().is_some() {
            Self::PolicyFailed
        } else {
            Self::ToolFailed
        }
    }

    /// The process exit code, 0 to 3.
    pub const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::PolicyFailed => 1,
            Self::ToolFailed => 2,
            Self::BadInput => 3,
        }
    }

    /// The `result` output of a run that ended in an error.
    pub const fn result(self) -> &'static str {
        match self {
            Self::Done => "passed",
            Self::PolicyFailed => "failed",
            Self::ToolFailed | Self::BadInput => "error",
        }
    }
}

impl From<ExitStatus> for ExitCode {
    fn from(status: ExitStatus) -> Self {
        Self::from(status.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context as _;

    #[test]
    fn context_does_not_hide_what_kind_of_error_it_was() {
        let table: [(anyhow::Error, u8); 4] = [
            (BadInput::new("image", "is empty").into(), 3),
            (PolicyFailure("2 findings".into()).into(), 1),
            (Cancelled("SIGTERM").into(), 2),
            (anyhow::anyhow!("connection refused"), 2),
        ];
        for (error, code) in table {
            let wrapped = Err::<(), _>(error).context("failed to scan").unwrap_err();
            assert_eq!(ExitStatus::from_error(&wrapped).code(), code, "{wrapped:#}");
        }
    }
}
