//! The logins of an action that works on images of one registry, or of several.

use std::collections::BTreeSet;

use actions_toolkit::{BadInput, Context, Secret, both, inputs};
use oci::{Credentials, is_docker_hub};

use crate::{Application, Login, Registries, RegistryLines};

/// Docker Hub, in an image reference.
const DOCKER_HUB: &str = "docker.io";

inputs! {
    /// The logins to the registries of images.
    pub struct LoginInputs {
        /// Logins, one `host user secret` per line, each for its own registry; `ghcr.io` alone is with `token`.
        registries: RegistryLines,
        /// User for the registry of the images.
        registry_username: Option<String>,
        /// Password or token for the registry of the images; of several registries, Docker Hub does not get it, and two others are refused.
        registry_password: Option<Secret>,
    }
}

impl LoginInputs {
    /// The logins to the registries `hosts` (`None` for Docker Hub). `registry-username` and `registry-password` are for
    /// the one of them that has no line; where there are images of Docker Hub and of another registry, for the other one.
    ///
    /// # Errors
    /// [`BadInput`] when a line has no secret, one of the two inputs is missing, or they would be for more than one registry.
    pub fn sign_in<'a>(
        self,
        ctx: &Context,
        hosts: impl IntoIterator<Item = Option<&'a str>>,
        application: Option<&Application>,
        token: Option<&Secret>,
    ) -> Result<Registries, BadInput> {
        let mut registries = Registries::new(ctx, &self.registries, application, token)?;
        let pair = both(
            (Self::registry_username, self.registry_username),
            (Self::registry_password, self.registry_password),
        )?;
        let Some((username, password)) = pair else {
            return Ok(registries);
        };
        let hosts = hosts
            .into_iter()
            .map(|host| host.filter(|host| !is_docker_hub(host)));
        let others = hosts.filter(|host| registries.get(host.unwrap_or(DOCKER_HUB)).is_none());
        if let Some(host) = only(&others.collect())? {
            let credentials = Credentials {
                username,
                password: password.expose().to_owned(),
            };
            let login = Login::Password(credentials);
            registries.logins.push((host.to_owned(), login));
        }
        Ok(registries)
    }
}

// The registry that the pair of inputs is for.
fn only<'a>(hosts: &BTreeSet<Option<&'a str>>) -> Result<Option<&'a str>, BadInput> {
    let mut others = hosts.iter().copied().flatten();
    let host = others.next();
    if let (Some(first), Some(second)) = (host, others.next()) {
        let problem = format!(
            "is for one registry, and the images are in `{first}` and `{second}`; write a line for each into `{}`",
            LoginInputs::registries
        );
        return Err(BadInput::new(LoginInputs::registry_password, problem));
    }
    Ok(host.or((!hosts.is_empty()).then_some(DOCKER_HUB)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_for_one_registry() {
        let host = |hosts: &[Option<&'static str>]| {
            let hosts = hosts.iter().copied().collect();
            only(&hosts).map_err(|e| e.0)
        };
        let ghcr = Some("ghcr.io");
        let table: [(&[Option<&str>], Option<&str>); 4] = [
            (&[], None),
            (&[None], Some("docker.io")),
            (&[ghcr, None, ghcr], ghcr),
            (&[ghcr], ghcr),
        ];
        for (hosts, expected) in table {
            assert_eq!(host(hosts).unwrap(), expected, "{hosts:?}");
        }
        insta::assert_snapshot!(host(&[ghcr, None, Some("quay.io")]).unwrap_err(), @"input `registry-password`: is for one registry, and the images are in `ghcr.io` and `quay.io`; write a line for each into `registries`");
    }
}
