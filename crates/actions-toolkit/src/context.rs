//! What an action works with: inputs, environment, log, report.

use std::fmt::Display;
use std::path::PathBuf;

use tokio::sync::watch;

use crate::{BadInput, Cancelled, Env, GithubEnv, InputSet, Inputs, Log, Report, Scope, Workspace};

/// Inputs, environment, log and report of a run.
pub struct Context {
    env: Env,
    inputs: Inputs,
    log: Log,
    report: Report,
    stop: watch::Receiver<Option<&'static str>>,
    http: std::sync::OnceLock<http_client::Client>,
}

impl Context {
    /// A context of the given parts; `stop` turns to the name of the signal that ends the run.
    pub fn new(
        env: Env,
        inputs: Inputs,
        log: Log,
        stop: watch::Receiver<Option<&'static str>>,
    ) -> Self {
        Self {
            env,
            inputs,
            log,
            report: Report::default(),
            stop,
            http: std::sync::OnceLock::new(),
        }
    }

    /// The environment as it was at the start.
    pub fn env(&self) -> &Env {
        &self.env
    }

    /// The inputs by their types.
    ///
    /// # Errors
    /// [`BadInput`] for the first that is invalid.
    pub fn read<T: InputSet>(&self) -> Result<T, BadInput> {
        let workspace = self.workspace()?;
        T::read(&self.inputs, &Scope::new(&self.log, &workspace))
    }

    /// The texts of the inputs that are neither secret nor one of `others`, a line each: what a result may depend on.
    pub fn input_texts(&self, others: &[&str]) -> String {
        self.inputs.texts(others)
    }

    /// The workspace.
    ///
    /// # Errors
    /// [`BadInput`] when it is unavailable.
    pub fn workspace(&self) -> Result<Workspace, BadInput> {
        let workspace = Workspace::new(self.github().workspace()?);
        Ok(workspace.with_redactor(self.log.redactor().clone()))
    }

    /// The log.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// The outputs and the summary.
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// The facts of the run, from the runner.
    pub fn github(&self) -> GithubEnv<'_> {
        GithubEnv(&self.env)
    }

    /// Set an output.
    pub fn output(&self, name: &'static str, value: impl Display) {
        self.report.output(name, value);
    }

    /// Add Markdown, already escaped, to the job summary.
    pub fn summary(&self, markdown: impl AsRef<str>) {
        self.report.summary(markdown);
    }

    /// The shared HTTP client, made at the first call.
    ///
    /// # Errors
    /// When the system's certificates cannot be loaded.
    pub fn http(&self) -> anyhow::Result<&http_client::Client> {
        if let Some(client) = self.http.get() {
            return Ok(client);
        }
        let client = http_client::Client::new()?;
        Ok(self.http.get_or_init(|| client))
    }

    /// Make the client of [`Context::http`] on another thread: the certificates of the system take some ten milliseconds, which
    /// pass while the run waits for something else. What fails here fails again in [`Context::http`].
    pub async fn prepare_http(&self) {
        if self.http.get().is_some() {
            return;
        }
        let made = tokio::task::spawn_blocking(http_client::Client::new).await;
        if let Ok(Ok(client)) = made {
            // Another one may have been made in the meantime.
            let _ = self.http.set(client);
        }
    }

    /// Resolves when the run is to stop (SIGTERM or SIGINT). An action that holds something to
    /// clean up races its work against this, cleans up, and returns the error. There are
    /// about seven seconds until the runner kills the process.
    pub async fn cancelled(&self) -> Cancelled {
        let mut stop = self.stop.clone();
        match stop.wait_for(Option::is_some).await {
            Ok(signal) => Cancelled(signal.unwrap_or("a signal")),
            // The sender is gone: nothing can stop the run any more.
            Err(_) => std::future::pending().await,
        }
    }

    /// The directory of [`Env::temp_dir`]. Files go into a [private directory](Context::private_directory) in it.
    pub fn temp_dir(&self) -> PathBuf {
        self.env.temp_dir()
    }
}
