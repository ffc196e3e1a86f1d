//! Building an image with the engine's BuildKit.

use std::collections::HashMap;
use std::io::{self, Write};
use std::path::PathBuf;

use bollard::models::{BuildInfo, BuildInfoAux};
use bollard::query_parameters::{BuildImageOptionsBuilder, BuilderVersion};
use bytes::Bytes;
use futures_util::StreamExt as _;
use tokio::sync::mpsc;

use crate::session::Session;
use crate::{BuildSecrets, Engine, ImageInfo, ImageRef, ignore};

/// Lines of a failed step that its error keeps.
const TAIL: usize = 40;

/// What to build.
#[derive(Debug, Clone)]
pub struct BuildRequest {
    /// The folder of the build context.
    pub context: PathBuf,
    /// The Dockerfile's path in the context.
    pub dockerfile: String,
    /// The stage to build; the last one if `None`.
    pub target: Option<String>,
    /// The name of the result.
    pub image: ImageRef,
    /// Build arguments.
    pub build_args: Vec<(String, String)>,
    /// Labels added to the result.
    pub labels: Vec<(String, String)>,
    /// What its steps may mount as a secret.
    pub secrets: BuildSecrets,
    /// Where steps that were built before may come from.
    pub cache: Cache,
}

/// Where steps that were built before may come from, beside the engine's own cache.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cache {
    /// Images of a registry with an inline cache; one that is not there is passed over.
    pub from: Vec<String>,
    /// Whether the result carries an inline cache, so that it can be one of these once it is pushed.
    pub inline: bool,
    /// Whether every step is built anew.
    pub none: bool,
}

/// What happens during a build.
#[derive(Debug, Clone, PartialEq)]
pub enum BuildEvent {
    /// A step began.
    Started {
        /// As BuildKit writes it: `[build 2/3] RUN pip install …`.
        step: String,
    },
    /// A step ended well.
    Done {
        /// The step.
        step: String,
        /// How long it took, in seconds.
        seconds: f64,
        /// Whether its result was in the cache.
        cached: bool,
    },
    /// A line that a step printed.
    Line(String),
    /// A build check that the Dockerfile does not pass (docs.docker.com/reference/build-checks).
    Warning(BuildWarning),
}

/// A build check that a Dockerfile does not pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildWarning {
    /// What is wrong, `FromAsCasing: 'as' and 'FROM' keywords' casing do not match (line 1)`.
    pub message: String,
    /// The page on it; may be empty.
    pub url: String,
    /// The line of the Dockerfile, from 1, if it is known.
    pub line: Option<u32>,
}

/// Why there is no image.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The Dockerfile was built, and a step of it failed.
    #[error("the build failed at `{step}`: {reason}")]
    Failed {
        /// The step.
        step: String,
        /// BuildKit's reason.
        reason: String,
        /// The last lines that the step printed.
        tail: Vec<String>,
    },
    /// The build could not be carried out.
    #[error(transparent)]
    Engine(#[from] anyhow::Error),
}

impl Engine {
    /// Build an image. `on_event` is told of every step.
    ///
    /// # Errors
    /// [`BuildError::Failed`] when a step fails, [`BuildError::Engine`] when the engine does.
    pub async fn build(
        &self,
        request: &BuildRequest,
        mut on_event: impl FnMut(BuildEvent),
    ) -> Result<ImageInfo, BuildError> {
        let map = |pairs: &[(String, String)]| pairs.iter().cloned().collect::<HashMap<_, _>>();
        let session = uuid::Uuid::new_v4().to_string();
        let mut build_args = map(&request.build_args);
        if request.cache.inline {
            build_args.insert("BUILDKIT_INLINE_CACHE".to_owned(), "1".to_owned());
        }
        let mut options = BuildImageOptionsBuilder::default()
            .dockerfile(&request.dockerfile)
            .t(&request.image.to_string())
            .buildargs(&build_args)
            .labels(&map(&request.labels))
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
        // bollard opens one of its own under the same id, which can't give secrets: the engine keeps the first.
        let _secrets = if request.secrets.is_empty() {
            None
        } else {
            Some(Session::open(&self.socket, &session, request.secrets.clone()).await?)
        };
        let (context, sent) = stream_context(request);
        let mut trace = Trace::default();
        let mut refused = None;
        {
            let mut answers = self.docker.build_image(
                options.build(),
                None,
                Some(bollard::body_try_stream(context)),
            );
            while let Some(answer) = answers.next().await {
                match answer {
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
            if let Ok(Err(e)) = sent.await {
                return Err(e.into());
            }
            return Err(trace.failure(&error.to_string()).unwrap_or_else(|| {
                let error = anyhow::Error::new(error);
                BuildError::Engine(error.context(format!("while building `{}`", request.image)))
            }));
        }
        let built = self.inspect(&request.image).await?;
        built.ok_or_else(|| {
            let step = format!("the export of `{}`", request.image);
            trace.failure("").unwrap_or_else(|| {
                BuildError::Engine(anyhow::anyhow!("the engine ended the build without {step}"))
            })
        })
    }
}

type Sent = tokio::task::JoinHandle<anyhow::Result<()>>;

// The context goes out while it is read: it is never in memory as a whole.
fn stream_context(
    request: &BuildRequest,
) -> (
    impl futures_util::Stream<Item = Result<Bytes, io::Error>> + Send + 'static,
    Sent,
) {
    struct Pipe(mpsc::Sender<Result<Bytes, io::Error>>);
    impl Write for Pipe {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let sent = self.0.blocking_send(Ok(Bytes::copy_from_slice(bytes)));
            sent.map(|()| bytes.len())
                .map_err(|_| io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let (pipe, mut chunks) = mpsc::channel(16);
    let (context, dockerfile) = (request.context.clone(), request.dockerfile.clone());
    let sent = tokio::task::spawn_blocking(move || {
        let mut out = io::BufWriter::with_capacity(64 * 1024, Pipe(pipe.clone()));
        let written =
            ignore::write_context(&context, &dockerfile, &mut out).and_then(|()| Ok(out.flush()?));
        if let Err(e) = &written {
            // The engine must not take half a context for a whole one.
            let _ = pipe.blocking_send(Err(io::Error::other(format!("{e:#}"))));
        }
        written
    });
    let stream = futures_util::stream::poll_fn(move |cx| chunks.poll_recv(cx));
    (stream, sent)
}

// The steps so far, as BuildKit's status messages tell of them.
#[derive(Default)]
struct Trace {
    steps: HashMap<String, Step>,
    failed: Option<(String, String)>,
}

#[derive(Default)]
struct Step {
    name: String,
    started: bool,
    done: bool,
    tail: Vec<String>,
    partial: Vec<u8>,
}

impl Trace {
    fn read(
        &mut self,
        status: bollard::moby::buildkit::v1::StatusResponse,
        on_event: &mut impl FnMut(BuildEvent),
    ) {
        for vertex in status.vertexes {
            let step = self.steps.entry(vertex.digest.clone()).or_default();
            step.name.clone_from(&vertex.name);
            if !vertex.error.is_empty() {
                self.fail(vertex.digest, vertex.error);
                continue;
            }
            let internal = vertex.name.starts_with("[internal]");
            if vertex.started.is_some() && !step.started {
                step.started = true;
                if !internal {
                    on_event(BuildEvent::Started {
                        step: vertex.name.clone(),
                    });
                }
            }
            if let (Some(started), Some(done), false) =
                (&vertex.started, &vertex.completed, step.done)
            {
                step.done = true;
                if !internal {
                    #[allow(clippy::cast_precision_loss)] // a build does not last for 2^52 seconds
                    let seconds = (done.seconds - started.seconds) as f64
                        + f64::from(done.nanos - started.nanos) / 1e9;
                    on_event(BuildEvent::Done {
                        step: vertex.name,
                        seconds,
                        cached: vertex.cached,
                    });
                }
            }
        }
        for warning in status.warnings {
            let line = warning
                .ranges
                .first()
                .and_then(|range| range.start.as_ref());
            on_event(BuildEvent::Warning(BuildWarning {
                message: String::from_utf8_lossy(&warning.short).trim().to_owned(),
                url: warning.url,
                line: line.and_then(|start| u32::try_from(start.line).ok()),
            }));
        }
        for log in status.logs {
            let step = self.steps.entry(log.vertex).or_default();
            step.partial.extend(&log.msg);
            while let Some(end) = step.partial.iter().position(|b| *b == b'\n') {
                let line: Vec<u8> = step.partial.drain(..=end).collect();
                let line = String::from_utf8_lossy(&line).trim_end().to_owned();
                if step.tail.len() == TAIL {
                    step.tail.remove(0);
                }
                step.tail.push(line.clone());
                on_event(BuildEvent::Line(line));
            }
        }
    }

    // When one step fails, the steps beside it are cancelled: the first real failure is the cause.
    fn fail(&mut self, digest: String, reason: String) {
        let cancelled = |reason: &str| reason.contains("context canceled");
        let known = self.failed.as_ref();
        if known.is_none_or(|(_, known)| cancelled(known) && !cancelled(&reason)) {
            self.failed = Some((digest, reason));
        }
    }

    fn failure(&self, message: &str) -> Option<BuildError> {
        if let Some((digest, reason)) = &self.failed {
            let step = self.steps.get(digest);
            return Some(BuildError::Failed {
                step: step.map(|s| s.name.clone()).unwrap_or_default(),
                reason: reason.clone(),
                tail: step.map(|s| s.tail.clone()).unwrap_or_default(),
            });
        }
        // A Dockerfile that can't be read fails before there is any step.
        let frontend = [
            "dockerfile parse error",
            "failed to solve",
            "failed to create LLB",
            "target stage",
        ];
        frontend
            .iter()
            .any(|sign| message.contains(sign))
            .then(|| BuildError::Failed {
                step: "reading the Dockerfile".into(),
                reason: message.to_owned(),
                tail: Vec::new(),
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bollard::moby::buildkit::v1::{StatusResponse, Vertex};

    #[test]
    fn a_build_check_has_its_line_and_page() {
        let mut warning = bollard::moby::buildkit::v1::VertexWarning {
            short: b"FromAsCasing: casing does not match (line 3)".into(),
            url: "https://docs.docker.com/go/dockerfile/rule/from-as-casing/".into(),
            ..Default::default()
        };
        warning.ranges.resize_with(1, Default::default);
        warning.ranges[0].start.get_or_insert_default().line = 3;
        let mut heard = Vec::new();
        Trace::default().read(
            StatusResponse {
                warnings: vec![warning],
                ..Default::default()
            },
            &mut |event| heard.push(event),
        );
        assert_eq!(
            heard,
            [BuildEvent::Warning(BuildWarning {
                message: "FromAsCasing: casing does not match (line 3)".into(),
                url: "https://docs.docker.com/go/dockerfile/rule/from-as-casing/".into(),
                line: Some(3),
            })]
        );
    }

    #[test]
    fn a_step_that_was_cancelled_is_not_the_cause() {
        let step = |name: &str, error: &str| Vertex {
            digest: name.into(),
            name: name.into(),
            error: error.into(),
            ..Default::default()
        };
        for order in [
            ["exit code: 9", "context canceled"],
            ["context canceled", "exit code: 9"],
        ] {
            let mut trace = Trace::default();
            let vertexes = vec![step("a", order[0]), step("b", order[1])];
            trace.read(
                StatusResponse {
                    vertexes,
                    ..Default::default()
                },
                &mut |_| {},
            );
            let failure = trace.failure("").unwrap().to_string();
            assert!(failure.ends_with("exit code: 9"), "{failure}");
        }
    }
}
