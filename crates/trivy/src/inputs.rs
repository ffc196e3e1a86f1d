//! The inputs of a step for the vulnerability database, for the registries of images and for a severity, as every
//! action has them.

use std::collections::BTreeSet;
use std::time::Duration;

use actions_toolkit::{Age, BadInput, Context, Scope, Secret, Value, both, inputs};
use oci::{Credentials, is_docker_hub};

use crate::{DatabaseKind, DatabaseRequest, Severity, default_cache};

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
    /// Where the Java database comes from.
    #[derive(Debug, Clone)]
    pub struct JavaDatabaseInputs {
        /// Mirrors of the Java database, which images with JAR files need, one OCI repository per line; the public ones by default.
        java_db_repositories: Vec<String>,
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
        /// User for the registry of the images.
        registry_username: Option<String>,
        /// Password or token for the registry of the images; of several registries, Docker Hub does not get it, and two others are refused.
        registry_password: Option<Secret>,
    }
}

/// A user name and password, and the one registry that they are for.
#[derive(Clone)]
pub struct RegistryLogin {
    /// User and password.
    pub credentials: Credentials,
    /// The host, or `None` for Docker Hub.
    pub registry: Option<String>,
}

impl RegistryInputs {
    /// The login to the registry of images, whose hosts are `registries` (`None` for Docker Hub); `None` if there is no
    /// login or no image. Where there are images of Docker Hub and of another registry, the login is for the other one.
    ///
    /// # Errors
    /// [`BadInput`] when one of the inputs is missing, or the images are in more than one registry: one of them would get
    /// the password of the other.
    pub fn login<'a>(
        self,
        registries: impl IntoIterator<Item = Option<&'a str>>,
    ) -> Result<Option<RegistryLogin>, BadInput> {
        let pair = both(
            (Self::registry_username, self.registry_username),
            (Self::registry_password, self.registry_password),
        )?;
        let registries = registries.into_iter();
        let registries = registries.map(|registry| registry.filter(|host| !is_docker_hub(host)));
        let registries: BTreeSet<_> = registries.collect();
        let Some((username, password)) = pair.filter(|_| !registries.is_empty()) else {
            return Ok(None);
        };
        let mut hosts = registries.into_iter().flatten();
        let registry = hosts.next();
        if let (Some(first), Some(second)) = (registry, hosts.next()) {
            let problem = format!(
                "is for one registry, and the images are in `{first}` and `{second}`; use a step with its own login for each registry"
            );
            return Err(BadInput::new(Self::registry_password, problem));
        }
        Ok(Some(RegistryLogin {
            credentials: Credentials {
                username,
                password: password.expose().to_owned(),
            },
            registry: registry.map(ToOwned::to_owned),
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
            kind: DatabaseKind::Vulnerabilities,
            mirrors: self.db_repositories,
            cache,
            offline: self.offline,
            max_age,
        })
    }
}

impl JavaDatabaseInputs {
    /// The Java database to use, in the same cache as `vulnerabilities`.
    pub fn request(self, vulnerabilities: &DatabaseRequest) -> DatabaseRequest {
        DatabaseRequest {
            kind: DatabaseKind::Java,
            mirrors: self.java_db_repositories,
            ..vulnerabilities.clone()
        }
    }
}

impl Value for Severity {
    const CHOICES: &'static [&'static str] = &["critical", "high", "medium", "low"];

    fn parse(text: &str, _: &Scope<'_>) -> Result<Self, String> {
        text.parse()
            .map_err(|_| actions_toolkit::invalid_choice(text, Self::CHOICES))
    }
}

#[cfg(test)]
mod tests {
    use actions_toolkit::Log;

    use super::*;

    #[test]
    fn a_password_is_for_one_registry() {
        let login = |registries: &[Option<&str>]| {
            let inputs = RegistryInputs {
                registry_username: Some("me".to_owned()),
                registry_password: Some(Secret::new("password", &Log::sink())),
            };
            let login = inputs.login(registries.iter().copied());
            login
                .map(|login| login.map(|login| login.registry.unwrap_or_default()))
                .map_err(|e| e.0)
        };
        let ghcr = Some("ghcr.io");
        let table: [(&[Option<&str>], Option<&str>); 4] = [
            (&[], None),
            (&[None, Some("docker.io")], Some("")),
            (&[ghcr, None, ghcr], Some("ghcr.io")),
            (&[ghcr], Some("ghcr.io")),
        ];
        for (registries, expected) in table {
            assert_eq!(
                login(registries).unwrap().as_deref(),
                expected,
                "{registries:?}"
            );
        }
        insta::assert_snapshot!(login(&[ghcr, None, Some("quay.io")]).unwrap_err(), @"input `registry-password`: is for one registry, and the images are in `ghcr.io` and `quay.io`; use a step with its own login for each registry");
    }
}
