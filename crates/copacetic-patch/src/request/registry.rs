//! Which images of a registry are patched, and how to sign in there.

use std::time::Duration;

use actions_toolkit::{Age, BadInput, Context, Secret};
use azure::input::EntraInputs;
use oci::ImageRef;
use registries::{Application, Login, LoginInputs, Registries};

use super::inputs::Count;
use super::{Destination, Inputs, Pattern};

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
pub(crate) struct Logins {
    registries: Registries,
    /// For the registries of Azure that have no other login.
    application: Option<Application>,
    /// Whether every registry is to be one of Azure: there is no other login, and nothing is pushed elsewhere.
    is_azure_only: bool,
}

impl Filter {
    /// The images that `registry`, `repositories` and `tags` name.
    pub(super) fn new(inputs: &Inputs) -> Result<Option<Self>, BadInput> {
        let Some(host) = &inputs.registry else {
            return Ok(None);
        };
        let bad = |problem: String| BadInput::new(Inputs::registry, problem);
        if !inputs.push && inputs.push_to.is_none() {
            return Err(bad(
                "requires `push: true` or `push-to`: images of a registry are patched there"
                    .to_owned(),
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

impl Logins {
    /// The logins to `hosts`, those of the images, and to `destination`. A password precedes the run's identity.
    pub(super) fn new<'a>(
        ctx: &Context,
        (logins, entra): (LoginInputs, &EntraInputs),
        token: Option<&Secret>,
        hosts: impl IntoIterator<Item = Option<&'a str>>,
        destination: Option<&'a Destination>,
    ) -> Result<Self, BadInput> {
        let application = Application::new(entra)?;
        let own = destination.map(|destination| Some(destination.host.as_str()));
        // In a mirror, the password is for the own registry, and the others are public.
        let hosts: Vec<_> = match own {
            Some(own) => vec![own],
            None => hosts.into_iter().collect(),
        };
        let registries = logins.sign_in(ctx, hosts, application.as_ref(), token)?;
        Ok(Self {
            is_azure_only: registries.logins.is_empty() && destination.is_none(),
            registries,
            application,
        })
    }

    /// The login to the registry `host`, which `input` names.
    ///
    /// # Errors
    /// [`BadInput`] when the run's identity is the only login, and that is not a registry of Azure.
    pub(crate) fn get(&self, host: &str, input: &str) -> Result<Option<Login>, BadInput> {
        if let Some(login) = self.registries.get(host) {
            return Ok(Some(login.clone()));
        }
        let Some(application) = &self.application else {
            return Ok(None);
        };
        match application.login(host, input) {
            Ok(login) => Ok(Some(login)),
            Err(error) if self.is_azure_only => Err(error),
            Err(_) => Ok(None),
        }
    }

    /// Log the registries to which this run can't sign in.
    pub(crate) fn report(&self, ctx: &Context) {
        self.registries.report(ctx);
    }
}
