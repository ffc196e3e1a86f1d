//! The names that the manifests may have for an image that is deployed.

use oci::{ImageRef, is_docker_hub};

use crate::request::RegistryTarget;

/// The hosts of Azure's registries, after the registry's name (learn.microsoft.com/azure/container-registry, sovereign clouds).
const AZURE_REGISTRIES: [&str; 3] = [".azurecr.io", ".azurecr.us", ".azurecr.cn"];

/// The names of one image. A tag or digest does not matter, and neither does how Docker Hub is written.
#[derive(Debug, Clone)]
pub(crate) struct ImageNames {
    /// Its repository in the registry that it is deployed from: without a registry, a name is a placeholder for that.
    repository: String,
    /// Registry and repository, as [`ImageRef::in_registry`] has them.
    written: Vec<(String, String)>,
    /// The name of a registry of Azure: its host is unknown before the sign-in, and may have a hash or a region.
    azure: Option<String>,
}

impl ImageNames {
    /// The names of `image`, which is deployed from `repository` of `registry`.
    pub(crate) fn new(image: &ImageRef, repository: &str, registry: &RegistryTarget) -> Self {
        let mut written = Vec::new();
        let mut add = |image: &ImageRef| {
            let (host, path) = image.in_registry();
            written.push((host.to_ascii_lowercase(), path.into_owned()));
        };
        if image.registry().is_some() {
            add(image);
        }
        // Of `app`, `docker.io/library/app` is the whole name.
        if image.registry().is_none_or(is_docker_hub)
            && let Ok(image) = repository.parse()
        {
            add(&image);
        }
        let azure = match registry {
            RegistryTarget::Azure { name, .. } => Some(name.to_ascii_lowercase()),
            RegistryTarget::Host { host, .. } => {
                if let Ok(image) = format!("{host}/{repository}").parse() {
                    add(&image);
                }
                None
            }
        };
        Self {
            repository: repository.to_owned(),
            written,
            azure,
        }
    }

    /// The names of the image `name` of Docker, deployed to the registry `seaworthy` of Azure.
    #[cfg(test)]
    pub(crate) fn of_test(name: &str) -> Self {
        let registry = RegistryTarget::Azure {
            name: "seaworthy".to_owned(),
            group: None,
        };
        Self::new(&name.parse().unwrap(), name, &registry)
    }

    /// Whether `image`, of a container, is one of them.
    pub(crate) fn is_of(&self, image: &str) -> bool {
        let Ok(image) = image.parse::<ImageRef>() else {
            return false;
        };
        let (host, path) = image.in_registry();
        let host = host.to_ascii_lowercase();
        match image.registry() {
            None if image.repository() == self.repository => return true,
            Some(registry) if !is_docker_hub(registry) && self.is_in_azure(&host) => {
                return path == self.repository;
            }
            _ => {}
        }
        let mut written = self.written.iter();
        written.any(|(own_host, own_path)| *own_host == host && *own_path == path)
    }

    /// The repository.
    pub(crate) fn repository(&self) -> &str {
        &self.repository
    }

    /// Whether `image` is of the same repository in another registry.
    pub(crate) fn is_elsewhere(&self, image: &str) -> bool {
        let parsed = image.parse::<ImageRef>();
        parsed.is_ok_and(|parsed| parsed.repository() == self.repository) && !self.is_of(image)
    }

    // `NAME.azurecr.io`, `NAME-hash.azurecr.io` and `NAME.REGION.geo.azurecr.io`.
    fn is_in_azure(&self, host: &str) -> bool {
        let Some(name) = &self.azure else {
            return false;
        };
        let rest = host.strip_prefix(name.as_str());
        rest.is_some_and(|rest| {
            rest.starts_with(['.', '-']) && AZURE_REGISTRIES.iter().any(|end| rest.ends_with(end))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn azure(name: &str) -> RegistryTarget {
        RegistryTarget::Azure {
            name: name.to_owned(),
            group: None,
        }
    }

    fn host(host: &str) -> RegistryTarget {
        RegistryTarget::Host {
            host: host.to_owned(),
            credentials: None,
        }
    }

    #[test]
    fn a_name_is_matched_whole_with_its_registry() {
        // Image, repository, registry; names that are of it; names that are not.
        type Case = (
            &'static str,
            &'static str,
            RegistryTarget,
            &'static [&'static str],
            &'static [&'static str],
        );
        let table: [Case; 6] = [
            (
                "app:1",
                "app",
                azure("Seaworthy"),
                &[
                    "app",
                    "app:latest",
                    "library/app",
                    "docker.io/app",
                    "index.docker.io/library/app:1",
                    "seaworthy.azurecr.io/app:1",
                    "SEAWORTHY.azurecr.io/app",
                    "seaworthy-a1b2.azurecr.io/app",
                    "seaworthy.westeurope.geo.azurecr.io/app",
                    "seaworthy.azurecr.us/app",
                ],
                &[
                    "quay.io/app",
                    "other.azurecr.io/app",
                    "seaworthy.evil.example/app",
                    "seaworthyx.azurecr.io/app",
                    "seaworthy.azurecr.io/team/app",
                    "seaworthy.azurecr.io/library/app",
                    "app-worker",
                    "team/app",
                    "localhost:5000/app",
                    "not an image",
                    "",
                ],
            ),
            (
                "app:1",
                "team/app",
                azure("seaworthy"),
                &[
                    "team/app",
                    "seaworthy.azurecr.io/team/app:1",
                    "docker.io/team/app",
                ],
                &["app", "seaworthy.azurecr.io/app", "quay.io/team/app"],
            ),
            (
                "staging.azurecr.io/app:1",
                "app",
                azure("production"),
                &["app", "staging.azurecr.io/app", "production.azurecr.io/app"],
                &["development.azurecr.io/app"],
            ),
            (
                "ghcr.io/octo-org/app:1",
                "octo-org/app",
                host("ghcr.io"),
                &["ghcr.io/octo-org/app:2", "octo-org/app"],
                &["quay.io/octo-org/app", "docker.io/octo-org/app", "app"],
            ),
            (
                "app:1",
                "app",
                host("localhost:5000"),
                &["localhost:5000/app", "app"],
                &["localhost:5001/app", "localhost/app"],
            ),
            (
                "octo-org/app:1",
                "octo-org/app",
                host("docker.io"),
                &["octo-org/app", "docker.io/octo-org/app"],
                &["library/octo-org/app", "ghcr.io/octo-org/app"],
            ),
        ];
        for (image, repository, registry, own, others) in table {
            let names = ImageNames::new(&image.parse().unwrap(), repository, &registry);
            for name in own {
                assert!(names.is_of(name), "{image}: {name}");
            }
            for name in others {
                assert!(!names.is_of(name), "{image}: {name}");
            }
        }
        let names = ImageNames::of_test("app");
        assert!(names.is_elsewhere("quay.io/app:1") && !names.is_elsewhere("app"));
    }
}
