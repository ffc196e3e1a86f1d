//! Commands in a container.

use anyhow::{Context as _, bail};
use bollard::container::LogOutput;
use bollard::exec::{StartExecOptions, StartExecResults};
use bollard::models::ExecConfig;
use futures_util::{Stream, StreamExt as _};
use limits::MIB;

use super::Container;

/// Bytes of the largest output that is read.
const OUTPUT: usize = 32 * MIB;

/// The result of a command in a container.
#[derive(Debug, Clone)]
pub struct ExecOutput {
    /// Its exit code.
    pub code: i64,
    /// Standard output and standard error, in order.
    pub output: String,
    /// Standard output.
    pub stdout: String,
}

/// A running command in a container, with its streams.
pub struct ExecStream {
    /// Its standard output.
    pub output: std::pin::Pin<Box<dyn Stream<Item = anyhow::Result<bytes::Bytes>> + Send>>,
    /// Its standard input.
    pub input: ExecInput,
}

type ExecInput = std::pin::Pin<Box<dyn tokio::io::AsyncWrite + Send>>;
type Chunks =
    std::pin::Pin<Box<dyn Stream<Item = Result<LogOutput, bollard::errors::Error>> + Send>>;

impl Container {
    /// Run a command in it and wait for it.
    ///
    /// # Errors
    /// When Docker refuses, or the command prints more than 32 MiB; it may then still run.
    pub async fn exec(&self, cmd: &[&str]) -> anyhow::Result<ExecOutput> {
        let (id, mut chunks, _) = self.start_exec(cmd, false).await?;
        let (mut output, mut stdout) = (Vec::new(), Vec::new());
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.context("failed to read from a container")?;
            let is_stdout = matches!(chunk, LogOutput::StdOut { .. });
            let bytes = chunk.into_bytes();
            if output.len() + bytes.len() > OUTPUT {
                let (program, mib) = (cmd.join(" "), OUTPUT / MIB);
                bail!("`{program}` printed more than {mib} MiB in a container");
            }
            output.extend_from_slice(&bytes);
            if is_stdout {
                stdout.extend_from_slice(&bytes);
            }
        }
        let exec = self
            .docker
            .api
            .inspect_exec(&id)
            .await
            .context("failed to read an exit code")?;
        Ok(ExecOutput {
            code: exec.exit_code.unwrap_or(-1),
            output: String::from_utf8_lossy(&output).into_owned(),
            stdout: String::from_utf8_lossy(&stdout).into_owned(),
        })
    }

    /// Run a command in it, and connect to its standard input and output.
    ///
    /// # Errors
    /// When Docker refuses.
    pub async fn exec_stream(&self, cmd: &[&str]) -> anyhow::Result<ExecStream> {
        let (_, chunks, input) = self.start_exec(cmd, true).await?;
        let output = chunks.filter_map(|chunk| async move {
            match chunk {
                Ok(LogOutput::StdErr { .. }) => None,
                Ok(chunk) => Some(Ok(chunk.into_bytes())),
                Err(e) => Some(Err(
                    anyhow::Error::new(e).context("failed to read from a container")
                )),
            }
        });
        Ok(ExecStream {
            output: Box::pin(output),
            input,
        })
    }

    async fn start_exec(
        &self,
        cmd: &[&str],
        attach_stdin: bool,
    ) -> anyhow::Result<(String, Chunks, ExecInput)> {
        let docker = &self.docker.api;
        let config = ExecConfig {
            cmd: Some(cmd.iter().map(ToString::to_string).collect()),
            attach_stdin: Some(attach_stdin),
            attach_stdout: Some(true),
            attach_stderr: Some(!attach_stdin),
            ..Default::default()
        };
        let what = || format!("failed to run `{}` in a container", cmd.join(" "));
        let exec = docker
            .create_exec(&self.id, config)
            .await
            .with_context(what)?;
        let started = docker
            .start_exec(&exec.id, None::<StartExecOptions>)
            .await
            .with_context(what)?;
        let StartExecResults::Attached { output, input } = started else {
            bail!("{}: Docker did not attach its streams", what());
        };
        Ok((exec.id, output, input))
    }
}
