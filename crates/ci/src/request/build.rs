//! What is built: context, Dockerfile, image, arguments, labels and cache.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use actions_toolkit::{BadInput, Context, Scope, Secret, Value};
use docker::{BuildSecrets, Cache, Dockerfile, SshAgents, context_size};
use oci::ImageRef;

use super::agents;
use super::builder::Builder;
use super::cache::CachePlace;
use super::path::relative;
use super::tags::Names;
use crate::action::Inputs;

/// Bytes of a secret (github.com/moby/buildkit, `session/secrets/secretsprovider`).
const SECRET_LIMIT: u64 = 500 * 1024;
const MEGABYTE: u64 = 1_000_000;
/// Bytes of the largest Dockerfile that is read.
pub(crate) const DOCKERFILE_LIMIT: usize = 4 * limits::MIB;

/// The builds of the test stage and of the image.
#[derive(Debug, Clone)]
pub(crate) struct Build {
    pub(crate) context: PathBuf,
    /// Relative to the context.
    pub(crate) dockerfile: String,
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
            dockerfile: relative(Inputs::dockerfile, &inputs.dockerfile)?,
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

/// The stages of the Dockerfile; `target` is one of them.
pub(super) fn stages(inputs: &Inputs) -> Result<Dockerfile, BadInput> {
    inputs.context.directory()?;
    let dockerfile = relative(Inputs::dockerfile, &inputs.dockerfile)?;
    let bad = |problem| BadInput::new(Inputs::dockerfile, problem);
    let directory = inputs.context.absolute();
    let text = limits::read_text(&directory, dockerfile.as_ref(), DOCKERFILE_LIMIT);
    let text = text.map_err(|e| {
        let context = inputs.context.given();
        bad(format!("`{dockerfile}` in `{context}` cannot be read: {e}"))
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

/// Reject a context that is larger than `context-limit`.
pub(super) async fn check_size(ctx: &Context, inputs: &Inputs) -> anyhow::Result<()> {
    let bad = |problem| BadInput::new(Inputs::context, problem);
    let limit = inputs.context_limit;
    let dockerfile = relative(Inputs::dockerfile, &inputs.dockerfile)?;
    let context = inputs.context.absolute();
    // A context may have a million files.
    let is_canceled = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&is_canceled);
    let size = tokio::task::spawn_blocking(move || {
        context_size(&context, &dockerfile, || flag.load(Ordering::Relaxed))
    });
    let size = tokio::select! {
        size = size => size?,
        cancelled = ctx.cancelled() => {
            is_canceled.store(true, Ordering::Relaxed);
            return Err(cancelled.into());
        }
    };
    let (size, largest) = size.map_err(|e| bad(format!("cannot be read: {e:#}")))?;
    if size <= limit.saturating_mul(MEGABYTE) {
        return Ok(());
    }
    let largest = largest.map(|(path, bytes)| {
        let megabytes = bytes.div_ceil(MEGABYTE);
        format!(" (largest file: `{}`, {megabytes} MB)", path.display())
    });
    Err(bad(format!(
        "build context is {} MB, over the `context-limit` of {limit} MB{}; exclude files with a `.dockerignore`",
        size.div_ceil(MEGABYTE),
        largest.unwrap_or_default()
    ))
    .into())
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
