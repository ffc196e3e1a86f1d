//! Push the images to the registry, or copy them from another one.

use std::sync::Arc;

use actions_toolkit::{Context, text::plural, with_timeout};
use anyhow::Context as _;
use docker::Docker;
use futures_util::future::try_join_all;
use oci::{Auth, Credentials, ImageRef, RawManifest};

use super::connect::Azure;
use super::images::{Resolved, Source};
use crate::action::Inputs as RequestInputs;
use crate::request::{RegistryTarget, Request};

/// The registry after the sign-in.
pub(crate) struct Registry {
    credentials: Option<Credentials>,
    client: Arc<oci::Registry>,
}

/// A client of the registry `host`.
pub(super) fn client(ctx: &Context, host: &str, auth: Auth) -> anyhow::Result<Arc<oci::Registry>> {
    let (http, mask) = (ctx.http()?.clone(), ctx.log().masker());
    Ok(Arc::new(oci::Registry::new(http, host, auth, mask)))
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
        let client = client(ctx, &host, auth)?;
        Ok(Self {
            credentials,
            client,
        })
    }

    /// Its API.
    pub(super) fn client(&self) -> &Arc<oci::Registry> {
        &self.client
    }

    /// Push or copy every image of the request, in parallel: Docker sends a layer that several have only once. Returns `image` and
    /// those of `also-deploy` by digest.
    ///
    /// # Errors
    /// When a push fails permanently or times out, or the registry does not have what was pushed.
    pub(crate) async fn push_all(
        &self,
        ctx: &Context,
        images: &Resolved,
        request: &Request,
    ) -> anyhow::Result<(ImageRef, Vec<ImageRef>)> {
        let is_deployed = |image: &ImageRef| {
            let mut deployed = images.deployed.iter();
            deployed.any(|source| matches!(source, Source::Docker(other) if other == image))
        };
        let others = request
            .also_push
            .iter()
            .filter(|image| !is_deployed(image))
            .map(|image| self.push(ctx, images.docker.as_ref(), request, image));
        let deployed = images.deployed.iter().map(async |source| match source {
            Source::Docker(image) => {
                let docker = images.docker.as_ref();
                self.push(ctx, docker, request, image).await
            }
            Source::Here(pinned) => Ok(pinned.clone()),
            Source::Elsewhere {
                image,
                manifest,
                registry,
            } => self.copy(ctx, request, registry, image, manifest).await,
        });
        let (_, mut deployed) = tokio::try_join!(try_join_all(others), try_join_all(deployed))?;
        let more = deployed.split_off(1.min(deployed.len()));
        let image = deployed.pop().context("there is no image to deploy")?;
        Ok((image, more))
    }

    /// What [`Registry::push_all`] would return, with what it would do in the log: an image that is in Docker has its tag in place of
    /// the digest, which is known after the push.
    ///
    /// # Errors
    /// When a name is not valid in the registry.
    pub(crate) fn show(
        &self,
        ctx: &Context,
        images: &Resolved,
        request: &Request,
    ) -> anyhow::Result<(ImageRef, Vec<ImageRef>)> {
        let log = ctx.log();
        let target =
            |image: &ImageRef| image.moved_to(self.client.host(), request.repository_of(image));
        let is_deployed = |image: &ImageRef| {
            let mut deployed = images.deployed.iter();
            deployed.any(|source| matches!(source, Source::Docker(other) if other == image))
        };
        for image in request.also_push.iter().filter(|i| !is_deployed(i)) {
            log.info(format!("{image} would be pushed to {}", target(image)?));
        }
        let mut deployed = Vec::new();
        for source in &images.deployed {
            deployed.push(match source {
                Source::Docker(image) => {
                    let target = target(image)?;
                    log.info(format!("{image} would be pushed to {target}"));
                    target
                }
                Source::Here(pinned) => pinned.clone(),
                Source::Elsewhere {
                    image, manifest, ..
                } => {
                    let target = target(image)?;
                    log.info(format!("{image} would be copied to {target}"));
                    target.with_digest(&manifest.digest)
                }
            });
        }
        let more = deployed.split_off(1.min(deployed.len()));
        let image = deployed.pop().context("there is no image to deploy")?;
        Ok((image, more))
    }

    // The same image by digest here, with what refers to it.
    async fn copy(
        &self,
        ctx: &Context,
        request: &Request,
        source: &oci::Registry,
        image: &ImageRef,
        manifest: &RawManifest,
    ) -> anyhow::Result<ImageRef> {
        let repository = request.repository_of(image);
        let target = image.moved_to(self.client.host(), repository)?;
        let what = format!("the copy of {image}");
        let timeout = (RequestInputs::push_timeout, request.timeouts.push);
        let from = image.repository();
        let copy = self
            .client
            .copy_from(source, from, repository, manifest, image.tag());
        let copied = with_timeout(ctx.log(), &what, timeout, copy).await??;
        ctx.log().info(format!(
            "copied {image} to {target}: {} with {}; of the layers and configurations, {} were there, {} were mounted, and {} bytes were transferred",
            plural(copied.manifests, "manifest"),
            plural(copied.referrers, "referrer"),
            copied.present,
            copied.mounted,
            copied.bytes
        ));
        Ok(target.with_digest(&manifest.digest))
    }

    async fn push(
        &self,
        ctx: &Context,
        docker: Option<&Docker>,
        request: &Request,
        image: &ImageRef,
    ) -> anyhow::Result<ImageRef> {
        let docker = docker.context("Docker is not connected")?;
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
