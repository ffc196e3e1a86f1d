//! A build in a BuildKit of the run: what Docker's API has no words for, such as several platforms, caches elsewhere and
//! attestations (github.com/moby/buildkit, `api/services/control`).

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use bollard_buildkit_proto::moby::buildkit::v1::control_client::ControlClient;
use bollard_buildkit_proto::moby::buildkit::v1::{
    BytesMessage, CacheOptions, CacheOptionsEntry, Exporter, SolveRequest, StatusRequest,
};
use futures_util::stream;
use hyper_util::rt::TokioIo;
use oci::ImageRef;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::sync::mpsc;
use tonic::metadata::{AsciiMetadataKey, MetadataMap};
use tonic::transport::{Channel, Endpoint};

use super::BuildKit;
use crate::build::context::BuildContext;
use crate::build::session::{METHODS, Services, Session};
use crate::build::{Trace, place_of};
use crate::{BuildError, BuildEvent, BuildRequest};

/// Bytes of one message of BuildKit: a status has the output of steps.
const MESSAGE: usize = 64 * limits::MIB;
/// Bytes of one message of the session.
const CHUNK: usize = 32 * 1024;
/// Messages that wait for BuildKit.
const QUEUE: usize = 16;

/// What only a BuildKit of the run builds.
#[derive(Debug, Clone, Default)]
pub struct Solve {
    /// `linux/arm64`; that of BuildKit if there are none.
    pub platforms: Vec<String>,
    /// Caches to build from.
    pub cache_from: Vec<CacheEntry>,
    /// Caches to write.
    pub cache_to: Vec<CacheEntry>,
    /// Directories by the name that the Dockerfile has for them.
    pub directories: BTreeMap<String, PathBuf>,
    /// Images and addresses by the name that the Dockerfile has for them: `docker-image://alpine:3`.
    pub sources: BTreeMap<String, String>,
    /// Attestations and their parameters: `provenance`, `mode=max`.
    pub attestations: BTreeMap<String, String>,
    /// Annotations, with the keys that BuildKit has for them: `annotation-index.org.opencontainers.image.title`.
    pub annotations: BTreeMap<String, String>,
}

/// One cache, as BuildKit's command line has it: `type=registry,ref=…`.
#[derive(Clone, PartialEq, Eq)]
pub struct CacheEntry {
    /// `registry`.
    pub kind: String,
    /// The rest.
    pub attributes: BTreeMap<String, String>,
}

// Without the values: one may be a token.
impl std::fmt::Debug for CacheEntry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CacheEntry")
            .field("kind", &self.kind)
            .field("attributes", &self.attributes.keys())
            .finish()
    }
}

/// Where a build goes.
enum Destination<'a> {
    Registry(&'a ImageRef),
    Tar(&'a Path),
}

impl BuildKit {
    /// Build `request` and push it to `destination`, an image of a registry on this machine; `on_event` is called for every step.
    ///
    /// # Errors
    /// [`BuildError::Failed`] when a step fails, [`BuildError::Docker`] when BuildKit does.
    pub async fn build(
        &self,
        request: &BuildRequest,
        solve: &Solve,
        destination: &ImageRef,
        on_event: impl FnMut(BuildEvent),
    ) -> Result<(), BuildError> {
        self.solve(request, solve, Destination::Registry(destination), on_event)
            .await
    }

    /// Build `request` and write its files to the archive `tar`; with several platforms, each has its own directory.
    ///
    /// # Errors
    /// As [`BuildKit::build`].
    pub async fn build_files(
        &self,
        request: &BuildRequest,
        solve: &Solve,
        tar: &Path,
        on_event: impl FnMut(BuildEvent),
    ) -> Result<(), BuildError> {
        self.solve(request, solve, Destination::Tar(tar), on_event)
            .await
    }

    async fn connect(&self) -> anyhow::Result<ControlClient<Channel>> {
        let path = self.socket.clone();
        let connector = tower::service_fn(move |_| {
            let path = path.clone();
            async move { UnixStream::connect(path).await.map(TokioIo::new) }
        });
        // The name is not looked up.
        let endpoint = Endpoint::from_static("http://buildkit");
        let channel = endpoint.connect_with_connector(connector).await;
        let channel = channel.context("failed to connect to BuildKit")?;
        Ok(ControlClient::new(channel).max_decoding_message_size(MESSAGE))
    }

    async fn solve(
        &self,
        request: &BuildRequest,
        solve: &Solve,
        destination: Destination<'_>,
        mut on_event: impl FnMut(BuildEvent),
    ) -> Result<(), BuildError> {
        let id = uuid::Uuid::new_v4().simple().to_string();
        let context = BuildContext::new(&request.context, &request.dockerfile)
            .with_named(solve.directories.clone());
        let (exporter, tar) = exporter(&destination, solve);
        let services = Services::new(request, context.clone(), tar);
        let mut client = self.connect().await?;
        let _session = open(&mut client.clone(), &id, services).await?;
        let message = SolveRequest {
            r#ref: id.clone(),
            session: id.clone(),
            frontend: "dockerfile.v0".to_owned(),
            frontend_attrs: attributes(request, solve),
            exporters: vec![exporter],
            cache: Some(CacheOptions {
                imports: entries(&solve.cache_from),
                exports: entries(&solve.cache_to),
                ..CacheOptions::default()
            }),
            ..SolveRequest::default()
        };
        let mut trace = Trace::default();
        let mut watched = client.clone();
        let watch = async {
            // The verdict is that of the build; without its status only lines of the log are missing.
            let Ok(status) = watched.status(StatusRequest { r#ref: id }).await else {
                return;
            };
            let mut status = status.into_inner();
            while let Ok(Some(status)) = status.message().await {
                trace.read(status, &mut on_event);
            }
        };
        let (solved, ()) = tokio::join!(client.solve(message), watch);
        let Err(error) = solved else {
            return Ok(());
        };
        if let Some(e) = context.take_error() {
            return Err(e.into());
        }
        if let Some(exit) = self.exit("the build").await {
            return Err(anyhow!(exit).into());
        }
        Err(trace.failure(error.message()).unwrap_or_else(|| {
            let what = format!("failed to build `{}`: {}", request.image, error.message());
            BuildError::Docker(anyhow!(what))
        }))
    }
}

fn exporter<'a>(destination: &Destination<'a>, solve: &Solve) -> (Exporter, Option<&'a Path>) {
    let (kind, mut attrs, tar) = match destination {
        Destination::Registry(image) => {
            let attrs = [
                ("name", image.to_string()),
                ("push", "true".to_owned()),
                ("registry.insecure", "true".to_owned()),
                ("oci-mediatypes", "true".to_owned()),
            ];
            (
                "image",
                HashMap::from(attrs.map(|(k, v)| (k.to_owned(), v))),
                None,
            )
        }
        Destination::Tar(path) => ("tar", HashMap::new(), Some(*path)),
    };
    if tar.is_none() {
        attrs.extend(solve.annotations.clone());
    }
    let exporter = Exporter {
        r#type: kind.to_owned(),
        attrs,
    };
    (exporter, tar)
}

fn entries(caches: &[CacheEntry]) -> Vec<CacheOptionsEntry> {
    let entries = caches.iter().map(|cache| CacheOptionsEntry {
        r#type: cache.kind.clone(),
        attrs: cache.attributes.clone().into_iter().collect(),
    });
    entries.collect()
}

// The parameters of the Dockerfile's frontend (github.com/moby/buildkit, `frontend/dockerui`).
fn attributes(request: &BuildRequest, solve: &Solve) -> HashMap<String, String> {
    let (_, filename) = place_of(&request.context, &request.dockerfile);
    let mut attributes = HashMap::from([("filename".to_owned(), filename)]);
    let mut set = |key: String, value: &str| attributes.insert(key, value.to_owned());
    if let Some(target) = &request.target {
        set("target".to_owned(), target);
    }
    if request.cache.none {
        set("no-cache".to_owned(), "");
    }
    if !solve.platforms.is_empty() {
        set("platform".to_owned(), &solve.platforms.join(","));
    }
    for (name, value) in &request.build_args {
        set(format!("build-arg:{name}"), value);
    }
    for (key, value) in &request.labels {
        set(format!("label:{key}"), value);
    }
    for (kind, parameters) in &solve.attestations {
        set(format!("attest:{kind}"), parameters);
    }
    if !solve.cache_from.is_empty() {
        let imports = solve
            .cache_from
            .iter()
            .map(|cache| json!({"Type": cache.kind, "Attrs": cache.attributes}));
        let imports: Vec<_> = imports.collect();
        set("cache-imports".to_owned(), &json!(imports).to_string());
    }
    if !solve.directories.is_empty() || !solve.sources.is_empty() {
        let caps = "moby.buildkit.frontend.contexts+forward";
        set("frontend.caps".to_owned(), caps);
    }
    for name in solve.directories.keys() {
        set(format!("context:{name}"), &format!("local:{name}"));
    }
    for (name, source) in &solve.sources {
        set(format!("context:{name}"), source);
    }
    attributes
}

// Open the session `id`: a connection within a call of BuildKit's API, on which BuildKit is the client.
async fn open(
    client: &mut ControlClient<Channel>,
    id: &str,
    services: Services,
) -> anyhow::Result<Tunnel> {
    let what = "failed to open the session of the build";
    let (send, queue) = mpsc::channel::<BytesMessage>(QUEUE);
    let outgoing = stream::unfold(queue, |mut queue| async move {
        Some((queue.recv().await?, queue))
    });
    let mut request = tonic::Request::new(outgoing);
    expose(request.metadata_mut(), id).context(what)?;
    let (own, other) = tokio::io::duplex(CHUNK);
    let session = Session::over(TokioIo::new(own), services);
    let (mut read, mut write) = tokio::io::split(other);
    let upward = tokio::spawn(async move {
        loop {
            let mut data = vec![0; CHUNK];
            match read.read(&mut data).await {
                Ok(0) | Err(_) => break,
                Ok(count) => data.truncate(count),
            }
            if send.send(BytesMessage { data }).await.is_err() {
                break;
            }
        }
    });
    let mut incoming = client.session(request).await.context(what)?.into_inner();
    let downward = tokio::spawn(async move {
        // It ends with the build, which reports the error if there is one.
        while let Ok(Some(message)) = incoming.message().await {
            if write.write_all(&message.data).await.is_err() {
                break;
            }
        }
    });
    Ok(Tunnel {
        _session: session,
        tasks: [upward, downward],
    })
}

/// A session that is closed when it is dropped.
struct Tunnel {
    _session: Session,
    tasks: [tokio::task::JoinHandle<()>; 2],
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

fn expose(metadata: &mut MetadataMap, id: &str) -> anyhow::Result<()> {
    for key in ["uuid", "name", "sharedkey"] {
        let key = format!("x-docker-expose-session-{key}");
        metadata.insert(key.parse::<AsciiMetadataKey>()?, id.parse()?);
    }
    let key: AsciiMetadataKey = "x-docker-expose-session-grpc-method".parse()?;
    for method in METHODS {
        metadata.append(key.clone(), method.parse()?);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_has_the_parameters_of_the_frontend() {
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let request = BuildRequest {
            target: Some("test".to_owned()),
            build_args: vec![pair("A", "1")],
            labels: vec![pair("b", "2")],
            ..BuildRequest::new("/app", "Dockerfile", "app:1".parse().unwrap())
        };
        let solve = Solve {
            platforms: vec!["linux/amd64".to_owned(), "linux/arm64".to_owned()],
            cache_from: vec![CacheEntry {
                kind: "registry".to_owned(),
                attributes: [pair("ref", "r.example/app:cache")].into(),
            }],
            directories: [("shared".to_owned(), PathBuf::from("/shared"))].into(),
            sources: [pair("base", "docker-image://alpine")].into(),
            attestations: [pair("provenance", "mode=max")].into(),
            ..Solve::default()
        };
        let attributes: BTreeMap<_, _> = attributes(&request, &solve).into_iter().collect();
        let lines = attributes
            .iter()
            .map(|(key, value)| format!("{key}={value}"));
        let lines: Vec<_> = lines.collect();
        insta::assert_snapshot!(lines.join("\n"), @r#"
        attest:provenance=mode=max
        build-arg:A=1
        cache-imports=[{"Attrs":{"ref":"r.example/app:cache"},"Type":"registry"}]
        context:base=docker-image://alpine
        context:shared=local:shared
        filename=Dockerfile
        frontend.caps=moby.buildkit.frontend.contexts+forward
        label:b=2
        platform=linux/amd64,linux/arm64
        target=test
        "#);
    }
}
