//! Bringing the images into the registry.

use std::time::{Duration, Instant};

use actions_toolkit::{BadInput, Context, Secret};
use anyhow::Context as _;
use azure::{Directory, LoginServer, ResourceManager, TOKEN_USER};
use container::{Auth, Credentials, Engine, ImageRef};

use crate::request::{AzureInputs, Request};

const HEARTBEAT: Duration = Duration::from_secs(10);

/// The registry, signed in.
pub(crate) struct Registry {
    server: LoginServer,
    token: Secret,
    client: container::Registry,
}

/// Every image must be in the engine before anything is started.
pub(crate) async fn check(engine: &Engine, request: &Request) -> anyhow::Result<()> {
    for (input, image) in std::iter::once(("image", &request.image))
        .chain(request.also_push.iter().map(|i| ("also-push", i)))
    {
        if engine.inspect(image).await?.is_none() {
            return Err(BadInput::of(
                input,
                format!("the engine has no image `{image}`; build or pull it in an earlier step"),
            )
            .into());
        }
    }
    Ok(())
}

impl Registry {
    /// Sign in with a token of the run's identity.
    pub(crate) async fn sign_in(
        ctx: &Context,
        directory: &Directory<'_>,
        manager: &ResourceManager<'_>,
        azure: &AzureInputs,
    ) -> anyhow::Result<Self> {
        let server = manager
            .login_server(&azure.registry, azure.registry_group.as_deref())
            .await?;
        let token = server.refresh_token(ctx, directory).await?;
        let credentials = Credentials {
            username: TOKEN_USER.into(),
            password: token.expose().to_owned(),
        };
        let client =
            container::Registry::new(ctx.http()?.clone(), &server.0, Auth::Basic(credentials));
        Ok(Self {
            server,
            token,
            client,
        })
    }

    /// Push every image of the request, and return the deployed one by digest.
    pub(crate) async fn push_all(
        &self,
        ctx: &Context,
        engine: &Engine,
        request: &Request,
    ) -> anyhow::Result<ImageRef> {
        for image in request
            .also_push
            .iter()
            .filter(|image| **image != request.image)
        {
            self.push(ctx, engine, image, request.repository_of(image))
                .await?;
        }
        self.push(ctx, engine, &request.image, &request.repository)
            .await
    }

    async fn push(
        &self,
        ctx: &Context,
        engine: &Engine,
        image: &ImageRef,
        repository: &str,
    ) -> anyhow::Result<ImageRef> {
        let target = image.moved_to(&self.server.0, repository)?;
        engine.tag(image, &target).await?;
        let credentials = Credentials {
            username: TOKEN_USER.into(),
            password: self.token.expose().to_owned(),
        };
        let begun = Instant::now();
        let mut pushed = std::pin::pin!(engine.push(&target, &credentials));
        let digest = loop {
            tokio::select! {
                digest = &mut pushed => break digest?,
                () = tokio::time::sleep(HEARTBEAT) => {
                    let seconds = begun.elapsed().as_secs();
                    ctx.log().info(format!("pushing {target} ({seconds} s)"));
                }
            }
        };
        // The registry's own word, not the engine's.
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
