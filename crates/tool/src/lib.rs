//! Child processes: an argv, an environment allow-list, output streamed to the log, a timeout.
//!
//! A tool is never started through a shell, and it gets only the variables that are passed to it: the
//! runner passes tokens (`ACTIONS_*`, `INPUT_*TOKEN`) to an action that no scanner needs. When a tool is
//! stopped, by its timeout or with the step, all processes that it started are stopped too.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use actions_toolkit::{Env, Log, with_progress};
use anyhow::{Context as _, bail};
use limits::{Lines, MIB, Shown};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, Command};

/// Variables that every tool gets, with [`PROXY_VARIABLES`]: where programs and files are, which CA certificates to trust. None of
/// them holds a credential of the run.
const SHARED_VARIABLES: &[&str] = &[
    "PATH",
    "HOME",
    "TMPDIR",
    "LANG",
    "LC_ALL",
    "TZ",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
];

/// Variables that say how to reach the network.
pub const PROXY_VARIABLES: &[&str] = &[
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
];

/// The number of output lines that are kept for an error message.
const TAIL: usize = 200;
/// The number of lines that [`Tool::keep`] keeps.
const KEPT: usize = 1_000;
/// The default limit of a captured output.
const CAPTURED: usize = 32 * MIB;
/// Bytes that are read at once.
const CHUNK: usize = 32 * 1024;

/// A program with its arguments and environment.
#[derive(Debug, Clone)]
pub struct Tool {
    program: PathBuf,
    args: Vec<OsString>,
    env: Vec<(String, OsString)>,
    directory: Option<PathBuf>,
    timeout: Duration,
    captured: usize,
    is_kept: fn(&str) -> bool,
}

/// The result of a tool that exited.
#[derive(Debug)]
pub struct Finished {
    /// The exit status.
    pub status: ExitStatus,
    /// The standard output, if it was captured.
    pub stdout: Vec<u8>,
    /// The last lines of the streamed output (of both streams, or of standard error if the other is captured).
    pub tail: Vec<String>,
    /// The first thousand of the lines that [`Tool::keep`] selects.
    pub kept: Vec<String>,
}

impl Finished {
    /// The exit code, or `None` for a tool that was killed by a signal.
    pub fn code(&self) -> Option<i32> {
        self.status.code()
    }

    /// How it exited, for a message: `exit code 2`, `signal: 9 (SIGKILL)`.
    pub fn ending(&self) -> String {
        match self.status.code() {
            Some(code) => format!("exit code {code}"),
            None => self.status.to_string(),
        }
    }
}

impl Tool {
    /// `program` (a path, or a name that is looked up in `PATH`) with a timeout of ten minutes and the variables of `env`
    /// that every tool gets.
    pub fn new(program: impl Into<PathBuf>, env: &Env) -> Self {
        let shared = SHARED_VARIABLES
            .iter()
            .chain(PROXY_VARIABLES)
            .filter_map(|name| Some((*name, env.get(name)?)));
        Self {
            program: program.into(),
            args: Vec::new(),
            env: shared
                .map(|(name, value)| (name.to_owned(), value.into()))
                .collect(),
            directory: None,
            timeout: Duration::from_mins(10),
            captured: CAPTURED,
            is_kept: |_| false,
        }
    }

    /// Add an argument.
    #[must_use]
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    /// Add arguments.
    #[must_use]
    pub fn args<A: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args
            .extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// Set the variable `name` to `value`.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.env.retain(|(other, _)| other != name);
        self.env.push((name.to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Run in `directory`.
    #[must_use]
    pub fn current_directory(mut self, directory: impl AsRef<Path>) -> Self {
        self.directory = Some(directory.as_ref().to_owned());
        self
    }

    /// Kill the tool, with all processes that it started, after `timeout`.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Kill the tool when it prints more than `bytes` that are captured; without this, 32 MiB.
    #[must_use]
    pub fn capture_limit(mut self, bytes: usize) -> Self {
        self.captured = bytes;
        self
    }

    /// Keep the lines of the streamed output that `is_kept` selects, wherever they are.
    #[must_use]
    pub fn keep(mut self, is_kept: fn(&str) -> bool) -> Self {
        self.is_kept = is_kept;
        self
    }

    /// The program and its arguments, for tests.
    pub fn argv(&self) -> Vec<String> {
        let program = self.program.to_string_lossy().into_owned();
        std::iter::once(program)
            .chain(
                self.args
                    .iter()
                    .map(|arg| arg.to_string_lossy().into_owned()),
            )
            .collect()
    }

    /// The program's name, for messages.
    pub fn name(&self) -> String {
        let name = self.program.file_name().unwrap_or(self.program.as_os_str());
        name.to_string_lossy().into_owned()
    }

    /// Run it; both streams go to `log` inside a group called `title`, where workflow commands are
    /// inert. Of an endless output the start is shown, and the rest is counted.
    ///
    /// # Errors
    /// When it can't be started or times out. A non-zero exit code is not an error here.
    pub async fn stream(&self, log: &Log, title: &str) -> anyhow::Result<Finished> {
        let _group = log.group(title);
        with_progress(log, title, self.run(log, false)).await
    }

    /// Run it; standard output is captured, and standard error goes to `log` inside a group.
    ///
    /// # Errors
    /// As [`Tool::stream`], and when the output exceeds the limit.
    pub async fn capture(&self, log: &Log, title: &str) -> anyhow::Result<Finished> {
        let _group = log.group(title);
        with_progress(log, title, self.run(log, true)).await
    }

    async fn run(&self, log: &Log, capture: bool) -> anyhow::Result<Finished> {
        let mut command = Command::new(&self.program);
        command
            .args(&self.args)
            .env_clear()
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .process_group(0);
        if let Some(directory) = &self.directory {
            command.current_dir(directory);
        }
        let name = self.name();
        let child = command
            .spawn()
            .with_context(|| format!("failed to start `{name}`; is it installed and in PATH?"))?;
        let mut group = Group(child);
        let (Some(stdout), Some(stderr)) = (group.0.stdout.take(), group.0.stderr.take()) else {
            bail!("failed to start `{name}`: its output could not be connected");
        };

        let stopped = log.stop_commands();
        let output = RefCell::new(Output::default());
        let show = |line: String| {
            let mut output = output.borrow_mut();
            if output.shown.admits(&line) {
                stopped.raw(&line);
            }
            if (self.is_kept)(&line) && output.kept.len() < KEPT {
                output.kept.push(line.clone());
            }
            output.keep(line);
        };
        let mut captured = Vec::new();
        let work = async {
            let out = async {
                if capture {
                    let limit = self.captured;
                    let mut stdout = stdout.take(limit as u64 + 1);
                    stdout.read_to_end(&mut captured).await?;
                    if captured.len() > limit {
                        let mib = limit.div_ceil(MIB);
                        bail!(
                            "it printed more than {mib} MiB to its standard output and was stopped"
                        );
                    }
                    Ok(())
                } else {
                    each_line(stdout, &show).await
                }
            };
            tokio::try_join!(out, each_line(stderr, &show))
                .with_context(|| format!("failed to read the output of `{name}`"))?;
            group
                .0
                .wait()
                .await
                .with_context(|| format!("failed to wait for `{name}`"))
        };
        let status = tokio::time::timeout(self.timeout, work).await;
        let Output { tail, kept, shown } = output.into_inner();
        if let Some(note) = shown.omitted() {
            stopped.raw(&note);
        }
        let status = match status {
            Ok(status) => status?,
            Err(_) => bail!(
                "`{name}` timed out after {} s and was stopped",
                self.timeout.as_secs()
            ),
        };
        Ok(Finished {
            status,
            stdout: captured,
            tail: tail.into(),
            kept,
        })
    }
}

/// What is kept and shown of the streamed output.
#[derive(Default)]
struct Output {
    tail: VecDeque<String>,
    kept: Vec<String>,
    shown: Shown,
}

impl Output {
    fn keep(&mut self, line: String) {
        if self.tail.len() == TAIL {
            self.tail.pop_front();
        }
        self.tail.push_back(line);
    }
}

/// The process group of a tool: if this is dropped before the tool exits, all processes of the group are killed.
struct Group(Child);

impl Drop for Group {
    fn drop(&mut self) {
        // A tool that was waited for has no id; until then its id is not reused.
        let id = self.0.id().and_then(|id| i32::try_from(id).ok());
        if let Some(group) = id.and_then(Pid::from_raw) {
            // It fails when the group has no processes left.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

// Output that is not UTF-8 is shown with replacement characters rather than lost.
async fn each_line(
    mut stream: impl AsyncRead + Unpin,
    show: &impl Fn(String),
) -> anyhow::Result<()> {
    let (mut chunk, mut lines) = (vec![0; CHUNK], Lines::default());
    loop {
        let read = stream.read(&mut chunk).await?;
        if read == 0 {
            break;
        }
        lines.push(&chunk[..read], show);
    }
    lines.finish().into_iter().for_each(show);
    Ok(())
}

#[cfg(test)]
mod tests;
