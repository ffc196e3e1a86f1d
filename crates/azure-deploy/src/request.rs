//! What is asked for, valid by its types.

use std::time::Duration;

use actions_toolkit::{BadInput, Context, Secret};
use oci::ImageRef;

use crate::kustomize;
use crate::manifests::Manifests;
use crate::variables::Variables;

mod target;

pub(crate) use target::{AccessInput, AzureInputs, ClusterInput, RegistryInput, Target};

/// A deployment to be made.
pub(crate) struct Request {
    /// The image in Docker.
    pub(crate) image: ImageRef,
    /// Its repository in the registry and in the manifests.
    pub(crate) repository: String,
    pub(crate) also_push: Vec<ImageRef>,
    pub(crate) target: Target,
    /// The objects, with the variables' placeholders still open.
    pub(crate) manifests: Manifests,
    pub(crate) variables: Variables,
    /// GitHub's environment, and the token to tell it with.
    pub(crate) environment: Option<(String, Secret)>,
    pub(crate) latest: bool,
    pub(crate) health_path: Option<String>,
    pub(crate) expect_commit: Option<String>,
    pub(crate) limits: Limits,
}

/// How long each wait may last.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Of each image.
    pub(crate) push: Duration,
    pub(crate) rollout: Duration,
    pub(crate) address: Duration,
    pub(crate) health: Duration,
}

impl Request {
    /// Read and check every input, and the manifests, before anything is started.
    pub(crate) async fn of(ctx: &Context) -> anyhow::Result<Self> {
        let inputs = ctx.inputs();
        let image = tagged("image", inputs.required("image")?)?;
        let also_push = inputs.lines("also-push").into_iter();
        let also_push = also_push.map(|line| tagged("also-push", line));
        let repository = match inputs.text("repository") {
            Some(text) => repository(text)?,
            None => image.repository().to_owned(),
        };
        let workspace = ctx.github().workspace()?;
        let paths = inputs.lines("manifests").into_iter();
        let paths: Vec<_> = paths
            .map(|line| ctx.path_given("manifests", line))
            .collect::<Result<_, _>>()?;
        let target = Target::of(ctx)?;
        let variables = Variables::parse(&inputs.lines("environment-variables"))?;
        let rendered = kustomize::render(ctx, &workspace, &paths).await?;
        let namespace = inputs.text("namespace");
        let mut manifests = Manifests::read(&workspace, &paths, &rendered, namespace)?;
        if !manifests.name_repository(&repository) {
            let known = manifests.images().join(", ");
            return Err(BadInput::new(
                "image",
                format!(
                    "no container of the manifests has an image called `{repository}`; they have: {known}"
                ),
            )
            .into());
        }
        manifests.set_variables(&repository, &variables);
        Ok(Self {
            also_push: also_push.collect::<Result<_, _>>()?,
            image,
            repository,
            target,
            manifests,
            variables,
            environment: environment(ctx)?,
            latest: inputs.flag("latest")?,
            health_path: health_path(inputs.required("health-path")?)?,
            expect_commit: inputs
                .text("expect-commit")
                .or_else(|| ctx.github().sha())
                .map(ToOwned::to_owned),
            limits: Limits {
                push: inputs.duration("push-timeout")?,
                rollout: inputs.duration("rollout-timeout")?,
                address: inputs.duration("address-timeout")?,
                health: inputs.duration("health-timeout")?,
            },
        })
    }

    /// Where `image` goes in the registry: versions of the deployed image go to its repository.
    pub(crate) fn repository_of<'a>(&'a self, image: &'a ImageRef) -> &'a str {
        if image.repository() == self.image.repository() {
            &self.repository
        } else {
            image.repository()
        }
    }
}

fn environment(ctx: &Context) -> Result<Option<(String, Secret)>, BadInput> {
    let Some(environment) = ctx.inputs().text("environment") else {
        return Ok(None);
    };
    let token = ctx.inputs().secret("token", ctx.log());
    let problem = "is not set, and `environment` needs it: `${{ github.token }}`";
    let token = token.ok_or_else(|| BadInput::new("token", problem))?;
    Ok(Some((environment.to_owned(), token)))
}

fn health_path(text: &str) -> Result<Option<String>, BadInput> {
    match text {
        "none" => Ok(None),
        path if path.starts_with('/') => Ok(Some(path.to_owned())),
        path => Err(BadInput::new(
            "health-path",
            format!("`{path}` does not begin with `/`"),
        )),
    }
}

fn repository(text: &str) -> Result<String, BadInput> {
    let bad = |problem: String| BadInput::new("repository", problem);
    let parsed: ImageRef = text.parse().map_err(|e| bad(format!("`{text}`: {e}")))?;
    if parsed.repository() != text {
        return Err(bad(format!(
            "`{text}` has more than a repository in it (`{}`)",
            parsed.repository()
        )));
    }
    Ok(text.to_owned())
}

fn tagged(input: &str, text: &str) -> Result<ImageRef, BadInput> {
    let image: ImageRef = text
        .parse()
        .map_err(|e| BadInput::new(input, format!("`{text}`: {e}")))?;
    if image.tag().is_none() || image.digest().is_some() {
        return Err(BadInput::new(
            input,
            format!("`{text}` needs a tag and no digest: the tag is what it is pushed under"),
        ));
    }
    Ok(image)
}
