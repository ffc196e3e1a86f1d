//! A session next to a build: BuildKit requests the build's context, its secrets and the credentials of registries here, so
//! that secrets are in no argument, layer or file (github.com/moby/buildkit, `session/manager.go`, `session/secrets`, `session/auth`).

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
use bollard_buildkit_proto::moby::filesync::packet::file_sync_server::FileSyncServer;
use bollard_buildkit_proto::moby::filesync::v1::auth_server::{Auth, AuthServer};
use bollard_buildkit_proto::moby::filesync::v1::{
    CredentialsRequest, CredentialsResponse, FetchTokenRequest, FetchTokenResponse,
    GetTokenAuthorityRequest, GetTokenAuthorityResponse, VerifyTokenAuthorityRequest,
    VerifyTokenAuthorityResponse,
};
use http::header::{CONNECTION, HOST, UPGRADE};
use http::{Method, Request, StatusCode};
use http_body_util::Empty;
use hyper_util::rt::{TokioExecutor, TokioIo};
use oci::Logins;
use tokio::net::UnixStream;
use tokio::task::JoinHandle;
use tonic::codegen::Service as _;
use tonic::{Response, Status, async_trait};

use super::context::BuildContext;

/// Secrets of a build by id, for `RUN --mount=type=secret,id=…`.
#[derive(Clone, Default)]
pub struct BuildSecrets(Arc<BTreeMap<String, Vec<u8>>>);

impl BuildSecrets {
    /// Whether there are no secrets.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<(String, Vec<u8>)> for BuildSecrets {
    fn from_iter<I: IntoIterator<Item = (String, Vec<u8>)>>(pairs: I) -> Self {
        Self(Arc::new(pairs.into_iter().collect()))
    }
}

// Only the ids: the values are secret.
impl std::fmt::Debug for BuildSecrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// A session that is closed when it is dropped.
pub(crate) struct Session(JoinHandle<()>);

impl Session {
    /// Open the session `id` with the Docker daemon behind `socket`, and serve `context`, `secrets` and `logins` in it.
    ///
    /// # Errors
    /// When Docker rejects it.
    pub(crate) async fn open(
        socket: &Path,
        id: &str,
        context: BuildContext,
        (secrets, logins): (BuildSecrets, Logins),
    ) -> anyhow::Result<Self> {
        let what = "failed to open the session of the build";
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
            // What BuildKit keeps of a context is compared with the next one of this key, by sizes and times, which say too
            // little here.
            .header("X-Docker-Expose-Session-Sharedkey", id)
            .header(METHOD, "/moby.filesync.v1.FileSync/DiffCopy")
            .header(METHOD, "/moby.buildkit.secrets.v1.Secrets/GetSecret")
            .header(METHOD, "/moby.filesync.v1.Auth/Credentials")
            .header(METHOD, "/grpc.health.v1.Health/Check")
            .body(Empty::<bytes::Bytes>::new())
            .context(what)?;
        let response = docker.send_request(request).await.context(what)?;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            bail!("{what}: Docker responded with {}", response.status());
        }
        let upgraded = hyper::upgrade::on(response).await.context(what)?;
        let (secrets, health) = (SecretsServer::new(Store(secrets)), HealthServer::new(Alive));
        let auth = AuthServer::new(Registries(logins));
        let files = FileSyncServer::new(context);
        let service = hyper::service::service_fn(move |request: Request<hyper::body::Incoming>| {
            let (mut secrets, mut auth, mut health) =
                (secrets.clone(), auth.clone(), health.clone());
            let mut files = files.clone();
            async move {
                let path = request.uri().path();
                if path.starts_with("/moby.buildkit.secrets.v1.Secrets/") {
                    secrets.call(request).await
                } else if path.starts_with("/moby.filesync.v1.FileSync/") {
                    files.call(request).await
                } else if path.starts_with("/moby.filesync.v1.Auth/") {
                    auth.call(request).await
                } else if path.starts_with("/grpc.health.v1.Health/") {
                    health.call(request).await
                } else {
                    Ok(
                        Status::unimplemented("this session serves files, secrets and credentials")
                            .into_http(),
                    )
                }
            }
        });
        let served = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
            .serve_connection(upgraded, service);
        Ok(Self(tokio::spawn(async move {
            // It ends with the build, which reports the error if there is one.
            let _ = served.await;
        })))
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The header that names one call which the session serves.
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
            // A mount without `required` continues without the secret.
            None => Err(Status::not_found(format!("secret {id}: not found"))),
        }
    }
}

struct Registries(Logins);

// Without the other calls, BuildKit requests the credentials and then the token itself.
#[async_trait]
impl Auth for Registries {
    async fn credentials(
        &self,
        request: tonic::Request<CredentialsRequest>,
    ) -> Result<Response<CredentialsResponse>, Status> {
        let login = self.0.get(&request.get_ref().host);
        // Without credentials BuildKit is anonymous.
        let login = login.map(|login| CredentialsResponse {
            username: login.username.clone(),
            secret: login.password.clone(),
        });
        Ok(Response::new(login.unwrap_or_default()))
    }

    async fn fetch_token(
        &self,
        _: tonic::Request<FetchTokenRequest>,
    ) -> Result<Response<FetchTokenResponse>, Status> {
        Err(Status::unimplemented("BuildKit requests the token"))
    }

    async fn get_token_authority(
        &self,
        _: tonic::Request<GetTokenAuthorityRequest>,
    ) -> Result<Response<GetTokenAuthorityResponse>, Status> {
        Err(Status::unimplemented("BuildKit requests the token"))
    }

    async fn verify_token_authority(
        &self,
        _: tonic::Request<VerifyTokenAuthorityRequest>,
    ) -> Result<Response<VerifyTokenAuthorityResponse>, Status> {
        Err(Status::unimplemented("BuildKit requests the token"))
    }
}

// BuildKit closes a session that does not respond to health checks.
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
        Err(Status::unimplemented("BuildKit only calls `Check`"))
    }

    async fn watch(
        &self,
        _: tonic::Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        Err(Status::unimplemented("BuildKit only calls `Check`"))
    }
}
