//! The request: inputs and manifests, checked before anything is started.

use std::time::Duration;

use actions_toolkit::{BadInput, Context, Scope, Secret, Value, WorkspacePath, both};
use http_client::{Certificates, Url};
use oci::{Credentials, ImageRef};

use crate::action::Inputs;
use crate::kubernetes::{ApplySet, DEFAULT_NAMESPACE};
use crate::manifests::{ImageNames, Manifests, Namespace, Variables};
use crate::rollout::Limits;
use crate::steps::health;

mod canary;
pub(crate) mod helm;
pub(crate) mod kustomize;
mod manifest_paths;
mod offline_tool;
mod preview;
mod stage;
mod target;

pub(crate) use crate::action::Access;
pub(crate) use canary::{Canary, Share};
pub(crate) use helm::Chart;
use kustomize::RemoteBases;
pub(crate) use preview::{LABEL as PREVIEW_LABEL, Preview, PreviewInput};
pub(crate) use stage::Stage;
pub(crate) use target::{AzureTarget, ClusterTarget, RegistryTarget, Target};

/// A deployment, valid by its types.
pub(crate) struct Request {
    /// The image, in Docker or in a registry.
    pub(crate) image: ImageRef,
    /// The repository of `image` in the registry and in the manifests.
    pub(crate) repository: String,
    /// The names of `image` in the manifests.
    pub(crate) names: ImageNames,
    /// More images, each with its names in the manifests.
    pub(crate) also_deploy: Vec<(ImageRef, ImageNames)>,
    pub(crate) also_push: Vec<ImageRef>,
    /// For the registry that an image is copied from.
    pub(crate) source_credentials: Option<Credentials>,
    pub(crate) target: Target,
    /// The objects, with unresolved placeholders in the variables.
    pub(crate) manifests: Manifests,
    pub(crate) variables: Variables,
    /// The set of the objects, if what is left of the last deployment is removed.
    pub(crate) apply_set: Option<ApplySet>,
    /// Whether the changes are only shown.
    pub(crate) is_dry_run: bool,
    /// The environment on GitHub, and the token for it.
    pub(crate) environment: Option<(String, Secret)>,
    /// The stage that GitHub records what runs under, and the token for it.
    pub(crate) records: Option<(Stage, Secret)>,
    pub(crate) latest: bool,
    /// The token for GitHub.
    pub(crate) token: Option<Secret>,
    pub(crate) preview: Option<Preview>,
    /// The steps before the workloads are changed.
    pub(crate) canary: Option<Canary>,
    pub(crate) health_path: Option<String>,
    /// The port of the Service that is queried.
    pub(crate) health_port: Option<HealthPort>,
    /// Instead of the address of what exposes the application.
    pub(crate) health_url: Option<Url>,
    /// The certificates that the health check accepts.
    pub(crate) health_certificates: Certificates,
    pub(crate) expect_commit: Option<String>,
    pub(crate) timeouts: Timeouts,
}

/// What each wait may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timeouts {
    /// Of each image.
    pub(crate) push: Duration,
    pub(crate) rollout: Limits,
    pub(crate) address: Duration,
    pub(crate) health: Duration,
}

/// An image in Docker: with a tag, and without a digest.
pub(crate) struct TaggedImage(ImageRef);

/// An image to deploy: with a tag or a digest.
pub(crate) struct DeployedImage(ImageRef);

/// A repository without registry, tag and digest.
pub(crate) struct Repository(String);

/// A URL of a web server, without a user.
pub(crate) struct HealthUrl(Url);

/// A path that begins with `/`.
pub(crate) struct HealthPath(String);

/// A port of a Service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum HealthPort {
    Number(u16),
    Name(String),
}

/// What is rendered in place of one of the `manifests`.
#[derive(Debug)]
pub(crate) struct Rendered {
    /// The directory of a kustomization, or a chart.
    pub(crate) path: WorkspacePath,
    /// Its objects as YAML, each text with its name.
    pub(crate) texts: Vec<(String, String)>,
}

/// The inputs, valid by themselves. A chart is rendered with what the cluster is, before there is a request.
pub(crate) struct Draft {
    inputs: Inputs,
    environment: Option<(String, Secret)>,
    records: Option<(Stage, Secret)>,
    variables: Variables,
    namespace: Namespace,
    paths: Vec<WorkspacePath>,
    pub(crate) target: Target,
    pub(crate) chart: Option<Chart>,
    pub(crate) preview: Option<Preview>,
}

impl Draft {
    /// Read and check every input.
    ///
    /// # Errors
    /// [`BadInput`] with the first that is invalid.
    pub(crate) async fn read(ctx: &Context) -> anyhow::Result<Self> {
        let inputs: Inputs = ctx.read()?;
        let environment = with_token(&inputs, Inputs::environment, inputs.environment.as_ref())?;
        let stage = inputs.deployment_record.as_ref();
        let records = with_token(&inputs, Inputs::deployment_record, stage)?;
        let target = Target::from_inputs(&inputs)?;
        let variables = Variables::parse(&inputs.environment_variables)?;
        let preview = Preview::find(ctx, &inputs)?;
        let namespace = match &preview {
            Some(preview) => Namespace {
                input: None,
                context: Some(preview.namespace.clone()),
            },
            None => Namespace {
                input: inputs.namespace.clone(),
                context: target.cluster.namespace(),
            },
        };
        let default = namespace.input.as_ref().or(namespace.context.as_ref());
        let default = default.map_or(DEFAULT_NAMESPACE, String::as_str).to_owned();
        let workspace = ctx.workspace()?;
        let only_removes = preview.as_ref().is_some_and(Preview::only_removes);
        // A checkout may be large.
        let registry = target.registry.clone();
        let read = move || {
            if only_removes {
                // The commit, and the checkout, may no longer be there.
                return Ok((inputs, Vec::new(), None));
            }
            let paths = manifest_paths::expand(&workspace, &inputs.manifests)?;
            let chart = helm::find(&workspace, &inputs, &paths, &registry, &default)?;
            Ok::<_, BadInput>((inputs, paths, chart))
        };
        let (inputs, paths, chart) = tokio::task::spawn_blocking(read).await??;
        Ok(Self {
            inputs,
            environment,
            // A preview goes with its pull request.
            records: records.filter(|_| preview.is_none()),
            variables,
            namespace,
            paths,
            target,
            chart,
            preview,
        })
    }

    /// Whether the changes are only shown.
    pub(crate) fn is_dry_run(&self) -> bool {
        self.inputs.dry_run
    }

    /// The token for GitHub.
    pub(crate) fn token(&self) -> Option<&Secret> {
        self.inputs.token.as_ref().map(|token| &token.0)
    }
}

impl Timeouts {
    fn of(inputs: &Inputs) -> Self {
        Self {
            push: inputs.push_timeout.0,
            rollout: Limits {
                timeout: inputs.rollout_timeout.0,
                restarts: inputs.max_restarts,
            },
            address: inputs.address_timeout.0,
            health: inputs.health_timeout.0,
        }
    }
}

impl Request {
    /// Read the manifests of `draft`, of which `chart` is rendered already, and check them.
    ///
    /// # Errors
    /// [`BadInput`] with the first problem; anything else when kustomize cannot be run.
    pub(crate) async fn read(
        ctx: &Context,
        draft: Draft,
        chart: Option<Rendered>,
    ) -> anyhow::Result<Self> {
        let Draft {
            inputs,
            environment,
            records,
            variables,
            namespace,
            paths,
            target,
            preview,
            chart: _,
        } = draft;
        let canary = Canary::from_inputs(&inputs)?;
        let source_credentials = source_login(&inputs)?;
        let timeouts = Timeouts::of(&inputs);
        let image = inputs.image.0;
        let repository = inputs.repository.map(|repository| repository.0);
        let repository = repository.unwrap_or_else(|| image.repository().to_owned());
        let bases = RemoteBases::new(inputs.remote_bases, inputs.token.as_ref());
        let mut manifests = manifests(ctx, paths, bases, chart, namespace).await?;
        if let Some(preview) = &preview {
            let lines = manifests.move_to(preview);
            for line in lines.map_err(|e| BadInput::new(Inputs::manifests, e))? {
                ctx.log().info(line);
            }
        }
        let names = ImageNames::new(&image, &repository, &target.registry);
        check_named(&manifests, &names, Inputs::image)?;
        if inputs.create_namespace {
            manifests.add_namespaces();
        }
        let also_deploy = inputs.also_deploy.into_iter().map(|image| {
            let names = ImageNames::new(&image.0, image.0.repository(), &target.registry);
            (image.0, names)
        });
        let also_deploy: Vec<_> = also_deploy.collect();
        if canary.is_some() {
            canary::check(manifests.objects(), &names)?;
        }
        check_more(&also_deploy, &repository, &manifests)?;
        if let Some(name) = &inputs.image_pull_secret {
            let registry = pull_login(&target.registry)?;
            let more = also_deploy.iter().map(|(_, names)| names);
            let all: Vec<_> = more.chain([&names]).collect();
            manifests.add_pull_secret(name, registry, &all)?;
        }
        if let Some(port) = &inputs.health_port {
            let is_used = health::check_port(manifests.objects(), &names, port);
            let is_used = is_used.and(match inputs.health_url {
                Some(_) => Err("is not used with `health-url`; leave one of them out".to_owned()),
                None => Ok(()),
            });
            is_used.map_err(|problem| BadInput::new(Inputs::health_port, problem))?;
        }
        manifests.set_variables(&names, &variables);
        if inputs.restart_on_config_change {
            manifests.set_configuration_hashes();
        }
        let apply_set = inputs.prune.then(|| {
            let paths = inputs.manifests.iter();
            // A new version of a chart is the same set.
            let paths = paths.map(manifest_paths::without_version);
            let paths: Vec<_> = paths.collect();
            let from = ctx.github().repository().unwrap_or_default();
            let paths = [&paths[..], inputs.release.as_slice()].concat();
            manifests.make_set(&names, &format!("{from} {}", paths.join(" ")))
        });
        Ok(Self {
            image,
            repository,
            names,
            also_deploy,
            source_credentials,
            also_push: inputs.also_push.into_iter().map(|image| image.0).collect(),
            target,
            manifests,
            variables,
            apply_set,
            is_dry_run: inputs.dry_run,
            environment,
            records,
            // A preview is not what is served.
            latest: inputs.latest && preview.is_none(),
            token: inputs.token.map(|token| token.0),
            preview,
            canary,
            health_path: inputs.health_path.0.map(|path| path.0),
            health_port: inputs.health_port,
            health_url: inputs.health_url.map(|url| url.0),
            health_certificates: if inputs.health_insecure {
                Certificates::Any
            } else {
                Certificates::Verified
            },
            expect_commit: inputs.expect_commit,
            timeouts,
        })
    }

    /// The repository of `image` in the registry: versions of the deployed image go to its repository.
    pub(crate) fn repository_of<'a>(&'a self, image: &'a ImageRef) -> &'a str {
        if image.repository() == self.image.repository() {
            &self.repository
        } else {
            image.repository()
        }
    }
}

// The `value` of the input `name` with the token for GitHub, which it requires.
fn with_token<T: Clone>(
    inputs: &Inputs,
    name: &str,
    value: Option<&T>,
) -> Result<Option<(T, Secret)>, BadInput> {
    let Some(value) = value else {
        return Ok(None);
    };
    let Some(token) = &inputs.token else {
        let problem = format!("is required with `{name}`: `${{{{ github.token }}}}`");
        return Err(BadInput::new(Inputs::token, problem));
    };
    Ok(Some((value.clone(), token.0.clone())))
}

/// The login for the registry that images are copied from.
fn source_login(inputs: &Inputs) -> Result<Option<Credentials>, BadInput> {
    let login = both(
        (Inputs::source_username, inputs.source_username.as_ref()),
        (Inputs::source_password, inputs.source_password.as_ref()),
    )?;
    Ok(login.map(|(username, password)| Credentials {
        username: username.clone(),
        password: password.expose().to_owned(),
    }))
}

// Whether a container has the image; otherwise nothing would be deployed.
fn check_named(manifests: &Manifests, names: &ImageNames, input: &str) -> Result<(), BadInput> {
    if manifests.name(names) {
        return Ok(());
    }
    let (repository, images) = (names.repository(), manifests.images());
    let hint = match images.iter().find(|image| names.is_elsewhere(image)) {
        Some(other) => format!(
            "; `{other}` is an image of another registry: write `{repository}`, or the registry that it is deployed from"
        ),
        None => String::new(),
    };
    let images = images.join(", ");
    let problem = format!(
        "no container of the manifests has an image called `{repository}`; they have: {images}{hint}"
    );
    Err(BadInput::new(input, problem))
}

// Each image has a repository of its own, and a container.
fn check_more(
    more: &[(ImageRef, ImageNames)],
    repository: &str,
    manifests: &Manifests,
) -> Result<(), BadInput> {
    let mut known = vec![repository];
    for (_, names) in more {
        let other = names.repository();
        if known.contains(&other) {
            let problem = format!("there are two images of `{other}`");
            return Err(BadInput::new(Inputs::also_deploy, problem));
        }
        check_named(manifests, names, Inputs::also_deploy)?;
        known.push(other);
    }
    Ok(())
}

// What the Secret for the pods has: a token of Azure is valid for hours, and pods are started at any time.
fn pull_login(registry: &RegistryTarget) -> Result<(&str, &Credentials), BadInput> {
    match registry {
        RegistryTarget::Host {
            host,
            credentials: Some(credentials),
        } => Ok((host, credentials)),
        _ => Err(BadInput::new(
            Inputs::image_pull_secret,
            "requires `username` and `password`, which the pods use; for a registry of Azure give the cluster's identity the role AcrPull",
        )),
    }
}

async fn manifests(
    ctx: &Context,
    paths: Vec<WorkspacePath>,
    bases: RemoteBases<'_>,
    chart: Option<Rendered>,
    namespace: Namespace,
) -> anyhow::Result<Manifests> {
    let workspace = ctx.workspace()?;
    let mut rendered = kustomize::render(ctx, &paths, bases).await?;
    rendered.extend(chart);
    // Large files take seconds.
    let read = move || Manifests::read(&workspace, &paths, &rendered, &namespace);
    Ok(tokio::task::spawn_blocking(read).await??)
}

impl Value for TaggedImage {
    fn parse(text: &str, _: &Scope<'_>) -> Result<Self, String> {
        let image: ImageRef = text.parse().map_err(|e| format!("`{text}`: {e}"))?;
        if image.tag().is_none() || image.digest().is_some() {
            return Err(format!(
                "`{text}` needs a tag and no digest: it is pushed under the tag"
            ));
        }
        Ok(Self(image))
    }
}

impl Value for DeployedImage {
    fn parse(text: &str, _: &Scope<'_>) -> Result<Self, String> {
        let image: ImageRef = text.parse().map_err(|e| format!("`{text}`: {e}"))?;
        if image.tag().is_none() && image.digest().is_none() {
            return Err(format!("`{text}` needs a tag or a digest"));
        }
        Ok(Self(image))
    }
}

impl Value for Repository {
    fn parse(text: &str, _: &Scope<'_>) -> Result<Self, String> {
        let image: ImageRef = text.parse().map_err(|e| format!("`{text}`: {e}"))?;
        if image.repository() != text {
            return Err(format!(
                "`{text}` is more than a repository; use `{}`",
                image.repository()
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

impl Value for HealthPath {
    fn parse(text: &str, _: &Scope<'_>) -> Result<Self, String> {
        if text.starts_with('/') {
            return Ok(Self(text.to_owned()));
        }
        Err(format!("`{text}` does not begin with `/`"))
    }
}

impl Value for HealthPort {
    fn parse(text: &str, _: &Scope<'_>) -> Result<Self, String> {
        let is_allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        match text.parse() {
            Ok(0) | Err(_) if text.chars().all(|c| c.is_ascii_digit()) => {
                Err(format!("`{text}` is not a port between 1 and 65535"))
            }
            Ok(number) => Ok(Self::Number(number)),
            // A label of DNS (k8s.io/kubernetes, pkg/apis/core/validation, `ValidateServicePort`).
            Err(_) if text.len() <= 63 && text.chars().all(is_allowed) => {
                Ok(Self::Name(text.to_owned()))
            }
            Err(_) => Err(format!(
                "`{text}` is not a port; use its number, or its name in the Service"
            )),
        }
    }
}

impl HealthPort {
    /// Whether it is the port of this number and name.
    pub(crate) fn is(&self, number: i32, name: Option<&str>) -> bool {
        match self {
            Self::Number(own) => i32::from(*own) == number,
            Self::Name(own) => name == Some(own),
        }
    }
}

impl std::fmt::Display for HealthPort {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Name(name) => write!(f, "`{name}`"),
        }
    }
}

impl Value for HealthUrl {
    fn parse(text: &str, _: &Scope<'_>) -> Result<Self, String> {
        let url = Url::parse(text).ok();
        let url = url.filter(|url| matches!(url.scheme(), "http" | "https"));
        let Some(url) = url.filter(|url| url.host_str().is_some()) else {
            return Err(format!(
                "`{text}` is not a URL; use a form such as `https://shop.example/health`"
            ));
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err("has a user or a password, which a health check does not send".to_owned());
        }
        Ok(Self(url))
    }
}
