//! The hosts of public registries: where their tokens come from, and where they redirect to for content.

use std::borrow::Cow;

/// The host of the distribution API of Docker Hub (github.com/moby/moby, `registry/config.go`).
pub(crate) const DOCKER_HUB_API: &str = "registry-1.docker.io";

/// docs.docker.com/desktop/setup/allow-list; `index.docker.io` is what clients other than Docker call it.
const DOCKER_HUB: &[&str] = &[
    DOCKER_HUB_API,
    "index.docker.io",
    "auth.docker.io",
    "production.cloudflare.docker.com",
    "production.cloudfront.docker.com",
    "docker-images-prod.6aa30f8b08e16409b46e0173d6de2f56.r2.cloudflarestorage.com",
];

/// The end of a registry's name, and where it stores content.
const STORAGE: &[(&str, &[&str])] = &[
    // docs.github.com/actions/concepts/runners/communicating-with-self-hosted-runners
    ("ghcr.io", &["pkg-containers.githubusercontent.com"]),
    // aws.amazon.com/blogs/aws/amazon-ecr-public-a-new-public-container-registry
    ("public.ecr.aws", &["*.cloudfront.net"]),
    // github.com/microsoft/containerregistry, docs/client-firewall-rules.md
    ("mcr.microsoft.com", &["*.data.mcr.microsoft.com"]),
    // access.redhat.com/articles/7084334
    ("quay.io", &["*.quay.io"]),
    // learn.microsoft.com/azure/container-registry/container-registry-firewall-access-rules
    (".azurecr.io", &["*.blob.core.windows.net"]),
];

/// Whether `host` is a name of Docker Hub in image references (github.com/distribution/reference, `splitDockerDomain`).
pub fn is_docker_hub(host: &str) -> bool {
    matches!(host, "docker.io" | "index.docker.io")
}

/// The path of a repository as the API of its registry `host` has it; `None` is Docker Hub, where `debian` is
/// `library/debian` (github.com/distribution/reference, `ParseNormalizedNamed`).
pub(crate) fn path_in_api<'p>(host: Option<&str>, path: &'p str) -> Cow<'p, str> {
    if host.is_none_or(is_docker_hub) && !path.contains('/') {
        return format!("library/{path}").into();
    }
    path.into()
}

/// The hosts that a client of `registry` connects to, `None` for Docker Hub: the registry first, then those that its
/// responses name, if it is a public one. `*.` begins the end of a name.
pub fn hosts(registry: Option<&str>) -> Vec<&str> {
    let Some(registry) = registry.filter(|host| !is_docker_hub(host)) else {
        return DOCKER_HUB.to_vec();
    };
    let is_of = |end: &str| match end.strip_prefix('.') {
        Some(_) => registry.ends_with(end),
        None => registry == end,
    };
    let storage = STORAGE.iter().find(|(end, _)| is_of(end));
    let storage = storage.map_or(&[][..], |(_, storage)| storage);
    [&[registry], storage].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registry_has_the_hosts_that_it_redirects_to() {
        assert_eq!(
            hosts(Some("ghcr.io")),
            ["ghcr.io", "pkg-containers.githubusercontent.com"]
        );
        assert_eq!(
            hosts(Some("a.azurecr.io")),
            ["a.azurecr.io", "*.blob.core.windows.net"]
        );
        assert_eq!(
            hosts(Some("registry.example:5000")),
            ["registry.example:5000"]
        );
        assert_eq!(hosts(Some("docker.io")), DOCKER_HUB);
        assert_eq!(hosts(None), DOCKER_HUB);
    }
}
