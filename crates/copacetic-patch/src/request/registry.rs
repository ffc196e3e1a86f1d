//! Which images of a registry are patched, and how to sign in there.

use std::time::Duration;

use actions_toolkit::{Age, BadInput, both};
use azure::input::EntraInputs;
use azure::{Cloud, LoginServer, RESOURCE_MANAGER};
use oci::ImageRef;
use trivy::{RegistryInputs, RegistryLogin};

use super::inputs::Count;
use super::{Inputs, Pattern};

/// Images of a registry.
pub(crate) struct Filter {
    pub(crate) host: String,
    repositories: Vec<Pattern>,
    tags: Vec<Pattern>,
    exclude: Vec<Pattern>,
    /// Tags in each repository, the newest ones.
    pub(crate) newest: Option<usize>,
    pub(crate) max_age: Option<Duration>,
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
        Ok(Some(Self {
            host: host.clone(),
            repositories: inputs.repositories.clone(),
            tags: inputs.tags.clone(),
            exclude: inputs.exclude.clone(),
            newest: inputs.newest_tags.map(|Count(count)| count),
            max_age: inputs.max_image_age.map(|Age(age)| age),
        }))
    }

    /// The repositories, if each pattern is the name of one: the registry's catalog is not needed then.
    pub(crate) fn named(&self) -> Option<Vec<String>> {
        let names = self.repositories.iter().map(Pattern::literal);
        names.map(|name| name.map(ToOwned::to_owned)).collect()
    }

    /// Whether images of `repository` are patched.
    pub(crate) fn has_repository(&self, repository: &str) -> bool {
        is_any(&self.repositories, repository)
    }

    /// Whether images with `tag` are patched.
    pub(crate) fn has_tag(&self, tag: &str) -> bool {
        is_any(&self.tags, tag)
    }

    /// Whether `exclude` has the repository, or this tag of it.
    pub(crate) fn excludes(&self, repository: &str, tag: &str) -> bool {
        is_any(&self.exclude, repository) || is_any(&self.exclude, &format!("{repository}:{tag}"))
    }
}

fn is_any(patterns: &[Pattern], name: &str) -> bool {
    patterns.iter().any(|pattern| pattern.is_match(name))
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
