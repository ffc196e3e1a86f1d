//! Where the images are: in Docker, from which they are pushed, or in a registry already.

use std::sync::Arc;
use std::time::Duration;

use actions_toolkit::{BadInput, Context, Log};
use anyhow::Context as _;
use azure::LoginServer;
use backon::Retryable as _;
use docker::Docker;
use oci::{Auth, Credentials, ImageRef, RawManifest, is_docker_hub};

use super::connect::Azure;
use super::push::{Registry, client};
use crate::action::Inputs;
use crate::request::Request;

/// Between the attempts to find an image in a registry that may be replicated.
const REPLICATION_PAUSES: [Duration; 3] = [
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
];

/// The images of a request, and the Docker that has some of them.
pub(crate) struct Images<'a> {
    docker: Option<Docker>,
    deployed: Vec<(&'static str, &'a ImageRef, bool)>,
}

/// The images, each of which is known to be there.
pub(crate) struct Resolved {
    pub(crate) docker: Option<Docker>,
    /// `image` first, then those of `also-deploy`.
    pub(crate) deployed: Vec<Source>,
}

/// An image to deploy.
pub(crate) enum Source {
    /// In Docker.
    Docker(ImageRef),
    /// In the registry and repository from which it is deployed.
    Here(ImageRef),
    /// In another registry or repository.
    Elsewhere {
        image: ImageRef,
        manifest: RawManifest,
        registry: Arc<oci::Registry>,
    },
}

impl<'a> Images<'a> {
    /// Find the images of the request: nothing else is started without them. An image by digest is in a registry; one with a tag
    /// and a host is in that registry if Docker does not have it; any other is in Docker.
    ///
    /// # Errors
    /// [`BadInput`] with the first image that Docker should have and does not have. When Docker is required and is not
    /// there.
    pub(crate) async fn find(ctx: &Context, request: &'a Request) -> anyhow::Result<Self> {
        let more = request
            .also_deploy
            .iter()
            .map(|(image, _)| (Inputs::also_deploy, image));
        let deployed = std::iter::once((Inputs::image, &request.image)).chain(more);
        let deployed: Vec<_> = deployed.collect();
        let is_by_digest = |image: &ImageRef| image.digest().is_some();
        let all_by_digest = deployed.iter().all(|(_, image)| is_by_digest(image));
        if all_by_digest && request.also_push.is_empty() {
            let deployed = deployed.into_iter();
            let deployed = deployed
                .map(|(input, image)| (input, image, false))
                .collect();
            return Ok(Self {
                docker: None,
                deployed,
            });
        }
        let requires_docker = !request.also_push.is_empty()
            || deployed
                .iter()
                .any(|(_, image)| !is_by_digest(image) && image.registry().is_none());
        let docker = match Docker::connect(ctx.env().get("DOCKER_HOST")).await {
            Ok(docker) => Some(docker),
            Err(e) if requires_docker => return Err(e),
            Err(e) => {
                ctx.log()
                    .info(format!("{e:#}; the images are expected in their registry"));
                None
            }
        };
        let mut found = Vec::new();
        for (input, image) in deployed {
            let is_in_docker = match &docker {
                Some(docker) if !is_by_digest(image) => docker.inspect(image).await?.is_some(),
                _ => false,
            };
            if !is_in_docker && !is_by_digest(image) && image.registry().is_none() {
                let problem = format!(
                    "Docker has no image `{image}`; build or pull it in an earlier step, or name its registry (`HOST/{image}`) if it was pushed"
                );
                return Err(BadInput::new(input, problem).into());
            }
            found.push((input, image, is_in_docker));
        }
        for image in &request.also_push {
            if let Some(docker) = &docker
                && docker.inspect(image).await?.is_none()
            {
                let problem =
                    format!("Docker has no image `{image}`; build or pull it in an earlier step");
                return Err(BadInput::new(Inputs::also_push, problem).into());
            }
        }
        Ok(Self {
            docker,
            deployed: found,
        })
    }

    /// Docker, if an image may be in it.
    pub(crate) fn docker(&self) -> Option<&Docker> {
        self.docker.as_ref()
    }

    /// Look up the images that are in a registry.
    ///
    /// # Errors
    /// [`BadInput`] with the first one that the registry does not have.
    pub(crate) async fn resolve(
        &self,
        ctx: &Context,
        request: &Request,
        azure: Option<&Azure>,
        target: &Registry,
    ) -> anyhow::Result<Resolved> {
        let mut deployed = Vec::new();
        for (input, image, is_in_docker) in &self.deployed {
            deployed.push(if *is_in_docker {
                Source::Docker((*image).clone())
            } else {
                look_up(ctx, request, azure, target, (input, image)).await?
            });
        }
        Ok(Resolved {
            docker: self.docker.clone(),
            deployed,
        })
    }
}

impl Resolved {
    /// Whether the tag `latest` may move: an image that was there before is only referred to.
    pub(crate) fn moves_latest(&self) -> bool {
        !matches!(self.deployed.first(), Some(Source::Here(_)))
    }

    /// The commit that the application must respond with: the one of the input, or the run's if the image is in Docker, where
    /// the run built it. One that a registry had before, such as an earlier version, may be of any commit.
    pub(crate) fn expected_commit<'a>(
        &self,
        ctx: &'a Context,
        request: &'a Request,
    ) -> Option<&'a str> {
        if let Some(given) = &request.expect_commit {
            return Some(given);
        }
        let run = ctx.github().sha()?;
        if matches!(self.deployed.first(), Some(Source::Docker(_))) {
            return Some(run);
        }
        ctx.log().info(
            "the image was in a registry before, and may be of another commit than this run: that the new version responds is taken from the rollout; `expect-commit` verifies it",
        );
        None
    }
}

async fn look_up(
    ctx: &Context,
    request: &Request,
    azure: Option<&Azure>,
    target: &Registry,
    (input, image): (&'static str, &ImageRef),
) -> anyhow::Result<Source> {
    let (own, own_repository) = (target.client().host(), request.repository_of(image));
    let host = image.registry().unwrap_or(own);
    let is_own_registry = is_same_host(host, own);
    let source = if is_own_registry {
        Arc::clone(target.client())
    } else {
        let credentials = request.source_credentials.as_ref();
        client(ctx, host, source_auth(credentials, azure, host).await?)?
    };
    let manifest = eventual_manifest(ctx.log(), &source, image).await;
    let manifest = manifest.with_context(|| match input {
        _ if is_own_registry => format!("failed to look up `{image}`"),
        _ => format!(
            "failed to look up `{image}`; set `source-username` and `source-password` if the registry requires them"
        ),
    })?;
    let Some(manifest) = manifest else {
        let docker = if image.digest().is_none() {
            "neither Docker nor the registry has"
        } else {
            "the registry does not have"
        };
        return Err(BadInput::new(input, format!("{docker} `{image}`")).into());
    };
    if is_own_registry && image.repository() == own_repository {
        let own = image.moved_to(own, own_repository)?;
        let pinned = own.with_digest(&manifest.digest);
        ctx.log()
            .info(format!("{image} is in the registry: {pinned}"));
        return Ok(Source::Here(pinned));
    }
    Ok(Source::Elsewhere {
        image: image.clone(),
        manifest,
        registry: source,
    })
}

// The manifest of `image`. What was pushed to one region of a registry of Azure is there in the others a moment later
// (github.com/Azure/acr/issues/880).
async fn eventual_manifest(
    log: &Log,
    registry: &oci::Registry,
    image: &ImageRef,
) -> anyhow::Result<Option<RawManifest>> {
    let is_azure = registry.host().contains(".azurecr.");
    let pauses = if is_azure {
        &REPLICATION_PAUSES[..]
    } else {
        &[]
    };
    let attempt = async || match registry
        .manifest(image.repository(), image.reference())
        .await
    {
        Ok(Some(manifest)) => Ok(manifest),
        Ok(None) => Err(None),
        Err(e) => Err(Some(e)),
    };
    let found = (|| attempt())
        .retry(pauses.iter().copied())
        .when(Option::is_none)
        .notify(|_, pause| {
            let seconds = pause.as_secs();
            log.info(format!(
                "{image} is not in the registry yet; next attempt in {seconds}s"
            ));
        })
        .await;
    match found {
        Ok(manifest) => Ok(Some(manifest)),
        Err(None) => Ok(None),
        Err(Some(e)) => Err(e),
    }
}

/// How something is read from the registry `host`: with `credentials` if there are some; a registry of Azure takes the run's
/// identity.
///
/// # Errors
/// When the registry rejects that identity.
pub(crate) async fn source_auth(
    credentials: Option<&Credentials>,
    azure: Option<&Azure>,
    host: &str,
) -> anyhow::Result<Auth> {
    if let Some(credentials) = credentials {
        return Ok(Auth::Password(credentials.clone()));
    }
    let Some(azure) = azure else {
        return Ok(Auth::Anonymous);
    };
    let Ok(server) = LoginServer::new(host, azure.entra.cloud(), Inputs::image) else {
        return Ok(Auth::Anonymous);
    };
    let credentials = server.credentials(&azure.entra).await?;
    Ok(Auth::Password(credentials))
}

/// Whether both are hosts of one registry: Docker Hub has several.
pub(crate) fn is_same_host(one: &str, other: &str) -> bool {
    one.eq_ignore_ascii_case(other) || (is_docker_hub(one) && is_docker_hub(other))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_one_registry_are_the_same() {
        assert!(is_same_host("docker.io", "index.docker.io"));
        assert!(is_same_host("a.azurecr.io", "A.azurecr.io"));
        assert!(!is_same_host("a.azurecr.io", "b.azurecr.io"));
        assert!(!is_same_host("docker.io", "ghcr.io"));
    }
}
