//! A front of a real API server: it takes tokens of Entra, which end, and has faults on demand.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::{Json, Router};
use base64::Engine as _;
use futures_util::TryStreamExt as _;
use serde_json::{Value, json};

use super::access_token::{Validity, validity};
use super::{AzureConfig, bearer, kubeconfig};
use testkit::pki::{CertificateAuthority, Leaf};
use testkit::server::{Server, listen, start_tls, tls_config};
use testkit::{Fault, Faults};

/// The name of the tokens that it takes.
const TOKEN: &str = "entra-cluster-token";

/// The server. Requests with a valid token are forwarded to the real API server.
pub struct ApiServer {
    server: Server,
    faults: Faults,
    directory: tempfile::TempDir,
}

#[derive(Clone)]
struct Upstream(Arc<Inner>);

struct Inner {
    http: reqwest::Client,
    server: String,
    token: HeaderValue,
}

impl ApiServer {
    /// In front of the first cluster of `kubeconfig`, which accepts `token`.
    ///
    /// # Errors
    /// When the file can't be read, or no port is free.
    pub async fn in_front_of(kubeconfig: &Path, token: &str) -> anyhow::Result<Self> {
        let directory = tempfile::tempdir().context("failed to create a temporary directory")?;
        let ca = CertificateAuthority::new("cluster")?;
        let leaf = Leaf::server("kubernetes", &["127.0.0.1"]);
        ca.issue(&leaf)?.write(directory.path(), "api-server")?;
        let server = Upstream(Arc::new(Inner::read(kubeconfig, token)?));
        let faults = Faults::default();
        let router = Router::new().fallback(forward).with_state(server);
        let listener = listen(([127, 0, 0, 1], 0).into()).await?;
        let tls = tls_config(directory.path(), "api-server")?;
        let server = start_tls(listener, faults.inject(router), tls)?;
        let access = json!({"clusters": [{"name": "c", "cluster": {
            "server": format!("https://{}", server.address),
            "certificate-authority-data": testkit::base64(ca.certificate().as_bytes()),
        }}]});
        std::fs::write(directory.path().join("kubeconfig"), access.to_string())?;
        Ok(Self {
            server,
            faults,
            directory,
        })
    }

    /// Let this be the cluster of `azure`.
    pub fn serve(&self, azure: &mut AzureConfig) {
        azure.kubeconfig = Some(self.kubeconfig());
        TOKEN.clone_into(&mut azure.cluster_token);
        azure.cluster_tokens_end = true;
    }

    fn kubeconfig(&self) -> PathBuf {
        self.directory.path().join("kubeconfig")
    }

    /// Inject `fault` into the first request that matches it.
    pub fn expect(&self, fault: Fault) {
        self.faults.expect(fault);
    }

    /// Whether every fault has met a request.
    pub fn is_met(&self) -> bool {
        self.faults.is_met()
    }

    /// `METHOD /path?query` of every request so far.
    pub fn journal(&self) -> Vec<String> {
        self.faults.journal()
    }

    /// Take no more requests, and let those that are under way end.
    pub async fn stop(self) {
        self.server.stop().await;
    }
}

impl Inner {
    fn read(file: &Path, token: &str) -> anyhow::Result<Self> {
        let cluster = kubeconfig::cluster(file)
            .with_context(|| format!("`{}` names no cluster", file.display()))?;
        let text = |name: &str| cluster[name].as_str().unwrap_or_default();
        let pem = base64::engine::general_purpose::STANDARD
            .decode(text("certificate-authority-data"))
            .context("failed to read the cluster's CA certificate")?;
        http_client::install_tls_provider();
        let http = reqwest::Client::builder()
            .no_proxy()
            .no_gzip()
            .tls_certs_only([reqwest::Certificate::from_pem(&pem)?])
            .build()
            .context("failed to prepare the client of the upstream API server")?;
        Ok(Self {
            http,
            server: text("server").trim_end_matches('/').to_owned(),
            token: HeaderValue::from_str(&format!("Bearer {token}"))?,
        })
    }
}

async fn forward(State(server): State<Upstream>, request: Request) -> Response {
    if validity(bearer(request.headers()), TOKEN) != Validity::Valid {
        return status(StatusCode::UNAUTHORIZED, "Unauthorized", "Unauthorized");
    }
    let inner = &server.0;
    let (parts, body) = request.into_parts();
    let target = parts
        .uri
        .path_and_query()
        .map_or("/", |target| target.as_str());
    let mut headers = parts.headers;
    headers.remove(header::HOST);
    headers.insert(header::AUTHORIZATION, inner.token.clone());
    let mut sent = inner
        .http
        .request(parts.method, format!("{}{target}", inner.server));
    if headers.remove(header::TRANSFER_ENCODING).is_some()
        || headers.contains_key(header::CONTENT_LENGTH)
    {
        sent = sent.body(reqwest::Body::wrap_stream(body.into_data_stream()));
    }
    let upstream = match sent.headers(headers).send().await {
        Ok(upstream) => upstream,
        Err(e) => {
            let message = format!(
                "the upstream API server is unreachable: {}",
                e.without_url()
            );
            return status(
                StatusCode::SERVICE_UNAVAILABLE,
                "ServiceUnavailable",
                &message,
            );
        }
    };
    let mut response = Response::new(Body::empty());
    *response.status_mut() = upstream.status();
    *response.headers_mut() = upstream.headers().clone();
    // Of the connection, not of the response.
    response.headers_mut().remove(header::TRANSFER_ENCODING);
    *response.body_mut() =
        Body::from_stream(upstream.bytes_stream().map_err(std::io::Error::other));
    response
}

// The body of a refusal (kubernetes.io/docs/reference/kubernetes-api/common-definitions/status).
fn status(code: StatusCode, reason: &str, message: &str) -> Response {
    let body: Value = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "code": code.as_u16(),
    });
    (code, Json(body)).into_response()
}
