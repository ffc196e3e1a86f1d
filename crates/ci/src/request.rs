//! The request: the inputs after every check that is possible without starting anything.

pub(crate) mod agents;
pub(crate) mod application;
mod attributes;
pub(crate) mod build;
pub(crate) mod builder;
pub(crate) mod cache;
pub(crate) mod compose;
pub(crate) mod cpus;
pub(crate) mod dependencies;
pub(crate) mod environment;
pub(crate) mod linting;
pub(crate) mod memory;
pub(crate) mod path;
mod push;
pub(crate) mod secrets;
pub(crate) mod services;
mod size;
pub(crate) mod smoke;
pub(crate) mod tags;
pub(crate) mod test_stage;
mod words;
mod yaml;

use std::sync::Arc;
use std::time::Duration;

use actions_toolkit::{Context, FileClaim, Secret, Workspace, WorkspacePath};
use github::GitHubInputs;
use registries::{Application, Registries};

pub(crate) use build::Build;
pub(crate) use builder::Builder;
pub(crate) use compose::Compose;
pub(crate) use dependencies::LockFile;
pub(crate) use linting::Linting;
pub(crate) use push::Push;
pub(crate) use services::Service;
pub(crate) use smoke::{HealthTarget, Smoke};
pub(crate) use tags::Names;
pub(crate) use test_stage::{TestImage, Tests};

use crate::action::Inputs;

/// What the step does, valid by its types.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) workspace: Workspace,
    pub(crate) build: Build,
    pub(crate) names: Names,
    pub(crate) registries: Registries,
    pub(crate) push: Push,
    pub(crate) push_timeout: Duration,
    /// `None` for `test-target: none`.
    pub(crate) tests: Option<Tests>,
    pub(crate) linting: Option<Linting>,
    pub(crate) dependencies: Option<LockFile>,
    /// `None` for `health-path: none`.
    pub(crate) smoke: Option<Smoke>,
    /// For the tests and the smoke test.
    pub(crate) services: Vec<Service>,
    /// Until all of them are healthy.
    pub(crate) services_timeout: Duration,
    pub(crate) sarif_file: WorkspacePath,
    /// No other step writes them.
    pub(crate) _files: Arc<FileClaim>,
    /// What identifies the comment of this step, and starts the categories of its findings.
    pub(crate) category: String,
    pub(crate) github: GitHubInputs,
    /// The token for recording what is pushed, if that is requested.
    pub(crate) records: Option<Secret>,
}

/// What a run takes beyond its timeouts: pulling images, a vulnerability database.
const MARGIN: Duration = Duration::from_hours(2);

impl Request {
    /// The longest time that the run takes until its clean-up.
    pub(crate) fn lifetime(&self) -> Duration {
        let tests = self.tests.as_ref().map(|tests| tests.timeout);
        let linting = self.linting.as_ref().map(|linting| linting.timeout);
        let smoke = self.smoke.as_ref();
        let smoke = smoke.map(|smoke| smoke.timeout * 2 + smoke.stop_timeout);
        // The reports have the same timeout as the tests.
        let checks = [tests, tests, linting, smoke].into_iter().flatten();
        let pushes = u32::try_from(self.names.names.len()).unwrap_or(u32::MAX);
        let pushes = match self.push {
            Push::Yes => self.push_timeout.saturating_mul(pushes),
            Push::No | Push::Skipped(_) => Duration::ZERO,
        };
        (self.build.timeout + self.services_timeout) * 2
            + checks.sum::<Duration>()
            + pushes
            + MARGIN
    }

    /// Check the inputs of `ctx` against each other and against the workspace.
    pub(crate) async fn read(ctx: &Context) -> anyhow::Result<Self> {
        let mut inputs: Inputs = ctx.read()?;
        let leg = inputs.matrix.in_file_name();
        let files = [&mut inputs.junit_file, &mut inputs.sarif_file];
        let mut files: Vec<_> = files.into_iter().chain(&mut inputs.coverage_file).collect();
        let files = ctx.claim(leg.as_deref(), &mut files);
        // Names and logins are rejected before a file is looked at.
        let names = Names::new(&inputs.image, &inputs.tags, &ctx.github())?;
        let application = Application::new(&inputs.entra)?;
        let token = inputs.github.token.as_ref().map(|token| &token.0);
        let registries = Registries::new(ctx, &inputs.registries, application.as_ref(), token)?;
        let push = Push::new(ctx, &inputs, &registries, &names.names);
        let records = push::records(&inputs)?;
        let stages = build::stages(ctx, &inputs)?;
        let compose = Compose::read(ctx, &inputs)?;
        let application = compose.application.as_ref();
        let mut tests = Tests::new(ctx, &inputs, &stages, application)?;
        let smoke = Smoke::new(&inputs, application)?;
        let services = services::all(inputs.services.0.clone(), compose.services)?;
        if let Some(tests) = &mut tests {
            tests.application = application::host(tests, smoke.as_ref(), &services);
        }
        size::check(ctx, &inputs).await?;
        Ok(Self {
            category: category(ctx, &inputs),
            workspace: ctx.workspace()?,
            build: Build::new(ctx, &inputs, &names, &stages)?,
            names,
            registries,
            push,
            push_timeout: inputs.push_timeout.0,
            linting: Linting::new(&inputs, tests.is_some()),
            tests,
            dependencies: LockFile::new(ctx, &inputs)?,
            smoke,
            services,
            services_timeout: inputs.services_timeout.0,
            sarif_file: inputs.sarif_file.into_path(),
            _files: Arc::new(files),
            records,
            github: inputs.github,
        })
    }
}

// The job, the leg of its matrix, and the build context, of which a repository and a job may have several; then the step, of
// which a job may have several for one context.
fn category(ctx: &Context, inputs: &Inputs) -> String {
    let job = github::job_category(&ctx.github(), &inputs.matrix);
    let category = match inputs.context.relative() {
        "" => job,
        context => format!("{job}/{context}"),
    };
    match github::step_name(ctx.env()) {
        Some(step) => format!("{category}/{step}"),
        None => category,
    }
}

#[cfg(test)]
mod tests;
