//! Which images of a registry are patched, and how to sign in there.

use actions_toolkit::{BadInput, Parsed, Secret};
use azure::input::EntraInputs;
use azure::{Cloud, RESOURCE_MANAGER};
use globset::{Glob, GlobSet, GlobSetBuilder};
use oci::ImageRef;

use super::Inputs;

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
    pub(super) fn new(inputs: &Inputs) -> Result<Option<Self>, BadInput> {
        let Some(host) = &inputs.registry else {
            return Ok(None);
        };
        let bad = |problem: String| BadInput::new(Inputs::registry, problem);
        if !inputs.push {
            return Err(bad(
                "requires `push: true`: images of a registry are patched there".to_owned(),
            ));
        }
        let example: ImageRef = format!("{host}/x")
            .parse()
            .map_err(|e| bad(format!("`{host}/x`: {e}")))?;
        if example.registry() != Some(host) {
            return Err(bad(format!(
                "invalid registry host `{host}`; use a form such as `ghcr.io`"
            )));
        }
        let is_literal = |pattern: &str| !pattern.contains(['*', '?', '[', '{']);
        let name = |Parsed(pattern): &Parsed<Glob>| {
            let pattern = pattern.glob();
            is_literal(pattern).then(|| pattern.to_owned())
        };
        Ok(Some(Self {
            host: host.clone(),
            named: inputs.repositories.iter().map(name).collect(),
            repositories: set(Inputs::repositories, &inputs.repositories)?,
            tags: set(Inputs::tags, &inputs.tags)?,
        }))
    }
}

fn set(input: &str, patterns: &[Parsed<Glob>]) -> Result<GlobSet, BadInput> {
    let mut set = GlobSetBuilder::new();
    for Parsed(pattern) in patterns {
        set.add(pattern.clone());
    }
    set.build().map_err(|e| BadInput::new(input, e))
}

impl Login {
    /// Anonymous if neither pair of inputs is set; the password wins if both are.
    pub(super) fn new(
        username: Option<String>,
        password: Option<Secret>,
        entra: &EntraInputs,
    ) -> Result<Self, BadInput> {
        let missing = |input: &str, other: &str| {
            Err(BadInput::new(input, format!("is required with `{other}`")))
        };
        match (username, password) {
            (Some(user), Some(password)) => return Ok(Self::Password(user, password)),
            (None, None) => {}
            (Some(_), None) => {
                return missing(Inputs::registry_password, Inputs::registry_username);
            }
            (None, Some(_)) => {
                return missing(Inputs::registry_username, Inputs::registry_password);
            }
        }
        match (&entra.client_id, &entra.tenant_id) {
            (Some(client), Some(tenant)) => Ok(Self::Entra {
                client: client.0.clone(),
                tenant: tenant.0.clone(),
                cloud: entra.cloud(RESOURCE_MANAGER),
            }),
            (None, None) => Ok(Self::Anonymous),
            (Some(_), None) => missing(EntraInputs::tenant_id, EntraInputs::client_id),
            (None, Some(_)) => missing(EntraInputs::client_id, EntraInputs::tenant_id),
        }
    }
}
