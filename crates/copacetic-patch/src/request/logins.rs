//! How to sign in to registries.

use actions_toolkit::{BadInput, Context, Secret};
use azure::input::EntraInputs;
use registries::{Application, Login, LoginInputs, Registries};

use super::Destination;

/// How to sign in to registries.
pub(crate) struct Logins {
    registries: Registries,
    /// For the registries of Azure that have no other login.
    application: Option<Application>,
    /// Whether every registry is to be one of Azure: there is no other login, and nothing is pushed elsewhere.
    is_azure_only: bool,
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
