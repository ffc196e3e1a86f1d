//! A session beside a build: BuildKit asks here for the build's secrets, so that they are in no argument, no layer and
//! no file (github.com/moby/buildkit, `session/manager.go` and `session/secrets`).

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use bollard_buildkit_proto::health::health_check_response::ServingStatus;
use bollard_buildkit_proto::health::health_server::{Health, HealthServer};
use bollard_buildkit_proto::health::{
    HealthCheckRequest, HealthCheckResponse, HealthListRequest, HealthListResponse,
};
use bollard_buildkit_proto::moby::buildkit::secrets::v1::secrets_server::{Secrets, SecretsServer};
use bollard_buildkit_proto::moby::buildkit::secrets::v1::{GetSecretRequest, GetSecretResponse};
use http::header::{CONNECTION, HOST, UPGRADE};
use http::{Method, Request, StatusCode};
use http_body_util::Empty;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::UnixStream;
use tokio::task::JoinHandle;
use tonic::codegen::Service as _;
use tonic::{Response, Status, async_trait};

/// Secrets of a build, by their ids: what `RUN --mount=type=secret,id=…` gets.
#[derive(Clone, Default)]
pub struct BuildSecrets(Arc<BTreeMap<String, Vec<u8>>>);

impl BuildSecrets {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<(String, Vec<u8>)> for BuildSecrets {
    fn from_iter<I: IntoIterator<Item = (String, Vec<u8>)>>(pairs: I) -> Self {
        Self(Arc::new(pairs.into_iter().collect()))
    }
}

// Only the ids: a value is for BuildKit alone.
impl std::fmt::Debug for BuildSecrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// A session that lasts until it is dropped.
pub(crate) struct Session(JoinHandle<()>);

impl Session {
    /// Open the session `id` at Docker behind `socket`, and answer with `secrets` from now on.
    ///
    /// # Errors
    /// When Docker does not take it.
    pub(crate) async fn open(
        socket: &Path,
        id: &str,
        secrets: BuildSecrets,
    ) -> anyhow::Result<Self> {
        let what = "while opening the session that gives the build its secrets";
        let stream = UnixStream::connect(socket).await.context(what)?;
        let (mut docker, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .context(what)?;
        tokio::spawn(connection.with_upgrades());
        let request = Request::builder()
            .method(Method::POST)
            .uri("/session")
            .header(HOST, "docker")
            .header(CONNECTION, "Upgrade")
            .header(UPGRADE, "h2c")
            .header("X-Docker-Expose-Session-Uuid", id)
            .header(METHOD, "/moby.buildkit.secrets.v1.Secrets/GetSecret")
            .header(METHOD, "/grpc.health.v1.Health/Check")
            .body(Empty::<bytes::Bytes>::new())
            .context(what)?;
        let answer = docker.send_request(request).await.context(what)?;
        if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
            bail!("{what}: Docker answers {}", answer.status());
        }
        let upgraded = hyper::upgrade::on(answer).await.context(what)?;
        let (secrets, health) = (SecretsServer::new(Store(secrets)), HealthServer::new(Alive));
        let service = hyper::service::service_fn(move |request: Request<hyper::body::Incoming>| {
            let (mut secrets, mut health) = (secrets.clone(), health.clone());
            async move {
                let asked = request.uri().path();
                if asked.starts_with("/moby.buildkit.secrets.v1.Secrets/") {
                    secrets.call(request).await
                } else if asked.starts_with("/grpc.health.v1.Health/") {
                    health.call(request).await
                } else {
                    Ok(Status::unimplemented("this session gives secrets").into_http())
                }
            }
        });
        let served = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
            .serve_connection(upgraded, service);
        Ok(Self(tokio::spawn(async move {
            // It ends with the build; whatever the reason, the build tells of it.
            let _ = served.await;
        })))
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Names the calls that a session answers, one header for each.
const METHOD: &str = "X-Docker-Expose-Session-Grpc-Method";

struct Store(BuildSecrets);

#[async_trait]
impl Secrets for Store {
    async fn get_secret(
        &self,
        request: tonic::Request<GetSecretRequest>,
    ) -> Result<Response<GetSecretResponse>, Status> {
        let id = &request.get_ref().id;
        match self.0.0.get(id) {
            Some(data) => Ok(Response::new(GetSecretResponse { data: data.clone() })),
            // A mount without `required` goes on without it.
            None => Err(Status::not_found(format!("secret {id}: not found"))),
        }
    }
}

// BuildKit closes a session that does not say that it lives.
struct Alive;

#[async_trait]
impl Health for Alive {
    type WatchStream = futures_util::stream::Empty<Result<HealthCheckResponse, Status>>;

    async fn check(
        &self,
        _: tonic::Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        let status = ServingStatus::Serving.into();
        Ok(Response::new(HealthCheckResponse { status }))
    }

    async fn list(
        &self,
        _: tonic::Request<HealthListRequest>,
    ) -> Result<Response<HealthListResponse>, Status> {
        Err(Status::unimplemented("BuildKit asks by `Check`"))
    }

    async fn watch(
        &self,
        _: tonic::Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        Err(Status::unimplemented("BuildKit asks by `Check`"))
    }
}
