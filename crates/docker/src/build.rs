//! Building an image with Docker's BuildKit, and what every BuildKit needs for a build.

pub(crate) mod context;
mod dockerignore;
pub(crate) mod session;
mod trace;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use bollard::models::{BuildInfo, BuildInfoAux};
use bollard::query_parameters::{BuildImageOptionsBuilder, BuilderVersion};
use bytes::Bytes;
use futures_util::StreamExt as _;
use oci::{ImageRef, Logins};

use crate::{Docker, ImageInfo};
use context::BuildContext;
use session::{Services, Session};
pub(crate) use trace::Trace;

#[cfg(fuzzing)]
pub(crate) use dockerignore::Ignore;
pub use dockerignore::context_size;
pub use session::{BuildSecrets, SshAgents};

/// What to build.
#[derive(Debug, Clone)]
pub struct BuildRequest {
    /// The directory of the build context.
    pub context: PathBuf,
    /// The Dockerfile's path in the context, or out of it by `../`.
    pub dockerfile: String,
    /// The stage to build; the last one if `None`.
    pub target: Option<String>,
    /// The name of the built image.
    pub image: ImageRef,
    /// Build arguments.
    pub build_args: Vec<(String, String)>,
    /// Labels added to the result.
    pub labels: Vec<(String, String)>,
    /// What its steps may mount as a secret.
    pub secrets: BuildSecrets,
    /// What its steps may use as an SSH agent.
    pub ssh: SshAgents,
    /// Credentials for the registries of base images and caches; BuildKit requests those of a registry that requires some.
    pub logins: Logins,
    /// Caches beyond Docker's own.
    pub cache: Cache,
}

impl BuildRequest {
    /// A build of the last stage of `dockerfile` in the directory `context` as `image`, with nothing else set.
    pub fn new(context: impl Into<PathBuf>, dockerfile: &str, image: ImageRef) -> Self {
        Self {
            context: context.into(),
            dockerfile: dockerfile.to_owned(),
            target: None,
            image,
            build_args: Vec::new(),
            labels: Vec::new(),
            secrets: BuildSecrets::default(),
            ssh: SshAgents::default(),
            logins: Logins::default(),
            cache: Cache::default(),
        }
    }
}

// The directory that BuildKit reads the Dockerfile and its own ignore file from, and the path of the Dockerfile there: as with
// `docker build --file`, the directory that it is in where `dockerfile` leads out of the context.
pub(crate) fn place_of(context: &Path, dockerfile: &str) -> (PathBuf, String) {
    let path = context.join(dockerfile);
    let name = path.file_name().and_then(|name| name.to_str());
    match (path.parent(), name) {
        (Some(directory), Some(name)) if dockerfile.starts_with("../") => {
            (directory.to_owned(), name.to_owned())
        }
        _ => (context.to_owned(), dockerfile.to_owned()),
    }
}

/// Caches for the steps of a build, in addition to Docker's own cache.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cache {
    /// Images of a registry with an inline cache; a missing one is skipped.
    pub from: Vec<String>,
    /// Whether the image carries an inline cache, so that a later build can use it in `from` once it is pushed.
    pub inline: bool,
    /// Whether every step is built from scratch (`--no-cache`).
    pub none: bool,
}

/// An event during a build.
#[derive(Debug, Clone, PartialEq)]
pub enum BuildEvent {
    /// A step started.
    Started {
        /// As BuildKit writes it: `[build 2/3] RUN pip install …`.
        step: String,
    },
    /// A step succeeded.
    Done {
        /// The step.
        step: String,
        /// Its duration in seconds.
        seconds: f64,
        /// Whether its result was in the cache.
        cached: bool,
    },
    /// A line that a step printed.
    Line(String),
    /// A failed build check of the Dockerfile (docs.docker.com/reference/build-checks).
    Warning(BuildWarning),
    /// A cache that could not be read; the build continues without it.
    CacheUnavailable {
        /// The image that has it.
        cache: String,
        /// BuildKit's reason.
        reason: String,
    },
}

/// A failed build check of a Dockerfile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildWarning {
    /// The rule and the problem: `FromAsCasing: 'as' and 'FROM' keywords' casing do not match (line 1)`.
    pub message: String,
    /// The documentation of the rule; may be empty.
    pub url: String,
    /// The line of the Dockerfile, from 1, if it is known.
    pub line: Option<u32>,
}

/// Why a build failed.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A step of the Dockerfile failed.
    #[error("the build failed at `{step}`: {reason}")]
    Failed {
        /// The step.
        step: String,
        /// BuildKit's reason.
        reason: String,
        /// The last lines of the step's output.
        tail: Vec<String>,
    },
    /// Docker failed.
    #[error(transparent)]
    Docker(#[from] anyhow::Error),
}

/// How often a build is repeated that failed by what Docker did, not by its Dockerfile.
const RETRIES: u32 = 5;
/// What Docker then says.
const TRANSIENT: [&str; 2] = [
    // Another program removed the image: its configuration is no longer there (moby, image/fs.go).
    "failed to get digest sha256:",
    // The response was closed, in good order, in the middle of a line: Docker ends it while its progress is written
    // (tokio-util, codec/decoder.rs). Whether the build was carried out is unknown.
    "bytes remaining on stream",
];

impl Docker {
    /// Build an image; `on_event` is called for every step.
    ///
    /// Two builds with the same result make one image, and what removes it meanwhile takes it from the other, before it
    /// has its name: then it is built again, from the cache. So it is when Docker's response is cut off.
    ///
    /// # Errors
    /// [`BuildError::Failed`] when a step fails, [`BuildError::Docker`] when Docker does.
    pub async fn build(
        &self,
        request: &BuildRequest,
        mut on_event: impl FnMut(BuildEvent),
    ) -> Result<ImageInfo, BuildError> {
        let mut retries = RETRIES;
        loop {
            let result = self.build_once(request, &mut on_event).await;
            let is_transient = match &result {
                Ok(built) => built.is_none(),
                Err(BuildError::Docker(e)) => {
                    let message = format!("{e:#}");
                    TRANSIENT.iter().any(|part| message.contains(part))
                }
                Err(BuildError::Failed { .. }) => false,
            };
            if is_transient && retries > 0 {
                retries -= 1;
                continue;
            }
            return result?.ok_or_else(|| {
                let image = &request.image;
                BuildError::Docker(anyhow::anyhow!(
                    "the build finished without the export of `{image}`"
                ))
            });
        }
    }

    // `None` when the image that was built is not in Docker.
    async fn build_once(
        &self,
        request: &BuildRequest,
        mut on_event: impl FnMut(BuildEvent),
    ) -> Result<Option<ImageInfo>, BuildError> {
        let map = |pairs: &[(String, String)]| pairs.iter().cloned().collect::<HashMap<_, _>>();
        let session = uuid::Uuid::new_v4().to_string();
        let mut build_args = map(&request.build_args);
        if request.cache.inline {
            build_args.insert("BUILDKIT_INLINE_CACHE".to_owned(), "1".to_owned());
        }
        let mut options = BuildImageOptionsBuilder::default()
            .dockerfile(&place_of(&request.context, &request.dockerfile).1)
            .t(&request.image.to_string())
            .buildargs(&build_args)
            .labels(&map(&request.labels))
            .remote("client-session")
            .version(BuilderVersion::BuilderBuildKit)
            .session(&session);
        if let Some(target) = &request.target {
            options = options.target(target);
        }
        if !request.cache.from.is_empty() {
            options = options.cachefrom(&request.cache.from);
        }
        if request.cache.none {
            options = options.nocache(true);
        }
        let context = BuildContext::new(&request.context, &request.dockerfile);
        // bollard opens its own session under the same id, which can't provide files and secrets: Docker keeps the first.
        let services = Services::new(request, context.clone(), None);
        let _session = Session::open(&self.socket, &session, services).await?;
        let mut trace = Trace::default();
        let mut refused = None;
        {
            // The context comes from the session.
            let empty = bollard::body_full(Bytes::new());
            let mut responses = self.api.build_image(options.build(), None, Some(empty));
            while let Some(response) = responses.next().await {
                match response {
                    Ok(BuildInfo {
                        aux: Some(BuildInfoAux::BuildKit(status)),
                        ..
                    }) => {
                        trace.read(status, &mut on_event);
                    }
                    Ok(_) => {}
                    Err(e) => {
                        refused = Some(e);
                        break;
                    }
                }
            }
        }
        if let Some(error) = refused {
            if let Some(e) = context.take_error() {
                return Err(e.into());
            }
            return Err(trace.failure(&error.to_string()).unwrap_or_else(|| {
                let error = anyhow::Error::new(error);
                BuildError::Docker(error.context(format!("failed to build `{}`", request.image)))
            }));
        }
        let built = self.inspect(&request.image).await?;
        if built.is_none()
            && let Some(failure) = trace.failure("")
        {
            return Err(failure);
        }
        Ok(built)
    }
}

#[cfg(test)]
mod tests;
