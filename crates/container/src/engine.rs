//! The Docker Engine over its socket.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, anyhow, bail};
use bollard::Docker;
use bollard::auth::DockerCredentials;
use bollard::errors::Error as DockerError;
use bollard::query_parameters::{
    CreateImageOptionsBuilder, PushImageOptionsBuilder, RemoveImageOptions, TagImageOptionsBuilder,
};
use futures_util::StreamExt as _;
use tokio::sync::RwLock;

use crate::{Digest, ImageRef};

/// Seconds that a single answer of the engine may take.
const ANSWER_LIMIT: u64 = 600;

/// A connection to the engine.
#[derive(Clone)]
pub struct Engine {
    pub(crate) docker: Docker,
    /// Where it listens.
    pub(crate) socket: Arc<Path>,
    /// Held by what brings something into being: whoever cleans up waits for its end.
    pub(crate) making: Arc<RwLock<()>>,
}

/// A user name and password for a registry.
#[derive(Clone)]
pub struct Credentials {
    /// The user name.
    pub username: String,
    /// The password or token.
    pub password: String,
}

/// What the engine says of an image.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImageInfo {
    /// The image's id: the digest of its configuration.
    pub id: String,
    /// `repository@digest` of every registry that it was pushed to or pulled from.
    pub repo_digests: Vec<String>,
    /// Operating system, `linux`.
    pub os: String,
    /// Architecture, `amd64`.
    pub architecture: String,
    /// Digests of the uncompressed layers, from the base up.
    pub diff_ids: Vec<String>,
    /// Size of all layers in bytes.
    pub size: u64,
    /// When it was made, as RFC 3339; a build from the cache has the time of the first one. Empty if nobody says.
    pub created: String,
    /// What a container of the image runs as and with.
    pub config: ImageConfig,
}

/// One instruction of an image's history.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Layer {
    /// The instruction, without the builder's own words.
    pub instruction: String,
    /// Bytes that it added; an instruction that changes no file adds none.
    pub size: u64,
}

/// The part of an image's configuration that decides how its containers behave.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImageConfig {
    /// `USER`.
    pub user: String,
    /// `ENTRYPOINT`.
    pub entrypoint: Vec<String>,
    /// `CMD`.
    pub cmd: Vec<String>,
    /// `ENV`, as `NAME=value`.
    pub env: Vec<String>,
    /// `WORKDIR`.
    pub working_dir: String,
    /// `EXPOSE`, as `8000/tcp`.
    pub exposed_ports: Vec<String>,
    /// `LABEL`.
    pub labels: BTreeMap<String, String>,
    /// `HEALTHCHECK`, its command.
    pub healthcheck: Vec<String>,
    /// `STOPSIGNAL`.
    pub stop_signal: String,
}

impl Engine {
    /// Connect to the engine: `host` is the value of `DOCKER_HOST`, by default
    /// `unix:///var/run/docker.sock`; the API version is the newest that both sides know.
    ///
    /// # Errors
    /// When no engine answers there.
    pub async fn connect(host: Option<&str>) -> anyhow::Result<Self> {
        let host = host.unwrap_or("unix:///var/run/docker.sock");
        let Some(path) = host.strip_prefix("unix://") else {
            bail!("DOCKER_HOST is `{host}`, but only a unix socket (`unix:///path`) can be used");
        };
        let cure = || {
            format!(
                "while connecting to the container engine at `{path}`: is Docker running, and is its socket mounted into this container?"
            )
        };
        if !Path::new(path).exists() {
            return Err(anyhow!("there is no such socket").context(cure()));
        }
        let docker = Docker::connect_with_unix(path, ANSWER_LIMIT, bollard::API_DEFAULT_VERSION)
            .with_context(cure)?
            .negotiate_version()
            .await
            .with_context(cure)?;
        Ok(Self {
            docker,
            socket: Path::new(path).into(),
            making: Arc::default(),
        })
    }

    /// The engine's version, `20.10.24`.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub async fn version(&self) -> anyhow::Result<String> {
        let version = self
            .docker
            .version()
            .await
            .context("while asking the engine for its version")?;
        Ok(version.version.unwrap_or_default())
    }

    /// What the engine says of `image`, or `None` if it does not have it.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub async fn inspect(&self, image: &ImageRef) -> anyhow::Result<Option<ImageInfo>> {
        let found = match self.docker.inspect_image(&image.to_string()).await {
            Ok(found) => found,
            Err(DockerError::DockerResponseServerError {
                status_code: 404, ..
            }) => return Ok(None),
            Err(e) => return Err(e).with_context(|| format!("while inspecting `{image}`")),
        };
        let config = found.config.unwrap_or_default();
        Ok(Some(ImageInfo {
            id: found.id.unwrap_or_default(),
            repo_digests: found.repo_digests.unwrap_or_default(),
            os: found.os.unwrap_or_default(),
            architecture: found.architecture.unwrap_or_default(),
            diff_ids: found.root_fs.and_then(|fs| fs.layers).unwrap_or_default(),
            size: found
                .size
                .and_then(|size| u64::try_from(size).ok())
                .unwrap_or_default(),
            created: found
                .created
                .map(|time| rfc3339(time.unix_timestamp_nanos()))
                .unwrap_or_default(),
            config: ImageConfig {
                user: config.user.unwrap_or_default(),
                entrypoint: config.entrypoint.unwrap_or_default(),
                cmd: config.cmd.unwrap_or_default(),
                env: config.env.unwrap_or_default(),
                working_dir: config.working_dir.unwrap_or_default(),
                exposed_ports: config.exposed_ports.unwrap_or_default(),
                labels: config.labels.unwrap_or_default().into_iter().collect(),
                healthcheck: config.healthcheck.and_then(|h| h.test).unwrap_or_default(),
                stop_signal: config.stop_signal.unwrap_or_default(),
            },
        }))
    }

    /// The instructions that made the image with the id `id`, from the base up.
    ///
    /// # Errors
    /// When the engine does not answer or does not have it.
    pub async fn layers(&self, id: &str) -> anyhow::Result<Vec<Layer>> {
        let history = self
            .docker
            .image_history(id)
            .await
            .with_context(|| format!("while reading the history of `{id}`"))?;
        let layers = history.into_iter().rev().map(|entry| Layer {
            instruction: instruction(&entry.created_by),
            size: u64::try_from(entry.size).unwrap_or_default(),
        });
        Ok(layers.collect())
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
        self.docker
            .tag_image(&source.to_string(), Some(options))
            .await
            .with_context(|| format!("while tagging `{source}` as `{target}`"))
    }

    /// Take the name `image` away; the layers go with the last name. A missing image is no error.
    ///
    /// # Errors
    /// When the engine refuses.
    pub async fn untag(&self, image: &ImageRef) -> anyhow::Result<()> {
        match self
            .docker
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
    /// With the engine's own message when that fails.
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
        let mut progress = self.docker.create_image(Some(options), None, credentials);
        while let Some(step) = progress.next().await {
            step.with_context(|| format!("while pulling `{image}`"))?;
        }
        Ok(())
    }

    /// Push `image` to the registry in its name, and return the digest of its manifest there. Without
    /// `credentials` nobody signs in.
    ///
    /// # Errors
    /// With the engine's own message when that fails.
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
            let mut progress = self.docker.push_image(
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
        known.with_context(|| {
            format!("the engine did not say which digest `{image}` was pushed under")
        })
    }
}

// `RUN /bin/sh -c apt-get … # buildkit`, `/bin/sh -c #(nop)  CMD ["bash"]`.
// The engine's own form; that of the type which carries it here has no zero before an hour of one digit.
fn rfc3339(nanoseconds: i128) -> String {
    jiff::Timestamp::from_nanosecond(nanoseconds)
        .map_or_else(|_| String::new(), |time| time.to_string())
}

fn instruction(created_by: &str) -> String {
    let text = created_by.trim_end_matches("# buildkit").trim();
    let text = text.strip_prefix("/bin/sh -c #(nop)").unwrap_or(text);
    let words: Vec<_> = text.split_whitespace().collect();
    words.join(" ").replace("RUN /bin/sh -c ", "RUN ")
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

// The engine reads X-Registry-Auth as URL-safe base64, but the client library writes the standard
// alphabet. Where the two differ the engine drops the credentials without a word and the registry
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
            "the password for `{}` has characters that the engine cannot be handed; use a token instead",
            image.registry().unwrap_or("docker.io")
        );
    }
    Ok(credentials)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_in_the_small_hours_is_rfc_3339() {
        // 2026-11-24, ten past one.
        assert_eq!(
            rfc3339(1_795_482_639_292_456_824),
            "2026-11-24T01:10:39.292456824Z"
        );
    }

    #[test]
    fn the_pushed_digest_stands_in_the_last_line() {
        let hex = "ab".repeat(32);
        let line = format!("1.0: digest: sha256:{hex} size: 1160");
        assert_eq!(digest_in(&line).unwrap().hex(), hex);
        assert_eq!(digest_in("Pushed"), None);
    }

    #[test]
    fn credentials_that_would_be_dropped_are_refused() {
        let image: ImageRef = "drydock.azurecr.io/a:1".parse().unwrap();
        let with = |password: &str| {
            let given = Credentials {
                username: "u".into(),
                password: password.into(),
            };
            docker_credentials(&image, &given).is_ok()
        };
        assert!(with("eyJhbGciOi.J9_x-y"));
        assert!(["~~~", "a~~~", "ab~~~"].iter().any(|p| !with(p)));
    }

    #[test]
    fn an_instruction_is_shown_without_the_builders_words() {
        let table = [
            (
                "RUN /bin/sh -c apt-get update  && x # buildkit",
                "RUN apt-get update && x",
            ),
            ("/bin/sh -c #(nop)  CMD [\"bash\"]", "CMD [\"bash\"]"),
            ("COPY wsgi.py ./ # buildkit", "COPY wsgi.py ./"),
            ("", ""),
        ];
        for (given, shown) in table {
            assert_eq!(instruction(given), shown);
        }
    }

    #[tokio::test]
    async fn without_an_engine_the_cure_is_named() {
        let error = Engine::connect(Some("unix:///nonexistent.sock"))
            .await
            .err()
            .unwrap();
        assert_eq!(
            format!("{error:#}"),
            "while connecting to the container engine at `/nonexistent.sock`: is Docker running, and is its socket mounted into this container?: there is no such socket"
        );
    }
}
