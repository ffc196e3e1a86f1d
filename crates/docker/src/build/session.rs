//! A session next to a build: BuildKit requests the build's context, its secrets and the credentials of registries here, so
//! that secrets are in no argument, layer or file (github.com/moby/buildkit, `session/manager.go`, `session/secrets`, `session/auth`).

mod export;
mod ssh;

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
use bollard_buildkit_proto::moby::filesync::v1::file_send_server::FileSendServer;
use bollard_buildkit_proto::moby::filesync::v1::{
    CredentialsRequest, CredentialsResponse, FetchTokenRequest, FetchTokenResponse,
    GetTokenAuthorityRequest, GetTokenAuthorityResponse, VerifyTokenAuthorityRequest,
    VerifyTokenAuthorityResponse,
};
use bollard_buildkit_proto::moby::sshforward::v1::ssh_server::SshServer;
use http::header::{CONNECTION, HOST, UPGRADE};
use http::{Method, Request, StatusCode};
use http_body_util::Empty;
use hyper_util::rt::{TokioExecutor, TokioIo};
use oci::Logins;
use tokio::net::UnixStream;
use tokio::task::JoinHandle;
use tonic::codegen::Service as _;
use tonic::{Response, Status, async_trait};

use super::BuildRequest;
use super::context::BuildContext;
use export::Export;
pub use ssh::SshAgents;

/// Secrets of a build by id, for `RUN --mount=type=secret,id=…`.
#[derive(Clone, Default)]
pub struct BuildSecrets(Arc<BTreeMap<String, Vec<u8>>>);

impl BuildSecrets {
    /// Whether there are no secrets.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether there is a secret `id`.
    pub fn has(&self, id: &str) -> bool {
        self.0.contains_key(id)
    }

    /// The same, and the secret `id`.
    #[must_use]
    pub fn with(&self, id: String, value: Vec<u8>) -> Self {
        let mut secrets = (*self.0).clone();
        secrets.insert(id, value);
        Self(Arc::new(secrets))
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

/// What a session serves.
#[derive(Clone)]
pub(crate) struct Services {
    files: FileSyncServer<BuildContext>,
    secrets: SecretsServer<Store>,
    auth: AuthServer<Registries>,
    ssh: SshServer<SshAgents>,
    export: FileSendServer<Export>,
    health: HealthServer<Alive>,
}

/// The calls that [`Services`] serves, by which BuildKit knows what it may request.
pub(crate) const METHODS: [&str; 7] = [
    "/moby.filesync.v1.FileSync/DiffCopy",
    "/moby.buildkit.secrets.v1.Secrets/GetSecret",
    "/moby.filesync.v1.Auth/Credentials",
    "/moby.sshforward.v1.SSH/CheckAgent",
    "/moby.sshforward.v1.SSH/ForwardAgent",
    "/moby.filesync.v1.FileSend/DiffCopy",
    "/grpc.health.v1.Health/Check",
];

impl Services {
    /// The services for `request`, whose files are those of `context`; a file that is exported is written to `export`.
    pub(crate) fn new(
        request: &BuildRequest,
        context: BuildContext,
        export: Option<&Path>,
    ) -> Self {
        Self {
            files: FileSyncServer::new(context),
            secrets: SecretsServer::new(Store(request.secrets.clone())),
            auth: AuthServer::new(Registries(request.logins.clone())),
            ssh: SshServer::new(request.ssh.clone()),
            export: FileSendServer::new(Export::new(export)),
            health: HealthServer::new(Alive),
        }
    }

    /// Serve BuildKit, the client on `connection`, until it closes it.
    pub(crate) async fn serve(
        self,
        connection: impl hyper::rt::Read + hyper::rt::Write + Send + Unpin + 'static,
    ) {
        let service = hyper::service::service_fn(move |request: Request<hyper::body::Incoming>| {
            let mut own = self.clone();
            async move {
                let path = request.uri().path();
                if path.starts_with("/moby.buildkit.secrets.v1.Secrets/") {
                    own.secrets.call(request).await
                } else if path.starts_with("/moby.filesync.v1.FileSync/") {
                    own.files.call(request).await
                } else if path.starts_with("/moby.filesync.v1.FileSend/") {
                    own.export.call(request).await
                } else if path.starts_with("/moby.filesync.v1.Auth/") {
                    own.auth.call(request).await
                } else if path.starts_with("/moby.sshforward.v1.SSH/") {
                    own.ssh.call(request).await
                } else if path.starts_with("/grpc.health.v1.Health/") {
                    own.health.call(request).await
                } else {
                    let message = "this session serves files, secrets, credentials and SSH agents";
                    Ok(Status::unimplemented(message).into_http())
                }
            }
        });
        let served = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
            .serve_connection(connection, service);
        // It ends with the build, which reports the error if there is one.
        let _ = served.await;
    }
}

/// A session that is closed when it is dropped.
pub(crate) struct Session(JoinHandle<()>);

impl Session {
    /// Open the session `id` with the Docker daemon behind `socket`, and serve `services` in it.
    ///
    /// # Errors
    /// When Docker rejects it.
    pub(crate) async fn open(socket: &Path, id: &str, services: Services) -> anyhow::Result<Self> {
        let what = "failed to open the session of the build";
        let stream = UnixStream::connect(socket).await.context(what)?;
        let (mut docker, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .context(what)?;
        tokio::spawn(connection.with_upgrades());
        let mut request = Request::builder()
            .method(Method::POST)
            .uri("/session")
            .header(HOST, "docker")
            .header(CONNECTION, "Upgrade")
            .header(UPGRADE, "h2c")
            .header("X-Docker-Expose-Session-Uuid", id)
            // What BuildKit keeps of a context is compared with the next one of this key, by sizes and times, which say too
            // little here.
            .header("X-Docker-Expose-Session-Sharedkey", id);
        for method in METHODS {
            request = request.header(METHOD, method);
        }
        let request = request.body(Empty::<bytes::Bytes>::new()).context(what)?;
        let response = docker.send_request(request).await.context(what)?;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            bail!("{what}: Docker responded with {}", response.status());
        }
        let upgraded = hyper::upgrade::on(response).await.context(what)?;
        Ok(Self(tokio::spawn(services.serve(upgraded))))
    }

    /// Serve `services` on `connection`, a session that is open.
    pub(crate) fn over(
        connection: impl hyper::rt::Read + hyper::rt::Write + Send + Unpin + 'static,
        services: Services,
    ) -> Self {
        Self(tokio::spawn(services.serve(connection)))
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
