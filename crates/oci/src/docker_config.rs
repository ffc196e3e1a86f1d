//! Docker's `config.json`: how other programs get the credentials of a registry, without an argument or a variable.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::Credentials;
use crate::hosts::is_docker_hub;

/// Docker Hub is named after its first API (`cli/config/credentials` of the Docker CLI).
const DOCKER_HUB: &str = "https://index.docker.io/v1/";

impl Credentials {
    /// The pair in the header `Authorization: Basic …`.
    pub(crate) fn basic(&self) -> String {
        STANDARD.encode(format!("{}:{}", self.username, self.password))
    }

    /// The value of the header `Authorization` (RFC 7617).
    pub fn authorization(&self) -> String {
        format!("Basic {}", self.basic())
    }

    /// Write a new `config.json` with these credentials for `registries` (as [`ImageRef::registry`] returns them) into
    /// `directory`. Its owner alone can read it; `DOCKER_CONFIG` names the directory.
    ///
    /// [`ImageRef::registry`]: crate::ImageRef::registry
    ///
    /// # Errors
    /// When it can't be written.
    pub fn write_docker_config<'a>(
        &'a self,
        directory: &Path,
        registries: impl IntoIterator<Item = Option<&'a str>>,
    ) -> std::io::Result<()> {
        let logins = registries.into_iter().map(|registry| (registry, self));
        Self::write_docker_config_of(directory, logins)
    }

    /// The same with its own credentials for each registry.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn write_docker_config_of<'a>(
        directory: &Path,
        logins: impl IntoIterator<Item = (Option<&'a str>, &'a Credentials)>,
    ) -> std::io::Result<()> {
        let entry = |(registry, credentials): (Option<&str>, &Credentials)| {
            let registry = registry
                .filter(|host| !is_docker_hub(host))
                .unwrap_or(DOCKER_HUB);
            (registry.to_owned(), json!({"auth": credentials.basic()}))
        };
        let auths: serde_json::Map<_, _> = logins.into_iter().map(entry).collect();
        std::fs::File::options()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(directory.join("config.json"))?
            .write_all(json!({"auths": auths}).to_string().as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_registry_has_its_credentials() {
        let directory = tempfile::tempdir().unwrap();
        let credentials = |username: &str| Credentials {
            username: username.to_owned(),
            password: "pass".to_owned(),
        };
        let (hub, other) = (credentials("hub"), credentials("other"));
        let logins = [(Some("docker.io"), &hub), (Some("quay.io:443"), &other)];
        Credentials::write_docker_config_of(directory.path(), logins).unwrap();
        let text = std::fs::read_to_string(directory.path().join("config.json")).unwrap();
        insta::assert_snapshot!(text, @r#"{"auths":{"https://index.docker.io/v1/":{"auth":"aHViOnBhc3M="},"quay.io:443":{"auth":"b3RoZXI6cGFzcw=="}}}"#);
    }

    #[test]
    fn docker_hub_has_another_name_here() {
        let directory = tempfile::tempdir().unwrap();
        let credentials = Credentials {
            username: "me".to_owned(),
            password: "pass".to_owned(),
        };
        credentials
            .write_docker_config(directory.path(), [Some("docker.io"), Some("ghcr.io")])
            .unwrap();
        let text = std::fs::read_to_string(directory.path().join("config.json")).unwrap();
        insta::assert_snapshot!(text, @r#"{"auths":{"ghcr.io":{"auth":"bWU6cGFzcw=="},"https://index.docker.io/v1/":{"auth":"bWU6cGFzcw=="}}}"#);
    }
}
