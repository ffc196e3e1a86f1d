//! Azure Container Registry: its token exchange in front of a real registry.
//!
//! Source: github.com/Azure/acr, docs/AAD-OAuth.md; distribution.github.io/distribution/spec/auth/token.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use axum::Json;
use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Form, Query, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{any, get, post};
use base64::Engine as _;
use futures_util::TryStreamExt as _;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Azure;
use crate::http::{Desk, Fault, Server, start_tls, watched};
use crate::jwt::{Signer, now};

/// The user that stands for "this password is a refresh token".
const TOKEN_USER: &str = "00000000-0000-0000-0000-000000000000";

/// What the registry's front needs to know.
#[derive(Debug, Clone)]
pub struct RegistryConfig {
    /// Its name, `<name>.azurecr.io`.
    pub login_server: String,
    /// The base address of the registry behind it.
    pub upstream: String,
    /// The folder of `token.{crt,key}`, which sign its tokens.
    pub signing: PathBuf,
    /// User and password that may pull.
    pub node_identity: (String, String),
}

/// The server.
pub struct AzureRegistry {
    server: Server,
    desk: Desk,
}

#[derive(Clone)]
struct Front(Arc<Inner>);

struct Inner {
    config: RegistryConfig,
    signer: Signer,
    tenant: String,
    client: String,
    http: reqwest::Client,
}

impl AzureRegistry {
    /// A server at `address` with the certificate `registry.{crt,key}` in `tls`, which trusts the
    /// directory of `azure`.
    ///
    /// # Errors
    /// When the port is taken, or a file is missing.
    pub async fn with_tls(
        address: SocketAddr,
        config: RegistryConfig,
        azure: &Azure,
        tls: &Path,
    ) -> anyhow::Result<Self> {
        let signer = Signer::read(&config.signing)?;
        // An error means that a provider is installed already, which is what is wanted.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let certificate = CertificateDer::from_pem_file(tls.join("registry.crt"))
            .context("while reading the registry's certificate")?;
        let key = PrivateKeyDer::from_pem_file(tls.join("registry.key"))
            .context("while reading the registry's key")?;
        let server_config = rustls::ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)?;
        let (tenant, client) = (
            azure.shared.0.config.tenant.clone(),
            azure.shared.0.config.client.clone(),
        );
        let front = Front(Arc::new(Inner {
            config,
            signer,
            tenant,
            client,
            http: reqwest::Client::new(),
        }));
        let desk = Desk::default();
        let router = Router::new()
            .route("/oauth2/exchange", post(exchange))
            .route("/oauth2/token", get(basic_token).post(refresh_token))
            .route("/v2/", any(forward))
            .route("/v2/{*path}", any(forward))
            .layer(DefaultBodyLimit::disable())
            .with_state(front);
        let server = start_tls(address, watched(router, &desk), server_config).await?;
        Ok(Self { server, desk })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.server.address
    }

    /// Give this answer once.
    pub fn expect(&self, fault: Fault) {
        self.desk.expect(fault);
    }

    /// `METHOD /path?query` of every request so far.
    pub fn journal(&self) -> Vec<String> {
        self.desk.journal()
    }
}

fn refused(status: StatusCode, code: &str, message: &str) -> Response {
    (
        status,
        Json(json!({"errors": [{"code": code, "message": message}]})),
    )
        .into_response()
}

fn unauthorized() -> Response {
    refused(
        StatusCode::UNAUTHORIZED,
        "UNAUTHORIZED",
        "authentication required, visit https://aka.ms/acr/authorization for more information.",
    )
}

#[derive(Deserialize)]
struct Exchange {
    grant_type: String,
    service: String,
    tenant: Option<String>,
    access_token: Option<String>,
}

async fn exchange(State(front): State<Front>, Form(form): Form<Exchange>) -> Response {
    let inner = &front.0;
    let sound = form.grant_type == "access_token"
        && form.service == inner.config.login_server
        && form
            .tenant
            .as_ref()
            .is_none_or(|tenant| *tenant == inner.tenant)
        && form.access_token == Some(format!("acr-{}", inner.client));
    if !sound {
        return unauthorized();
    }
    let claims = json!({"sub": inner.client, "aud": inner.config.login_server, "exp": now() + 3 * 3600, "grant_type": "refresh_token"});
    signed(inner, &claims, "refresh_token")
}

fn signed(inner: &Inner, claims: &Value, name: &str) -> Response {
    match inner.signer.sign(claims) {
        Ok(token) => Json(json!({name: token})).into_response(),
        Err(e) => (StatusCode::INTERNAL_SERVER_ERROR, e.to_string()).into_response(),
    }
}

// `repository:flask-app:pull,push`, any number of them, separated by blanks.
fn access(scope: &str, may_push: bool) -> Vec<Value> {
    let one = |scope: &str| {
        let (kind, rest) = scope.split_once(':')?;
        let (name, actions) = rest.rsplit_once(':')?;
        let actions: Vec<_> = actions
            .split(',')
            .filter(|action| may_push || *action == "pull")
            .collect();
        Some(json!({"type": kind, "name": name, "actions": actions}))
    };
    scope.split(' ').filter_map(one).collect()
}

fn access_token(inner: &Inner, scope: &str, may_push: bool) -> Response {
    let now = now();
    let claims = json!({
        "iss": inner.config.login_server, "sub": inner.client, "aud": inner.config.login_server,
        "iat": now, "nbf": now - 5, "exp": now + 300, "jti": uuid::Uuid::new_v4().to_string(),
        "access": access(scope, may_push),
    });
    match inner.signer.sign(&claims) {
        Ok(token) => {
            Json(json!({"access_token": token, "token": token, "expires_in": 300})).into_response()
        }
        Err(e) => (StatusCode::INTERNAL_SERVER_ERROR, e.to_string()).into_response(),
    }
}

fn is_refresh_token(inner: &Inner, token: &str) -> bool {
    let claims = inner.signer.verify(token);
    claims.is_some_and(|claims| {
        claims["grant_type"] == "refresh_token" && claims["exp"].as_i64() > Some(now())
    })
}

#[derive(Deserialize)]
struct Refresh {
    refresh_token: Option<String>,
    password: Option<String>,
    scope: Option<String>,
}

async fn refresh_token(State(front): State<Front>, Form(form): Form<Refresh>) -> Response {
    let token = form.refresh_token.or(form.password).unwrap_or_default();
    if !is_refresh_token(&front.0, &token) {
        return unauthorized();
    }
    access_token(&front.0, &form.scope.unwrap_or_default(), true)
}

#[derive(Deserialize)]
struct Scope {
    scope: Option<String>,
}

async fn basic_token(
    State(front): State<Front>,
    Query(query): Query<Scope>,
    headers: HeaderMap,
) -> Response {
    let inner = &front.0;
    let given = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Basic "));
    let pair = given
        .and_then(|given| base64::engine::general_purpose::STANDARD.decode(given).ok())
        .and_then(|pair| String::from_utf8(pair).ok());
    let Some((user, password)) = pair.as_deref().and_then(|pair| pair.split_once(':')) else {
        return unauthorized();
    };
    let scope = query.scope.unwrap_or_default();
    if user == TOKEN_USER && is_refresh_token(inner, password) {
        return access_token(inner, &scope, true);
    }
    if (user, password) == (&inner.config.node_identity.0, &inner.config.node_identity.1) {
        return access_token(inner, &scope, false);
    }
    unauthorized()
}

// The registry behind verifies the token itself; its challenge names our own token service.
async fn forward(State(front): State<Front>, request: Request) -> Response {
    let inner = &front.0;
    let (parts, body) = request.into_parts();
    let path = parts
        .uri
        .path_and_query()
        .map_or("/v2/", |path| path.as_str());
    let mut headers = parts.headers;
    headers.remove(header::HOST);
    let sent = inner
        .http
        .request(parts.method, format!("{}{path}", inner.config.upstream))
        .headers(headers)
        .header("x-forwarded-proto", "https")
        .header(header::HOST, &inner.config.login_server)
        .body(reqwest::Body::wrap_stream(body.into_data_stream()))
        .send()
        .await;
    match sent {
        Ok(answer) => {
            let (status, headers) = (answer.status(), answer.headers().clone());
            let mut response = Response::new(Body::from_stream(
                answer.bytes_stream().map_err(std::io::Error::other),
            ));
            *response.status_mut() = status;
            *response.headers_mut() = headers;
            response
        }
        Err(e) => refused(
            StatusCode::BAD_GATEWAY,
            "UNKNOWN",
            &format!("the registry behind does not answer: {e}"),
        ),
    }
}
