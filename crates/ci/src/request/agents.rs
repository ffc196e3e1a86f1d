//! The inputs `ssh` and `secret-files`: what a build may use without having it in the image.

use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};

use actions_toolkit::{BadInput, Context, Scope, Value, WorkspacePath};
use docker::SshAgents;

use crate::action::Inputs;

/// The id of an agent that a mount uses without another.
const DEFAULT: &str = "default";

/// A line of `ssh`: `default`, or an id and the socket of an agent.
#[derive(Debug, Clone)]
pub(crate) struct AgentLine {
    id: String,
    /// `None` for `SSH_AUTH_SOCK`.
    socket: Option<PathBuf>,
}

impl Value for AgentLine {
    fn parse(line: &str, _: &Scope<'_>) -> Result<Self, String> {
        let (id, socket) = match line.split_once('=') {
            Some((id, socket)) => (id.trim(), Some(socket.trim())),
            None => (line, None),
        };
        if id.is_empty() || socket == Some("") {
            return Err(format!(
                "line `{line}` is not of the form `id=socket`; is the variable of the socket set?"
            ));
        }
        Ok(Self {
            id: id.to_owned(),
            socket: socket.map(PathBuf::from),
        })
    }
}

/// The agents of `ssh`, each of which exists.
pub(super) fn agents(ctx: &Context, lines: &[AgentLine]) -> Result<SshAgents, BadInput> {
    let bad = |problem: String| BadInput::new(Inputs::ssh, problem);
    let agents = lines.iter().map(|line| {
        let own = ctx.env().get("SSH_AUTH_SOCK").map(PathBuf::from);
        let socket = line.socket.clone().or(own).ok_or_else(|| {
            bad(format!(
                "`{}` has no socket, and `SSH_AUTH_SOCK` is not set; write `{DEFAULT}=SOCKET`",
                line.id
            ))
        })?;
        let path = visible(ctx, &socket);
        let kind = std::fs::metadata(&path).map(|metadata| metadata.file_type());
        let shown = socket.display();
        match kind {
            Ok(kind) if kind.is_socket() => Ok((line.id.clone(), path)),
            Ok(_) => Err(bad(format!(
                "`{shown}` is not the socket of an SSH agent; start one with `ssh-agent -a \"$RUNNER_TEMP/agent.sock\"`, and add the key with `ssh-add`"
            ))),
            Err(e) => Err(bad(format!(
                "the socket `{shown}` cannot be reached: {e}; this step reaches sockets in the workspace and in `RUNNER_TEMP`: start the agent with `ssh-agent -a \"$RUNNER_TEMP/agent.sock\"`"
            ))),
        }
    });
    agents.collect()
}

// The runner's directory for temporary files has another path in the container of the step.
fn visible(ctx: &Context, path: &Path) -> PathBuf {
    if path.exists() {
        return path.to_owned();
    }
    let text = path.to_string_lossy();
    match text.split_once("/_temp/") {
        Some((_, rest)) => ctx.temp_dir().join(rest),
        None => path.to_owned(),
    }
}

/// A line of `secret-files`.
#[derive(Debug, Clone)]
pub(crate) struct SecretFile {
    pub(super) id: String,
    pub(super) path: WorkspacePath,
}

impl Value for SecretFile {
    fn parse(line: &str, scope: &Scope<'_>) -> Result<Self, String> {
        let (id, path) = line
            .split_once('=')
            .map(|(id, path)| (id.trim(), path.trim()))
            .filter(|(id, path)| !id.is_empty() && !path.is_empty())
            .ok_or_else(|| format!("line `{line}` is not of the form `id=path`"))?;
        Ok(Self {
            id: id.to_owned(),
            path: WorkspacePath::parse(path, scope)?,
        })
    }
}
