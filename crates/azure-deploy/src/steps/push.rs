//! Push the images to the registry.

use actions_toolkit::{Context, with_timeout};
use anyhow::Context as _;
use docker::Docker;
use futures_util::future::try_join_all;
use oci::{Auth, Credentials, ImageRef};

use super::connect::Azure;
use crate::action::Inputs as RequestInputs;
use crate::request::{RegistryTarget, Request};

/// The registry after the sign-in.
pub(crate) struct Registry {
    credentials: Option<Credentials>,
    client: oci::Registry,
}

impl Registry {
    /// Sign in: with a token of the run's identity at a registry of Azure, with `username` and `password` elsewhere. The
    /// password goes to Docker, for the push, and to the registry's client.
    ///
    /// # Errors
    /// When Azure has no such registry, or the identity has no rights in it.
    pub(crate) async fn sign_in(
        ctx: &Context,
        azure: Option<&Azure>,
        registry: &RegistryTarget,
    ) -> anyhow::Result<Self> {
        let (host, credentials) = match (registry, azure) {
            (RegistryTarget::Azure { name, group }, Some(azure)) => {
                let server = azure.manager.login_server(name, group.as_deref()).await?;
                let credentials = server.credentials(&azure.entra).await?;
                (server.host().to_owned(), Some(credentials))
            }
            (RegistryTarget::Host { host, credentials }, _) => (host.clone(), credentials.clone()),
            (RegistryTarget::Azure { .. }, None) => {
                anyhow::bail!("the run is not signed in to Azure")
            }
        };
        let auth = credentials.clone().map_or(Auth::Anonymous, Auth::Password);
        let log = ctx.log().clone();
        let mask = move |secret: &str| log.mask(secret);
        let client = oci::Registry::new(ctx.http()?.clone(), &host, auth, mask);
        Ok(Self {
            credentials,
            client,
        })
    }

    /// Push every image of the request, in parallel: Docker sends a layer that several have only once. Returns the deployed
    /// one by digest.
    ///
    /// # Errors
    /// When a push fails permanently or times out, or the registry does not have what was pushed.
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
        let timeout = (RequestInputs::push_timeout, request.timeouts.push);
        let what = format!("the push of {target}");
        let log = ctx.log();
        let credentials = self.credentials.as_ref();
        let push = docker.push_with_retries(&target, credentials, |e| {
            log.info(format!("{e:#}; retrying the push"));
        });
        let digest = with_timeout(log, &what, timeout, push).await??;
        // As the registry reports it, not Docker.
        let manifest = self
            .client
            .manifest(target.repository(), digest.as_str())
            .await?;
        manifest.with_context(|| {
            format!("`{target}` was pushed, but the registry does not have {digest}")
        })?;
        ctx.log().info(format!("pushed {target} ({digest})"));
        Ok(target.with_digest(&digest))
    }

    /// Move the tag `latest` to `image`.
    ///
    /// # Errors
    /// When the registry rejects the tag, or no longer has the image.
    pub(crate) async fn move_latest(&self, image: &ImageRef) -> anyhow::Result<()> {
        let manifest = self
            .client
            .manifest(image.repository(), image.reference())
            .await?;
        let manifest =
            manifest.with_context(|| format!("`{image}` is no longer in the registry"))?;
        self.client
            .tag(image.repository(), "latest", &manifest)
            .await
    }
}
