//! The inputs of a step for the vulnerability database, for the registries of images and for a severity, as every
//! action has them.

use std::time::Duration;

use actions_toolkit::{Age, BadInput, Context, Scope, Secret, Value, both, inputs};
use oci::Credentials;

use crate::{DatabaseRequest, Severity, default_cache};

inputs! {
    /// Where the vulnerability database comes from.
    #[derive(Debug, Clone)]
    pub struct DatabaseInputs {
        /// Mirrors of the vulnerability database, one OCI repository per line, tried in this order; the public ones by default.
        db_repositories: Vec<String>,
        /// Cache directory of Trivy, relative to the workspace; the one in the home directory by default.
        cache_directory: Option<String>,
        /// Use the cached vulnerability database without contacting a mirror.
        offline: bool = "false",
    }
}

inputs! {
    /// How old the vulnerability database may be.
    #[derive(Debug, Clone)]
    pub struct DatabaseAgeInputs {
        /// Maximum age of the vulnerability database when no mirror has a newer one.
        max_database_age: Age = "48h",
    }
}

inputs! {
    /// The login to the registries that images come from.
    pub struct RegistryInputs {
        /// User for the registries of the images.
        registry_username: Option<String>,
        /// Password or token for the registries of the images.
        registry_password: Option<Secret>,
    }
}

impl RegistryInputs {
    /// User and password, if there is a login.
    ///
    /// # Errors
    /// [`BadInput`] when one of them is missing.
    pub fn credentials(self) -> Result<Option<Credentials>, BadInput> {
        let pair = both(
            (Self::registry_username, self.registry_username),
            (Self::registry_password, self.registry_password),
        )?;
        Ok(pair.map(|(username, password)| Credentials {
            username,
            password: password.expose().to_owned(),
        }))
    }
}

impl DatabaseInputs {
    /// The database to use, at most `max_age` old.
    ///
    /// # Errors
    /// [`BadInput`] when the workspace is unavailable.
    pub fn request(self, ctx: &Context, max_age: Duration) -> Result<DatabaseRequest, BadInput> {
        let cache = match self.cache_directory {
            Some(path) => ctx.workspace()?.root().join(path),
            None => default_cache(ctx.env()),
        };
        Ok(DatabaseRequest {
            mirrors: self.db_repositories,
            cache,
            offline: self.offline,
            max_age,
        })
    }
}

impl Value for Severity {
    const CHOICES: &'static [&'static str] = &["critical", "high", "medium", "low"];

    fn parse(text: &str, _: &Scope<'_>) -> Result<Self, String> {
        text.parse()
            .map_err(|_| actions_toolkit::invalid_choice(text, Self::CHOICES))
    }
}
