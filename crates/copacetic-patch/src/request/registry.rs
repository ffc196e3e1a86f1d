//! Which images of a registry are patched, and how to sign in there.

use actions_toolkit::{BadInput, Parsed, both};
use azure::input::EntraInputs;
use azure::{Cloud, LoginServer, RESOURCE_MANAGER};
use globset::{Glob, GlobSet, GlobSetBuilder};
use oci::ImageRef;
use trivy::{RegistryInputs, RegistryLogin};

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
    Password(RegistryLogin),
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
    /// Anonymous if neither pair of inputs is set; the password wins if both are. `registries` are those of the images.
    pub(super) fn new<'a>(
        registry: RegistryInputs,
        entra: EntraInputs,
        registries: impl IntoIterator<Item = Option<&'a str>>,
    ) -> Result<Self, BadInput> {
        if let Some(login) = registry.login(registries)? {
            return Ok(Self::Password(login));
        }
        let cloud = entra.cloud(RESOURCE_MANAGER);
        let application = both(
            (EntraInputs::client_id, entra.client_id),
            (EntraInputs::tenant_id, entra.tenant_id),
        )?;
        Ok(match application {
            Some((client, tenant)) => Self::Entra {
                client: client.0,
                tenant: tenant.0,
                cloud,
            },
            None => Self::Anonymous,
        })
    }

    /// Check that the registry `host`, which `input` names, may get these credentials.
    pub(super) fn check(&self, host: &str, input: &str) -> Result<(), BadInput> {
        match self {
            Self::Entra { cloud, .. } => LoginServer::new(host, cloud, input).map(drop),
            Self::Anonymous | Self::Password(_) => Ok(()),
        }
    }
}
