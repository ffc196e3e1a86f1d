//! The connection to the Docker daemon: tag, pull and push.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use backon::Retryable as _;
use bollard::Docker as Bollard;
use bollard::auth::DockerCredentials;
use bollard::errors::Error as DockerError;
use bollard::query_parameters::{
    CreateImageOptionsBuilder, PushImageOptionsBuilder, RemoveImageOptions, TagImageOptionsBuilder,
};
use futures_util::StreamExt as _;
use oci::{Credentials, Digest, ImageRef};
use tokio::sync::RwLock;

/// The timeout of one request, in seconds.
const REQUEST_TIMEOUT: u64 = 600;
/// How long a run may take if nothing else is known: longer than any, since what it has made is removed after that.
const LIFETIME: Duration = Duration::from_hours(24);

/// Pauses between the attempts of a push. Docker tries each layer five times, but not the manifest and the push as a whole.
const PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(2)];

/// A connection to the Docker daemon.
#[derive(Clone)]
pub struct Docker {
    pub(crate) api: Bollard,
    /// The path of its socket.
    pub(crate) socket: Arc<Path>,
    /// Held while a container or image is created: a clean-up waits for it.
    pub(crate) making: Arc<RwLock<()>>,
    /// The longest time that the run takes.
    pub(crate) lifetime: Duration,
}

impl Docker {
    /// Connect to Docker: `host` is the value of `DOCKER_HOST`, by default
    /// `unix:///var/run/docker.sock`; the API version is the newest that both sides support.
    ///
    /// # Errors
    /// When no daemon responds there.
    pub async fn connect(host: Option<&str>) -> anyhow::Result<Self> {
        let host = host.unwrap_or("unix:///var/run/docker.sock");
        let Some(path) = host.strip_prefix("unix://") else {
            bail!(
                "`DOCKER_HOST` is `{host}`, but only a unix socket (`unix:///path`) is supported"
            );
        };
        let failed = |cause: &dyn std::fmt::Display| {
            anyhow!(
                "failed to connect to Docker at `{path}`: {cause}; is Docker running, and is its socket mounted into this container?"
            )
        };
        if !Path::new(path).exists() {
            return Err(failed(&"the socket does not exist"));
        }
        let api = Bollard::connect_with_unix(path, REQUEST_TIMEOUT, bollard::API_DEFAULT_VERSION)
            .map_err(|e| failed(&e))?
            .negotiate_version()
            .await
            .map_err(|e| failed(&e))?;
        Ok(Self {
            api,
            socket: Path::new(path).into(),
            making: Arc::default(),
            lifetime: LIFETIME,
        })
    }

    /// The run takes less than `lifetime`, by default a day: what it leaves if it is killed may be removed after that.
    #[must_use]
    pub fn with_lifetime(self, lifetime: Duration) -> Self {
        Self { lifetime, ..self }
    }

    /// What `request` makes, which is removed with its run. Docker carries out a request even if its client disconnects: one whose
    /// caller is canceled continues in its own task, and a clean-up waits for it.
    pub(crate) async fn carry_out<F>(
        &self,
        request: impl FnOnce(Self) -> F,
    ) -> Result<F::Output, tokio::task::JoinError>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        let making = Arc::clone(&self.making).read_owned().await;
        let request = request(self.clone());
        let carry_out = async move {
            let _making = making;
            request.await
        };
        tokio::spawn(carry_out).await
    }

    /// The version of the daemon: `20.10.24`.
    ///
    /// # Errors
    /// When Docker does not respond.
    pub async fn version(&self) -> anyhow::Result<String> {
        let version = self
            .api
            .version()
            .await
            .context("failed to get Docker's version")?;
        Ok(version.version.unwrap_or_default())
    }

    /// Add the name `target` to the image `source`.
    ///
    /// # Errors
    /// When the image does not exist.
    pub async fn tag(&self, source: &ImageRef, target: &ImageRef) -> anyhow::Result<()> {
        let options = TagImageOptionsBuilder::default()
            .repo(&target.without_version())
            .tag(target.tag().unwrap_or("latest"))
            .build();
        self.api
            .tag_image(&source.to_string(), Some(options))
            .await
            .with_context(|| format!("failed to tag `{source}` as `{target}`"))
    }

    /// Remove the name `image`; the layers are removed with the last name. A missing image is not an error.
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
            // Another name of the image was removed at the same time, and the image with it (moby, layer and image stores).
            Err(DockerError::DockerResponseServerError { message, .. })
                if message.starts_with("unrecognized image ID") =>
            {
                Ok(())
            }
            Err(e) => Err(e).with_context(|| format!("failed to remove the name `{image}`")),
        }
    }

    /// Pull `image` from its registry.
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
            step.with_context(|| format!("failed to pull `{image}`"))?;
        }
        Ok(())
    }

    /// Push `image` to the registry in its name, and return the digest of its manifest there. Without
    /// `credentials` the push is anonymous.
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
        let mut pushed = None;
        {
            let mut progress = self.api.push_image(
                &repository,
                Some(options),
                Some(credentials.map_or_else(
                    || Ok(DockerCredentials::default()),
                    |credentials| docker_credentials(image, credentials),
                )?),
            );
            while let Some(step) = progress.next().await {
                let step = step.with_context(|| format!("failed to push `{image}`"))?;
                if let Some(error) = step.error_detail.and_then(|e| e.message) {
                    return Err(anyhow!(error).context(format!("failed to push `{image}`")));
                }
                // The last line: `1.0: digest: sha256:… size: 1234`.
                pushed = step.status.as_deref().and_then(digest_in).or(pushed);
            }
        }
        if let Some(digest) = pushed {
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
        known.with_context(|| {
            format!("Docker did not report the digest that `{image}` was pushed under")
        })
    }
}

impl Docker {
    /// Push `image` as [`Docker::push`] does, up to three times: only a lack of rights is permanent. `on_retry` gets the
    /// failure before each further attempt.
    ///
    /// # Errors
    /// Those of the last attempt.
    pub async fn push_with_retries(
        &self,
        image: &ImageRef,
        credentials: Option<&Credentials>,
        mut on_retry: impl FnMut(&anyhow::Error),
    ) -> anyhow::Result<Digest> {
        (|| self.push(image, credentials))
            .retry(PAUSES.into_iter())
            .when(|e| !oci::is_denied(&format!("{e:#}")))
            .notify(|e, _| on_retry(e))
            .await
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
// alphabet. Where the two differ Docker silently drops the credentials, and the registry responds with
// "no basic auth credentials"; so such credentials are rejected here.
fn docker_credentials(
    image: &ImageRef,
    credentials: &Credentials,
) -> anyhow::Result<DockerCredentials> {
    use base64::Engine as _;
    let credentials = DockerCredentials {
        username: Some(credentials.username.clone()),
        password: Some(credentials.password.clone()),
        serveraddress: image.registry().map(ToOwned::to_owned),
        ..Default::default()
    };
    let json =
        serde_json::to_vec(&credentials).context("failed to prepare the registry credentials")?;
    if base64::engine::general_purpose::STANDARD
        .encode(json)
        .contains(['+', '/'])
    {
        bail!(
            "the password for `{}` has characters that cannot be passed to Docker; use a token instead",
            image.registry().unwrap_or("docker.io")
        );
    }
    Ok(credentials)
}

#[cfg(test)]
mod tests;
