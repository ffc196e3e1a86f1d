//! What is asked of the action, valid by its types.

mod more;
mod secrets;

use std::num::NonZeroU16;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use actions_toolkit::{BadInput, Context, Secret};
use docker::{BuildSecrets, Cache, Dockerfile};
use oci::ImageRef;
use trivy::{DatabaseRequest, Severity};

use crate::analysis::Linter;
use crate::junit::Junit;

/// The inputs after every check that can be made without starting anything.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    /// The folder of the checkout.
    pub(crate) workspace: PathBuf,
    /// The folder of the build context.
    pub(crate) context: PathBuf,
    /// The Dockerfile's path in the context.
    pub(crate) dockerfile: String,
    /// The name of the image.
    pub(crate) image: ImageRef,
    /// The stage to build, if not the last one.
    pub(crate) target: Option<String>,
    /// Build arguments.
    pub(crate) build_args: Vec<(String, String)>,
    /// What the build's steps may mount as a secret.
    pub(crate) secrets: BuildSecrets,
    /// Labels that say where the image comes from.
    pub(crate) labels: Vec<(String, String)>,
    /// Where steps that were built before may come from.
    pub(crate) cache: Cache,
    /// Limit of each build.
    pub(crate) build_timeout: Duration,
    /// The tests, if any are to run.
    pub(crate) tests: Option<Tests>,
    /// The linters, if any are to run.
    pub(crate) linting: Option<Linting>,
    /// The lock file, if one is to be scanned.
    pub(crate) dependencies: Option<LockFile>,
    /// The smoke test, if there is to be one.
    pub(crate) smoke: Option<Smoke>,
    /// Where the SARIF file is put, relative to the workspace.
    pub(crate) sarif_file: String,
    /// What GitHub is to be told.
    pub(crate) github: GitHubRequest,
}

/// What GitHub is to be told.
#[derive(Debug, Clone)]
pub(crate) struct GitHubRequest {
    /// The token, if there is one.
    pub(crate) token: Option<Secret>,
    /// Whether the findings go to the Security tab.
    pub(crate) upload: bool,
    /// Whether a pull request gets a comment.
    pub(crate) comment: bool,
}

/// Which linters run, and what fails.
#[derive(Debug, Clone)]
pub(crate) struct Linting {
    /// The linters.
    pub(crate) linters: Vec<&'static Linter>,
    /// Whether each of them has to be there.
    pub(crate) required: bool,
    /// The lowest level that fails, as a severity; `None` for never.
    pub(crate) fail_on: Option<Severity>,
    /// Limit of the run.
    pub(crate) timeout: Duration,
}

/// Which packages are scanned, and what fails.
#[derive(Debug, Clone)]
pub(crate) struct LockFile {
    /// The lock file, relative to the workspace.
    pub(crate) lock_file: String,
    /// The lowest severity that fails; `None` for never.
    pub(crate) fail_on: Option<Severity>,
    /// An image that has Trivy, by digest.
    pub(crate) trivy_image: Option<ImageRef>,
    /// The vulnerability database.
    pub(crate) database: DatabaseRequest,
}

/// How the tests are run.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Tests {
    /// The stage whose command runs them.
    pub(crate) target: String,
    /// Where they leave their report, in the container.
    pub(crate) junit_path: String,
    /// Where the report is put, relative to the workspace.
    pub(crate) junit_file: String,
    /// Where they leave their coverage report, in the container.
    pub(crate) coverage_path: String,
    /// Share of the code in percent that they have to run.
    pub(crate) min_coverage: Option<f64>,
    /// The report of the base branch.
    pub(crate) baseline: Option<Junit>,
    /// Limit of the run.
    pub(crate) timeout: Duration,
}

/// How the application is asked whether it serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Smoke {
    /// The path of the request.
    pub(crate) path: String,
    /// The application's port, if not the one that the image exposes.
    pub(crate) port: Option<u16>,
    /// Limit until it is healthy.
    pub(crate) timeout: Duration,
    /// Time that it has to end after SIGTERM.
    pub(crate) grace: Duration,
}

impl Request {
    /// Check the inputs of `ctx` against each other and against the workspace.
    pub(crate) fn read(ctx: &Context) -> Result<Self, BadInput> {
        let inputs = ctx.inputs();
        let image = image(inputs.required("image")?)?;
        let context = ctx.path("context")?;
        if !context.is_dir() {
            let given = inputs.required("context")?;
            return Err(BadInput::new(
                "context",
                format!("there is no folder `{given}` in the workspace"),
            ));
        }
        let dockerfile = relative("dockerfile", inputs.required("dockerfile")?)?;
        let text = std::fs::read_to_string(context.join(&dockerfile)).map_err(|e| {
            let place = inputs.text("context").unwrap_or_default();
            BadInput::new(
                "dockerfile",
                format!("`{dockerfile}` in `{place}` cannot be read: {e}"),
            )
        })?;
        let stages = Dockerfile::parse(&text);
        if stages.is_empty() {
            return Err(BadInput::new(
                "dockerfile",
                format!("`{dockerfile}` has no FROM instruction"),
            ));
        }
        let target = inputs.text("target").map(ToOwned::to_owned);
        if let Some(target) = target.as_deref().filter(|target| !stages.has(target)) {
            return Err(no_stage("target", target, &dockerfile, &stages, ""));
        }
        let tests = match inputs.required("test-target")? {
            "none" => None,
            target if !stages.has(target) => {
                let cure = "; `none` builds without tests";
                return Err(no_stage("test-target", target, &dockerfile, &stages, cure));
            }
            target => Some(Tests {
                target: target.to_owned(),
                junit_path: absolute("junit-path", inputs.required("junit-path")?)?,
                junit_file: relative("junit-file", inputs.required("junit-file")?)?,
                coverage_path: absolute("coverage-path", inputs.required("coverage-path")?)?,
                min_coverage: more::share(inputs)?,
                baseline: more::baseline(ctx)?,
                timeout: inputs.duration("test-timeout")?,
            }),
        };
        let smoke = match inputs.required("health-path")? {
            "none" => None,
            path => Some(Smoke {
                path: absolute("health-path", path)?,
                port: inputs.parse::<NonZeroU16>("port")?.map(NonZeroU16::get),
                timeout: inputs.duration("smoke-timeout")?,
                grace: inputs.duration("stop-timeout")?,
            }),
        };
        more::small_enough(inputs, &context, &dockerfile)?;
        let linting = match &tests {
            Some(tests) => more::linting(inputs, tests.timeout)?,
            // Without a test stage there is no environment to look in, and the linters of one's own are named.
            None if inputs.text("static-analysis") == Some("auto") => None,
            None => more::linting(inputs, inputs.duration("test-timeout")?)?,
        };
        Ok(Self {
            workspace: ctx.github().workspace()?,
            context,
            dockerfile,
            image,
            target,
            build_args: build_args(&inputs.lines("build-args"))?,
            secrets: secrets::read(inputs, ctx.log())?,
            labels: more::labels(ctx)?,
            cache: more::cache(inputs)?,
            linting,
            dependencies: more::dependencies(ctx)?,
            sarif_file: relative("sarif-file", inputs.required("sarif-file")?)?,
            github: GitHubRequest {
                token: inputs.secret("token", ctx.log()),
                upload: inputs.flag("upload")?,
                comment: inputs.flag("comment")?,
            },
            build_timeout: inputs.duration("build-timeout")?,
            tests,
            smoke,
        })
    }
}

fn image(given: &str) -> Result<ImageRef, BadInput> {
    let image: ImageRef = given
        .parse()
        .map_err(|e| BadInput::new("image", format!("`{given}`: {e}")))?;
    if image.digest().is_some() {
        return Err(BadInput::new(
            "image",
            format!("`{given}` has a digest, which only a build can give"),
        ));
    }
    if image.tag().is_none() {
        return Err(BadInput::new(
            "image",
            format!("`{given}` has no tag; write it as `name:tag`"),
        ));
    }
    Ok(image)
}

fn no_stage(input: &str, target: &str, file: &str, stages: &Dockerfile, cure: &str) -> BadInput {
    let names = stages.names();
    BadInput::new(
        input,
        format!("`{file}` has no stage `{target}`; its stages: {names}{cure}"),
    )
}

fn relative(input: &str, given: &str) -> Result<String, BadInput> {
    let parts = Path::new(given)
        .components()
        .filter(|part| *part != Component::CurDir);
    let path: PathBuf = parts.clone().collect();
    match path.to_str() {
        Some(path)
            if !path.is_empty() && parts.clone().all(|p| matches!(p, Component::Normal(_))) =>
        {
            Ok(path.to_owned())
        }
        _ => Err(BadInput::new(
            input,
            format!("`{given}` must be a relative path without `..`"),
        )),
    }
}

fn absolute(input: &str, given: &str) -> Result<String, BadInput> {
    let plain = !given.contains(|c: char| c.is_whitespace() || c.is_control());
    if given.starts_with('/') && plain {
        Ok(given.to_owned())
    } else {
        Err(BadInput::new(
            input,
            format!("`{given}` must start with `/` and have no blanks"),
        ))
    }
}

fn build_args(lines: &[&str]) -> Result<Vec<(String, String)>, BadInput> {
    let mut args: Vec<(String, String)> = Vec::new();
    for line in lines {
        let (name, value) = line.split_once('=').ok_or_else(|| {
            BadInput::new(
                "build-args",
                format!("line `{line}` is not of the form `NAME=value`"),
            )
        })?;
        let mut letters = name.chars();
        let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if !letters
            .next()
            .is_some_and(|c| word(c) && !c.is_ascii_digit())
            || !letters.all(word)
        {
            return Err(BadInput::new(
                "build-args",
                format!("`{name}` is no name of a build argument"),
            ));
        }
        if args.iter().any(|(known, _)| known == name) {
            return Err(BadInput::new(
                "build-args",
                format!("`{name}` is given twice"),
            ));
        }
        args.push((name.to_owned(), value.to_owned()));
    }
    Ok(args)
}

#[cfg(test)]
mod tests;
