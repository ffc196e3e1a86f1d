//! What is asked for, valid by its types.

use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use actions_toolkit::{BadInput, Context, Inputs, Secret};
use azure::Cloud;
use container::ImageRef;

use crate::manifests::Manifests;

/// A deployment to be made.
pub(crate) struct Request {
    /// The image in the engine.
    pub(crate) image: ImageRef,
    /// Its repository in the registry and in the manifests.
    pub(crate) repository: String,
    pub(crate) also_push: Vec<ImageRef>,
    pub(crate) azure: AzureInputs,
    pub(crate) manifests: Manifests,
    pub(crate) latest: bool,
    pub(crate) health_path: Option<String>,
    pub(crate) expect_commit: Option<String>,
    pub(crate) limits: Limits,
}

/// Who signs in where, and the names of the resources.
pub(crate) struct AzureInputs {
    pub(crate) client: String,
    pub(crate) tenant: String,
    pub(crate) subscription: String,
    pub(crate) client_secret: Option<Secret>,
    pub(crate) registry: String,
    pub(crate) registry_group: Option<String>,
    pub(crate) group: String,
    pub(crate) cluster: String,
    pub(crate) cloud: Cloud,
}

/// How long each wait may last.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) rollout: Duration,
    pub(crate) address: Duration,
    pub(crate) health: Duration,
}

impl Request {
    /// Read and check every input, and the manifests, before anything is started.
    pub(crate) fn of(ctx: &Context) -> Result<Self, BadInput> {
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
            .map(|line| inside(&workspace, line))
            .collect::<Result<_, _>>()?;
        let manifests = Manifests::read(&workspace, &paths, inputs.text("namespace"))?;
        if !manifests.name_repository(&repository) {
            let known = manifests.images().join(", ");
            return Err(BadInput::of(
                "image",
                format!(
                    "no container of the manifests has an image called `{repository}`; they have: {known}"
                ),
            ));
        }
        Ok(Self {
            also_push: also_push.collect::<Result<_, _>>()?,
            image,
            repository,
            azure: azure(ctx, inputs)?,
            manifests,
            latest: inputs.flag("latest")?,
            health_path: health_path(inputs.required("health-path")?)?,
            expect_commit: inputs
                .text("expect-commit")
                .or_else(|| ctx.github().sha())
                .map(ToOwned::to_owned),
            limits: Limits {
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

fn azure(ctx: &Context, inputs: &Inputs) -> Result<AzureInputs, BadInput> {
    let group = |input: &str| {
        inputs
            .text(input)
            .map(|text| group(input, text))
            .transpose()
    };
    Ok(AzureInputs {
        client: id("client-id", inputs.required("client-id")?)?,
        tenant: id("tenant-id", inputs.required("tenant-id")?)?,
        subscription: id("subscription-id", inputs.required("subscription-id")?)?,
        client_secret: inputs.secret("client-secret", ctx.log()),
        registry: name("registry", inputs.required("registry")?)?,
        registry_group: group("registry-resource-group")?,
        group: group("resource-group")?.unwrap_or_default(),
        cluster: name("cluster", inputs.required("cluster")?)?,
        cloud: Cloud::new(
            &address("authority-host", inputs.required("authority-host")?)?,
            &address("resource-manager", inputs.required("resource-manager")?)?,
            inputs.required("token-audience")?,
        ),
    })
}

fn health_path(text: &str) -> Result<Option<String>, BadInput> {
    match text {
        "none" => Ok(None),
        path if path.starts_with('/') => Ok(Some(path.to_owned())),
        path => Err(BadInput::of(
            "health-path",
            format!("`{path}` does not begin with `/`"),
        )),
    }
}

fn inside(workspace: &Path, line: &str) -> Result<PathBuf, BadInput> {
    let given = Path::new(line);
    if given.components().any(|part| part == Component::ParentDir) {
        return Err(BadInput::of(
            "manifests",
            format!("`{line}` must not have `..` in it"),
        ));
    }
    Ok(workspace.join(given))
}

fn repository(text: &str) -> Result<String, BadInput> {
    let bad = |problem: String| BadInput::of("repository", problem);
    let parsed: ImageRef = text.parse().map_err(|e| bad(format!("`{text}`: {e}")))?;
    if parsed.repository() != text {
        return Err(bad(format!(
            "`{text}` has more than a repository in it (`{}`)",
            parsed.repository()
        )));
    }
    Ok(text.to_owned())
}

fn group(input: &str, text: &str) -> Result<String, BadInput> {
    if text.contains('/') {
        let problem = format!("`{text}` is a path; the name of the resource group is wanted");
        return Err(BadInput::of(input, problem));
    }
    Ok(text.to_owned())
}

fn tagged(input: &str, text: &str) -> Result<ImageRef, BadInput> {
    let image: ImageRef = text
        .parse()
        .map_err(|e| BadInput::of(input, format!("`{text}`: {e}")))?;
    if image.tag().is_none() || image.digest().is_some() {
        return Err(BadInput::of(
            input,
            format!("`{text}` needs a tag and no digest: the tag is what it is pushed under"),
        ));
    }
    Ok(image)
}

// A GUID: a name in its place is the commonest mistake, and Entra's answer to it does not say so.
fn id(input: &str, text: &str) -> Result<String, BadInput> {
    let parts: Vec<_> = text.split('-').map(str::len).collect();
    if parts != [8, 4, 4, 4, 12] || !text.bytes().all(|b| b == b'-' || b.is_ascii_hexdigit()) {
        return Err(BadInput::of(
            input,
            format!("`{text}` is no id such as `00000000-0000-0000-0000-000000000000`"),
        ));
    }
    Ok(text.to_owned())
}

fn name(input: &str, text: &str) -> Result<String, BadInput> {
    if text.contains(['.', '/']) {
        return Err(BadInput::of(
            input,
            format!(
                "`{text}` is a host or path; the name of the resource is wanted (`{}`)",
                text.split('.').next().unwrap_or_default()
            ),
        ));
    }
    Ok(text.to_owned())
}

fn address(input: &str, text: &str) -> Result<String, BadInput> {
    let full = if text.contains("://") {
        text.to_owned()
    } else {
        format!("https://{text}")
    };
    let url = reqwest::Url::parse(&full)
        .map_err(|e| BadInput::of(input, format!("`{text}` is no address: {e}")))?;
    let local = matches!(url.host_str(), Some("127.0.0.1" | "localhost" | "[::1]"));
    match url.scheme() {
        "https" => Ok(full),
        "http" if local => Ok(full),
        _ => Err(BadInput::of(
            input,
            format!("`{text}` would send credentials in the clear; use https"),
        )),
    }
}
