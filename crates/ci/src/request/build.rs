//! What is built: context, Dockerfile, image, arguments, labels and cache.

use std::path::{Path, PathBuf};
use std::time::Duration;

use actions_toolkit::{BadInput, Context, Scope, Secret, Value, Workspace};
use docker::{BuildSecrets, Cache, Dockerfile, SshAgents};
use oci::ImageRef;

use super::agents;
use super::builder::Builder;
use super::cache::CachePlace;
use super::path::DockerfilePath;
use super::tags::Names;
use crate::action::Inputs;

/// Bytes of a secret (github.com/moby/buildkit, `session/secrets/secretsprovider`).
const SECRET_LIMIT: u64 = 500 * 1024;
/// Bytes of the largest Dockerfile that is read.
pub(crate) const DOCKERFILE_LIMIT: usize = 4 * limits::MIB;

/// The builds of the test stage and of the image.
#[derive(Debug, Clone)]
pub(crate) struct Build {
    pub(crate) context: PathBuf,
    pub(crate) dockerfile: DockerfilePath,
    /// The first of its names, or the one without a tag if no tag applies to the run.
    pub(crate) image: ImageRef,
    /// The images of `FROM` instructions, without those of a build argument.
    pub(crate) bases: Vec<ImageRef>,
    /// Base images with a digest, and the lines of their `FROM`.
    pub(crate) pinned: Vec<(ImageRef, u32)>,
    /// `None` for the last stage.
    pub(crate) target: Option<String>,
    pub(crate) args: Vec<(String, String)>,
    pub(crate) secrets: BuildSecrets,
    pub(crate) ssh: SshAgents,
    pub(crate) labels: Vec<(String, String)>,
    pub(crate) cache: Cache,
    /// `None` for Docker's own BuildKit.
    pub(crate) builder: Option<Builder>,
    /// Of each build.
    pub(crate) timeout: Duration,
}

impl Build {
    pub(super) fn new(
        ctx: &Context,
        inputs: &Inputs,
        names: &Names,
        stages: &Dockerfile,
    ) -> Result<Self, BadInput> {
        Ok(Self {
            context: inputs.context.absolute(),
            dockerfile: DockerfilePath::of(inputs)?,
            image: names.names.first().unwrap_or(&inputs.image).clone(),
            bases: bases(stages),
            pinned: pinned(stages),
            target: inputs.target.clone(),
            args: args(&inputs.build_args)?,
            secrets: secrets(ctx, inputs)?,
            ssh: agents::agents(ctx, &inputs.ssh)?,
            labels: labels(ctx, &inputs.labels),
            cache: cache(inputs),
            builder: Builder::new(ctx, inputs)?,
            timeout: inputs.build_timeout.0,
        })
    }
}

fn bases(stages: &Dockerfile) -> Vec<ImageRef> {
    let images = stages.bases().filter(|(from, _)| !stages.has(from));
    images.filter_map(|(from, _)| from.parse().ok()).collect()
}

fn pinned(stages: &Dockerfile) -> Vec<(ImageRef, u32)> {
    let images = stages.bases().filter_map(|(from, line)| {
        let image: ImageRef = from.parse().ok()?;
        image.digest()?;
        Some((image, line))
    });
    images.collect()
}

/// A line of `build-args`.
#[derive(Debug, Clone)]
pub(crate) struct BuildArg(String, String);

impl Value for BuildArg {
    fn parse(line: &str, _: &Scope<'_>) -> Result<Self, String> {
        let (name, value) = line
            .split_once('=')
            .ok_or_else(|| format!("line `{line}` is not of the form `NAME=value`"))?;
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let starts_well = name.starts_with(|c: char| is_word(c) && !c.is_ascii_digit());
        if !starts_well || !name.chars().all(is_word) {
            return Err(format!("`{name}` is not a valid name of a build argument"));
        }
        Ok(Self(name.to_owned(), value.to_owned()))
    }
}

/// A line of `labels`.
#[derive(Debug, Clone)]
pub(crate) struct Label(String, String);

impl Value for Label {
    fn parse(line: &str, _: &Scope<'_>) -> Result<Self, String> {
        let (key, value) = line
            .split_once('=')
            .filter(|(key, _)| !key.is_empty() && !key.contains(char::is_whitespace))
            .ok_or_else(|| format!("line `{line}` is not of the form `key=value`"))?;
        Ok(Self(key.to_owned(), value.to_owned()))
    }
}

// The value of `dockerfile` that is meant, if it is relative to the workspace, as docker/build-push-action has it.
fn of_workspace(workspace: &Workspace, inputs: &Inputs) -> Option<String> {
    let depth = inputs.context.relative().split('/');
    let up = depth.filter(|part| !part.is_empty()).map(|_| "../");
    let text = up.collect::<String>() + &inputs.dockerfile;
    let path = DockerfilePath::new(Inputs::dockerfile, &text, &inputs.context).ok()?;
    let exists = workspace.root().join(&path.in_workspace).is_file();
    exists.then_some(path.in_context)
}

/// The stages of the Dockerfile; `target` is one of them.
pub(super) fn stages(ctx: &Context, inputs: &Inputs) -> Result<Dockerfile, BadInput> {
    inputs.context.directory()?;
    let dockerfile = DockerfilePath::of(inputs)?.in_context;
    let bad = |problem| BadInput::new(Inputs::dockerfile, problem);
    let (workspace, context) = (ctx.workspace()?, inputs.context.absolute());
    // Links may lead as far as the path does.
    let root: &Path = if dockerfile.starts_with("../") {
        workspace.root()
    } else {
        &context
    };
    let text = limits::read_text(root, &context.join(&dockerfile), DOCKERFILE_LIMIT);
    let text = text.map_err(|e| {
        let context = inputs.context.given();
        let hint = of_workspace(&workspace, inputs)
            .map(|path| format!("; it is relative to `context`: write `{path}`"));
        bad(format!(
            "`{dockerfile}` in `{context}` cannot be read: {e}{}",
            hint.unwrap_or_default()
        ))
    })?;
    let stages = Dockerfile::parse(&text);
    if stages.is_empty() {
        return Err(bad(format!("`{dockerfile}` has no FROM instruction")));
    }
    match &inputs.target {
        Some(target) if !stages.has(target) => {
            Err(no_stage(Inputs::target, target, &dockerfile, &stages, ""))
        }
        _ => Ok(stages),
    }
}

pub(super) fn no_stage(
    input: &str,
    target: &str,
    dockerfile: &str,
    stages: &Dockerfile,
    hint: &str,
) -> BadInput {
    let names = stages.names();
    let problem = format!("`{dockerfile}` has no stage `{target}`; its stages: {names}{hint}");
    BadInput::new(input, problem)
}

fn args(lines: &[BuildArg]) -> Result<Vec<(String, String)>, BadInput> {
    let mut args: Vec<(String, String)> = Vec::new();
    for BuildArg(name, value) in lines {
        if args.iter().any(|(known, _)| known == name) {
            let problem = format!("`{name}` is set twice");
            return Err(BadInput::new(Inputs::build_args, problem));
        }
        args.push((name.clone(), value.clone()));
    }
    Ok(args)
}

// What Docker's own BuildKit does; another one gets the lines themselves.
fn cache(inputs: &Inputs) -> Cache {
    let images = inputs
        .cache_from
        .iter()
        .filter_map(|line| match &line.place {
            CachePlace::Registry(image) => Some(image.to_string()),
            _ => None,
        });
    Cache {
        from: images.collect(),
        inline: inputs
            .cache_to
            .iter()
            .any(|line| line.place == CachePlace::Inline),
        none: inputs.no_cache,
    }
}

// `build-secrets` and `secret-files`.
fn secrets(ctx: &Context, inputs: &Inputs) -> Result<BuildSecrets, BadInput> {
    let mut secrets = inputs.build_secrets.0.clone();
    for file in &inputs.secret_files {
        if secrets.has(&file.id) {
            let problem = format!("`{}` is set twice", file.id);
            return Err(BadInput::new(Inputs::secret_files, problem));
        }
        let secret = Secret::new(file.path.read(SECRET_LIMIT)?, ctx.log());
        secrets = secrets.with(file.id.clone(), secret.expose().as_bytes().to_vec());
    }
    Ok(secrets)
}

// Commit and repository, and what `labels` adds or overrides.
//
// Keys: github.com/opencontainers/image-spec/blob/main/annotations.md. There is no `created`: it would give every
// build of the same commit another id.
fn labels(ctx: &Context, lines: &[Label]) -> Vec<(String, String)> {
    let github = ctx.github();
    let source = github
        .repository()
        .map(|name| format!("{}/{name}", github.server_url()));
    let revision = github.sha().map(ToOwned::to_owned);
    let mut labels: Vec<(String, String)> = [("revision", revision), ("source", source)]
        .into_iter()
        .filter_map(|(key, value)| Some((format!("org.opencontainers.image.{key}"), value?)))
        .collect();
    for Label(key, value) in lines {
        labels.retain(|(known, _)| known != key);
        labels.push((key.clone(), value.clone()));
    }
    labels
}
