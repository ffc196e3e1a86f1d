//! The Docker daemon over its socket.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, anyhow, bail};
use bollard::Docker as Bollard;
use bollard::auth::DockerCredentials;
use bollard::errors::Error as DockerError;
use bollard::query_parameters::{
    CreateImageOptionsBuilder, PushImageOptionsBuilder, RemoveImageOptions, TagImageOptionsBuilder,
};
use futures_util::StreamExt as _;
use oci::{Credentials, Digest, ImageRef};
use tokio::sync::RwLock;

/// Seconds that a single answer of Docker may take.
const ANSWER_LIMIT: u64 = 600;

/// A connection to Docker.
#[derive(Clone)]
pub struct Docker {
    pub(crate) api: Bollard,
    /// Where it listens.
    pub(crate) socket: Arc<Path>,
    /// Held by what brings something into being: whoever cleans up waits for its end.
    pub(crate) making: Arc<RwLock<()>>,
}

impl Docker {
    /// Connect to Docker: `host` is the value of `DOCKER_HOST`, by default
    /// `unix:///var/run/docker.sock`; the API version is the newest that both sides know.
    ///
    /// # Errors
    /// When no daemon answers there.
    pub async fn connect(host: Option<&str>) -> anyhow::Result<Self> {
        let host = host.unwrap_or("unix:///var/run/docker.sock");
        let Some(path) = host.strip_prefix("unix://") else {
            bail!("DOCKER_HOST is `{host}`, but only a unix socket (`unix:///path`) can be used");
        };
        let cure = || {
            format!(
                "while connecting to Docker at `{path}`: is Docker running, and is its socket mounted into this container?"
            )
        };
        if !Path::new(path).exists() {
            return Err(anyhow!("there is no such socket").context(cure()));
        }
        let api = Bollard::connect_with_unix(path, ANSWER_LIMIT, bollard::API_DEFAULT_VERSION)
            .with_context(cure)?
            .negotiate_version()
            .await
            .with_context(cure)?;
        Ok(Self {
            api,
            socket: Path::new(path).into(),
            making: Arc::default(),
        })
    }

    /// Docker's version, `20.10.24`.
    ///
    /// # Errors
    /// When Docker does not answer.
    pub async fn version(&self) -> anyhow::Result<String> {
        let version = self
            .api
            .version()
            .await
            .context("while asking Docker for its version")?;
        Ok(version.version.unwrap_or_default())
    }

    /// Give the image `source` the name `target` as well.
    ///
    /// # Errors
    /// When there is no such image.
    pub async fn tag(&self, source: &ImageRef, target: &ImageRef) -> anyhow::Result<()> {
        let options = TagImageOptionsBuilder::default()
            .repo(&target.without_version())
            .tag(target.tag().unwrap_or("latest"))
            .build();
        self.api
            .tag_image(&source.to_string(), Some(options))
            .await
            .with_context(|| format!("while tagging `{source}` as `{target}`"))
    }

    /// Take the name `image` away; the layers go with the last name. A missing image is no error.
    ///
    /// # Errors
    /// When Docker refuses.
    pub async fn untag(&self, image: &ImageRef) -> anyhow::Result<()> {
        match self
            .api
            .remove_image(&image.to_string(), None::<RemoveImageOptions>, None)
            .await
        {
            Ok(_)
            | Err(DockerError::DockerResponseServerError {
                status_code: 404, ..
            }) => Ok(()),
            Err(e) => Err(e).with_context(|| format!("while removing the name `{image}`")),
        }
    }

    /// Fetch `image` from its registry.
    ///
    /// # Errors
    /// With Docker's own message when that fails.
    pub async fn pull(
        &self,
        image: &ImageRef,
        credentials: Option<&Credentials>,
    ) -> anyhow::Result<()> {
        let options = CreateImageOptionsBuilder::default()
            .from_image(&image.without_version())
            .tag(image.reference())
            .build();
        let credentials = credentials
            .map(|c| docker_credentials(image, c))
            .transpose()?;
        let mut progress = self.api.create_image(Some(options), None, credentials);
        while let Some(step) = progress.next().await {
            step.with_context(|| format!("while pulling `{image}`"))?;
        }
        Ok(())
    }

    /// Push `image` to the registry in its name, and return the digest of its manifest there. Without
    /// `credentials` nobody signs in.
    ///
    /// # Errors
    /// With Docker's own message when that fails.
    pub async fn push<'a>(
        &self,
        image: &ImageRef,
        credentials: impl Into<Option<&'a Credentials>>,
    ) -> anyhow::Result<Digest> {
        let credentials = credentials.into();
        let options = PushImageOptionsBuilder::default()
            .tag(image.tag().unwrap_or("latest"))
            .build();
        let repository = image.without_version();
        let mut said = None;
        {
            let mut progress = self.api.push_image(
                &repository,
                Some(options),
                Some(credentials.map_or_else(
                    || Ok(DockerCredentials::default()),
                    |given| docker_credentials(image, given),
                )?),
            );
            while let Some(step) = progress.next().await {
                let step = step.with_context(|| format!("while pushing `{image}`"))?;
                if let Some(error) = step.error_detail.and_then(|e| e.message) {
                    return Err(anyhow!(error).context(format!("while pushing `{image}`")));
                }
                // The last line: `1.0: digest: sha256:… size: 1234`.
                said = step.status.as_deref().and_then(digest_in).or(said);
            }
        }
        if let Some(digest) = said {
            return Ok(digest);
        }
        let info = self.inspect(image).await?;
        let known = info
            .iter()
            .flat_map(|info| &info.repo_digests)
            .find_map(|known| {
                known
                    .strip_prefix(&repository)?
                    .strip_prefix('@')?
                    .parse()
                    .ok()
            });
        known.with_context(|| format!("Docker did not say which digest `{image}` was pushed under"))
    }
}

fn digest_in(status: &str) -> Option<Digest> {
    status
        .split_once("digest: ")?
        .1
        .split(' ')
        .next()?
        .parse()
        .ok()
}

// Docker reads X-Registry-Auth as URL-safe base64, but the client library writes the standard
// alphabet. Where the two differ Docker drops the credentials without a word and the registry
// answers "no basic auth credentials"; so such credentials are refused here, by name.
fn docker_credentials(image: &ImageRef, given: &Credentials) -> anyhow::Result<DockerCredentials> {
    use base64::Engine as _;
    let credentials = DockerCredentials {
        username: Some(given.username.clone()),
        password: Some(given.password.clone()),
        serveraddress: image.registry().map(ToOwned::to_owned),
        ..Default::default()
    };
    let json = serde_json::to_vec(&credentials).context("while preparing registry credentials")?;
    if base64::engine::general_purpose::STANDARD
        .encode(json)
        .contains(['+', '/'])
    {
        bail!(
            "the password for `{}` has characters that Docker cannot be handed; use a token instead",
            image.registry().unwrap_or("docker.io")
        );
    }
    Ok(credentials)
}

#[cfg(test)]
mod tests;
