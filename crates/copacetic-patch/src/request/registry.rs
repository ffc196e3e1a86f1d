//! Which images of a registry are patched, and how to sign in there.

use actions_toolkit::{BadInput, Context, Secret};
use azure::input::EntraInputs;
use azure::{Cloud, RESOURCE_MANAGER};
use globset::{Glob, GlobSet, GlobSetBuilder};

use super::image_ref;

/// Images of a registry.
pub(crate) struct Filter {
    pub(crate) host: String,
    pub(crate) repositories: GlobSet,
    /// The repositories, if none of the patterns has a wildcard: the registry's catalog is not needed then.
    pub(crate) named: Option<Vec<String>>,
    pub(crate) tags: GlobSet,
}

/// How to sign in to registries.
pub(crate) enum Login {
    Anonymous,
    /// User name and password.
    Password(String, Secret),
    /// The run's OIDC identity, at Azure Container Registry.
    Entra {
        client: String,
        tenant: String,
        cloud: Cloud,
    },
}

impl Filter {
    /// The images that `registry`, `repositories` and `tags` name.
    pub(super) fn read(ctx: &Context, push: bool) -> Result<Option<Self>, BadInput> {
        let inputs = ctx.inputs();
        let Some(host) = inputs.text("registry") else {
            return Ok(None);
        };
        if !push {
            return Err(BadInput::new(
                "registry",
                "requires `push: true`: images of a registry are patched there",
            ));
        }
        let example = image_ref("registry", &format!("{host}/x"))?;
        if example.registry() != Some(host) {
            let problem = format!("invalid registry host `{host}`; use a form such as `ghcr.io`");
            return Err(BadInput::new("registry", problem));
        }
        let set = |name: &str| {
            let mut set = GlobSetBuilder::new();
            for pattern in inputs.lines(name) {
                let bad = |e| BadInput::new(name, format!("`{pattern}`: {e}"));
                set.add(Glob::new(pattern).map_err(bad)?);
            }
            set.build().map_err(|e| BadInput::new(name, e))
        };
        let patterns = inputs.lines("repositories").into_iter();
        let is_literal = |pattern: &str| !pattern.contains(['*', '?', '[', '{']);
        Ok(Some(Self {
            host: host.to_owned(),
            named: patterns
                .map(|pattern| is_literal(pattern).then(|| pattern.to_owned()))
                .collect(),
            repositories: set("repositories")?,
            tags: set("tags")?,
        }))
    }
}

impl Login {
    /// Anonymous if neither pair of inputs is set; the password wins if both are.
    pub(super) fn read(ctx: &Context) -> Result<Self, BadInput> {
        let inputs = ctx.inputs();
        let text = |name: &str| inputs.text(name).map(ToOwned::to_owned);
        let password = inputs.secret("registry-password", ctx.log());
        match (text("registry-username"), password) {
            (Some(user), Some(password)) => return Ok(Self::Password(user, password)),
            (None, None) => {}
            (Some(_), None) => {
                let problem = "is required with `registry-username`";
                return Err(BadInput::new("registry-password", problem));
            }
            (None, Some(_)) => {
                let problem = "is required with `registry-password`";
                return Err(BadInput::new("registry-username", problem));
            }
        }
        let entra: EntraInputs = ctx.read()?;
        match (&entra.client_id, &entra.tenant_id) {
            (Some(client), Some(tenant)) => Ok(Self::Entra {
                client: client.0.clone(),
                tenant: tenant.0.clone(),
                cloud: entra.cloud(RESOURCE_MANAGER),
            }),
            (None, None) => Ok(Self::Anonymous),
            (Some(_), None) => Err(BadInput::new("tenant-id", "is required with `client-id`")),
            (None, Some(_)) => Err(BadInput::new("client-id", "is required with `tenant-id`")),
        }
    }
}
