//! How the application runs in the smoke test, and how its health is checked.

use std::time::Duration;

use actions_toolkit::{BadInput, Scope, Value, choice};

use super::path::AbsolutePath;
use super::{Service, environment, memory, words};
use crate::action::Inputs;

/// The smoke test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Smoke {
    pub(crate) health: HealthTarget,
    /// `None` for the one that the image exposes.
    pub(crate) port: Option<u16>,
    /// As `NAME=value`.
    pub(crate) env: Vec<String>,
    /// Empty for the image's.
    pub(crate) command: Vec<String>,
    /// How the compose file runs it.
    pub(crate) service: Option<Service>,
    /// In megabytes (2^20 bytes, as Docker counts them).
    pub(crate) memory: u16,
    /// Whether the application may run as root.
    pub(crate) may_be_root: bool,
    pub(crate) read_only: bool,
    /// Until the application is healthy.
    pub(crate) timeout: Duration,
    /// Until the application exits after SIGTERM.
    pub(crate) stop_timeout: Duration,
}

impl Smoke {
    /// `None` for `health-path: none`.
    pub(super) fn new(
        inputs: &Inputs,
        service: Option<&Service>,
    ) -> Result<Option<Self>, BadInput> {
        let command = inputs.health_command.clone().map(HealthTarget::Command);
        let Some(health) = command.or_else(|| inputs.health_path.0.clone()) else {
            return Ok(None);
        };
        let env = environment::environment(Inputs::smoke_env, &inputs.smoke_env)?;
        let command = inputs.smoke_command.clone().map(|command| command.0);
        let declared = service.map(|service| service.command.clone());
        let port = inputs.port.map(std::num::NonZeroU16::get);
        let declared_port = match service.map(|service| service.ports.as_slice()) {
            Some([port]) => Some(*port),
            _ => None,
        };
        let port = port.or(declared_port);
        Ok(Some(Self {
            health,
            port,
            env: match service {
                Some(service) => environment::over(&service.env, env),
                None => env,
            },
            command: command.or(declared).unwrap_or_default(),
            service: service.cloned(),
            memory: memory::megabytes(Inputs::smoke_memory, inputs.smoke_memory)?,
            may_be_root: matches!(inputs.smoke_user, SmokeUser::Any),
            read_only: inputs.smoke_read_only,
            timeout: inputs.smoke_timeout.0,
            stop_timeout: inputs.stop_timeout.0,
        }))
    }
}

/// What shows that the application is healthy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum HealthTarget {
    /// A response with 2xx at this path.
    Path(String),
    /// A response with 2xx at the path of the image's HEALTHCHECK, or at one of the usual ones.
    Auto,
    /// A connection to the port.
    Tcp,
    /// The image's HEALTHCHECK.
    HealthCheck,
    /// A shell command in the container.
    Command(String),
}

impl Value for HealthTarget {
    fn parse(text: &str, scope: &Scope<'_>) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "tcp" => Ok(Self::Tcp),
            "healthcheck" => Ok(Self::HealthCheck),
            path => match AbsolutePath::parse(path, scope) {
                Ok(path) => Ok(Self::Path(path.0)),
                Err(e) => Err(format!("{e}, or be `auto`, `tcp`, `healthcheck` or `none`")),
            },
        }
    }
}

/// `smoke-command`: words, as `CMD` and `command` of a compose file have them.
#[derive(Debug, Clone, Default)]
pub(crate) struct CommandLine(Vec<String>);

impl Value for CommandLine {
    fn parse(text: &str, _: &Scope<'_>) -> Result<Self, String> {
        words::split(text).map(Self)
    }
}

choice! {
    /// `smoke-user`.
    pub(crate) enum SmokeUser {
        NonRoot = "non-root",
        Any = "any",
    }
}
