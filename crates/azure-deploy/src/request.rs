//! What is asked for, valid by its types.

use std::path::PathBuf;
use std::time::Duration;

use actions_toolkit::{BadInput, Context, Secret};
use container::ImageRef;

use crate::manifests::Manifests;

/// A deployment to be made.
pub(crate) struct Request {
    pub(crate) image: ImageRef,
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
    pub(crate) authority: String,
    pub(crate) resource_manager: String,
    pub(crate) audience: String,
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
        let also_push = inputs
            .lines("also-push")
            .into_iter()
            .map(|line| tagged("also-push", line))
            .collect::<Result<Vec<_>, _>>()?;
        let health_path = match inputs.required("health-path")? {
            "none" => None,
            path if path.starts_with('/') => Some(path.to_owned()),
            path => {
                return Err(BadInput::of(
                    "health-path",
                    format!("`{path}` does not begin with `/`"),
                ));
            }
        };
        let workspace = ctx.github().workspace()?;
        let paths: Vec<PathBuf> = inputs
            .lines("manifests")
            .into_iter()
            .map(|line| workspace.join(line))
            .collect();
        let manifests = Manifests::read(&workspace, &paths, inputs.text("namespace"))?;
        if manifests.containers_of(&image).is_empty() {
            let known = manifests.images().join(", ");
            return Err(BadInput::of(
                "image",
                format!(
                    "no container of the manifests has an image called `{}`; they have: {known}",
                    image.repository()
                ),
            ));
        }
        Ok(Self {
            image,
            also_push,
            azure: AzureInputs {
                client: id("client-id", inputs.required("client-id")?)?,
                tenant: id("tenant-id", inputs.required("tenant-id")?)?,
                subscription: id("subscription-id", inputs.required("subscription-id")?)?,
                client_secret: inputs.secret("client-secret", ctx.log()),
                registry: name("registry", inputs.required("registry")?)?,
                registry_group: inputs
                    .text("registry-resource-group")
                    .map(ToOwned::to_owned),
                group: inputs.required("resource-group")?.to_owned(),
                cluster: inputs.required("cluster")?.to_owned(),
                authority: address("authority-host", inputs.required("authority-host")?)?,
                resource_manager: address(
                    "resource-manager",
                    inputs.required("resource-manager")?,
                )?,
                audience: inputs.required("token-audience")?.to_owned(),
            },
            manifests,
            latest: inputs.flag("latest")?,
            health_path,
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
    let text = if text.contains("://") {
        text.to_owned()
    } else {
        format!("https://{text}")
    };
    let local = ["http://127.0.0.1", "http://localhost", "http://[::1]"]
        .iter()
        .any(|local| text.starts_with(local));
    if !text.starts_with("https://") && !local {
        return Err(BadInput::of(
            input,
            format!("`{text}` would send credentials in the clear; use https"),
        ));
    }
    Ok(text)
}
