//! Bringing the images into the registry.

use std::time::Duration;

use actions_toolkit::{BadInput, Context, with_timeout};
use anyhow::Context as _;
use azure::TOKEN_USER;
use docker::Docker;
use futures_util::future::try_join_all;
use oci::{Auth, Credentials, Digest, ImageRef};

use crate::login::Login;
use crate::request::{RegistryInput, Request};

/// Docker tries each layer five times; the manifest, and the whole, it does not.
const ATTEMPTS: u64 = 3;

/// The registry, signed in.
pub(crate) struct Registry {
    credentials: Option<Credentials>,
    client: oci::Registry,
}

/// Every image must be in Docker before anything is started.
pub(crate) async fn check(docker: &Docker, request: &Request) -> anyhow::Result<()> {
    for (input, image) in std::iter::once(("image", &request.image))
        .chain(request.also_push.iter().map(|i| ("also-push", i)))
    {
        if docker.inspect(image).await?.is_none() {
            return Err(BadInput::new(
                input,
                format!("Docker has no image `{image}`; build or pull it in an earlier step"),
            )
            .into());
        }
    }
    Ok(())
}

// Whether another attempt may do: who is not allowed to push will not be then
// (github.com/opencontainers/distribution-spec, error codes).
fn passes(error: &anyhow::Error) -> bool {
    let said = format!("{error:#}").to_lowercase();
    let refusals = ["denied", "unauthorized", "authentication required"];
    !refusals.iter().any(|refusal| said.contains(refusal))
}

impl Registry {
    /// Sign in: with a token of the run's identity at a registry of Azure, with the given user elsewhere.
    pub(crate) async fn sign_in(
        ctx: &Context,
        login: Option<&Login>,
        registry: &RegistryInput,
    ) -> anyhow::Result<Self> {
        let (host, credentials) = match (registry, login) {
            (RegistryInput::Azure { name, group }, Some(login)) => {
                let server = login.manager.login_server(name, group.as_deref()).await?;
                let token = server.refresh_token(&login.directory).await?;
                let credentials = Credentials {
                    username: TOKEN_USER.into(),
                    password: token.expose().to_owned(),
                };
                (server.0, Some(credentials))
            }
            (RegistryInput::Host { host, credentials }, _) => (host.clone(), credentials.clone()),
            (RegistryInput::Azure { .. }, None) => anyhow::bail!("nobody signed in to Azure"),
        };
        let auth = credentials.clone().map_or(Auth::Anonymous, Auth::Basic);
        let client = oci::Registry::new(ctx.http()?.clone(), &host, auth);
        Ok(Self {
            credentials,
            client,
        })
    }

    /// Push every image of the request, all at once: Docker sends a layer that several have only once. The deployed one
    /// is returned by digest.
    pub(crate) async fn push_all(
        &self,
        ctx: &Context,
        docker: &Docker,
        request: &Request,
    ) -> anyhow::Result<ImageRef> {
        let others = request
            .also_push
            .iter()
            .filter(|image| **image != request.image)
            .map(|image| self.push(ctx, docker, request, image));
        let deployed = self.push(ctx, docker, request, &request.image);
        let (_, deployed) = tokio::try_join!(try_join_all(others), deployed)?;
        Ok(deployed)
    }

    async fn push(
        &self,
        ctx: &Context,
        docker: &Docker,
        request: &Request,
        image: &ImageRef,
    ) -> anyhow::Result<ImageRef> {
        let repository = request.repository_of(image);
        let target = image.moved_to(self.client.host(), repository)?;
        docker.tag(image, &target).await?;
        let limit = ("push-timeout", request.limits.push);
        let what = format!("the push of {target}");
        let digest =
            with_timeout(ctx.log(), &what, limit, self.attempts(ctx, docker, &target)).await??;
        // The registry's own word, not Docker's.
        let held = self
            .client
            .manifest(target.repository(), digest.as_str())
            .await?;
        held.with_context(|| {
            format!("`{target}` was pushed, but the registry does not have {digest}")
        })?;
        ctx.log().info(format!("pushed {target} ({digest})"));
        Ok(target.with_digest(&digest))
    }

    async fn attempts(
        &self,
        ctx: &Context,
        docker: &Docker,
        target: &ImageRef,
    ) -> anyhow::Result<Digest> {
        let log = ctx.log();
        let mut attempt = 1;
        loop {
            match docker.push(target, self.credentials.as_ref()).await {
                Err(e) if attempt < ATTEMPTS && passes(&e) => {
                    log.info(format!("{e:#}; it is pushed once more"));
                    tokio::time::sleep(Duration::from_secs(attempt)).await;
                    attempt += 1;
                }
                pushed => return pushed,
            }
        }
    }

    /// Let `latest` point to `image`.
    pub(crate) async fn move_latest(&self, image: &ImageRef) -> anyhow::Result<()> {
        let manifest = self
            .client
            .manifest(image.repository(), image.reference())
            .await?;
        let manifest = manifest.with_context(|| format!("`{image}` is gone from the registry"))?;
        self.client
            .tag(image.repository(), "latest", &manifest)
            .await
    }
}
