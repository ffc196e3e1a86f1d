//! Logins to several registries.

use std::collections::BTreeSet;

use actions_toolkit::{BadInput, Scope, Secret, Value};
use oci::{Credentials, ImageRef, is_docker_hub};
use trivy::{RegistryInputs, RegistryLogin};

use super::Inputs;

/// The value of `registries`: a registry, a user and a password in each line.
#[derive(Clone, Default)]
pub(crate) struct RegistryLogins(Vec<RegistryLogin>);

impl Value for RegistryLogins {
    const SECRET: bool = true;

    fn parse(text: &str, scope: &Scope<'_>) -> Result<Self, String> {
        let lines = (1..).zip(text.lines().map(str::trim));
        let lines = lines.filter(|(_, line)| !line.is_empty());
        let mut logins: Vec<RegistryLogin> = Vec::new();
        for (number, line) in lines {
            // The line itself is a secret.
            let bad = |problem: &str| format!("line {number} {problem}");
            let form = || bad("does not have the form `REGISTRY USER PASSWORD`");
            let (host, rest) = line.split_once(char::is_whitespace).ok_or_else(form)?;
            let rest = rest.trim_start();
            let (username, password) = rest.split_once(char::is_whitespace).ok_or_else(form)?;
            let password = Secret::parse(password.trim(), scope)?;
            let image: Result<ImageRef, _> = format!("{host}/image").parse();
            let registry = image
                .ok()
                .and_then(|image| image.registry().map(ToOwned::to_owned));
            let registry = registry.ok_or_else(|| {
                bad("does not begin with the host of a registry, such as `ghcr.io`")
            })?;
            let registry = Some(registry).filter(|host| !is_docker_hub(host));
            if logins.iter().any(|login| login.registry == registry) {
                return Err(bad("has the registry of a line above"));
            }
            logins.push(RegistryLogin {
                credentials: Credentials {
                    username: username.to_owned(),
                    password: password.expose().to_owned(),
                },
                registry,
            });
        }
        Ok(Self(logins))
    }

    fn absent() -> Option<Self> {
        Some(Self::default())
    }
}

impl RegistryLogins {
    /// With that of `registry-username` and `registry-password`, which is for the registry of `images` that has no other one.
    pub(super) fn with(
        self,
        single: RegistryInputs,
        images: &[ImageRef],
    ) -> Result<Vec<RegistryLogin>, BadInput> {
        let mut logins = self.0;
        let hosts = images.iter().map(|image| image.registry());
        let hosts = hosts.map(|host| host.filter(|host| !is_docker_hub(host)));
        let known: Vec<_> = logins
            .iter()
            .map(|login| login.registry.as_deref())
            .collect();
        let others: BTreeSet<_> = hosts.filter(|host| !known.contains(host)).collect();
        let is_pair = single.registry_username.is_some() && single.registry_password.is_some();
        let hint = if is_pair {
            format!(", or `{}`", Inputs::registries)
        } else {
            String::new()
        };
        let single = single
            .login(others)
            .map_err(|error| BadInput(format!("{error}{hint}")))?;
        logins.extend(single);
        Ok(logins)
    }
}

#[cfg(test)]
mod tests {
    use actions_toolkit::{Log, Workspace};

    use super::*;

    fn parse(text: &str) -> Result<Vec<String>, String> {
        let (log, workspace) = (Log::sink(), Workspace::new("."));
        let logins = RegistryLogins::parse(text, &Scope::new(&log, &workspace))?;
        let shown = |login: RegistryLogin| {
            let host = login.registry.unwrap_or_default();
            format!(
                "{host} {} {}",
                login.credentials.username, login.credentials.password
            )
        };
        Ok(logins.0.into_iter().map(shown).collect())
    }

    #[test]
    fn each_line_is_a_registry_a_user_and_a_password() {
        let text = "ghcr.io  me  p4 ss\n\n docker.io hub secret\nlocalhost:5000 a b";
        let expected = ["ghcr.io me p4 ss", " hub secret", "localhost:5000 a b"];
        assert_eq!(parse(text).unwrap(), expected);
        let table = [
            (
                "ghcr.io me",
                "line 1 does not have the form `REGISTRY USER PASSWORD`",
            ),
            (
                "\nghcr.io",
                "line 2 does not have the form `REGISTRY USER PASSWORD`",
            ),
            (
                "me ghcr.io p4ss",
                "line 1 does not begin with the host of a registry, such as `ghcr.io`",
            ),
            (
                "docker.io a b\nindex.docker.io a b",
                "line 2 has the registry of a line above",
            ),
        ];
        for (text, error) in table {
            assert_eq!(parse(text).unwrap_err(), error);
        }
    }
}
