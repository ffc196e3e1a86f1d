//! Azure, as far as a deployment talks to it, and the OIDC issuer of GitHub that it trusts.

mod entra;
mod registry;
mod resources;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use serde::Deserialize;
use serde_json::json;

use crate::http::{Desk, Fault, Server, start, watched};
use crate::jwt::{Signer, now};

pub use registry::{AzureRegistry, RegistryConfig};

/// What the directory and the subscription hold.
#[derive(Debug, Clone)]
pub struct AzureConfig {
    /// The directory's id.
    pub tenant: String,
    /// The application's id.
    pub client: String,
    /// The application's secret, if it has one.
    pub client_secret: Option<String>,
    /// The subject of the federated credential.
    pub subject: String,
    /// The subject that the issuer gives this run.
    pub run_subject: String,
    /// The subscription's id.
    pub subscription: String,
    /// The resource group of both resources.
    pub resource_group: String,
    /// The registry's name.
    pub registry: String,
    /// Its login server.
    pub login_server: String,
    /// The cluster's name.
    pub cluster: String,
    /// A file with the cluster's address and authority; read when it is asked for.
    pub kubeconfig: Option<PathBuf>,
    /// Address ranges that may reach the API server, as `GET managedClusters` tells them.
    pub authorized_ranges: Vec<String>,
    /// What a run shows to get an OIDC token.
    pub oidc_request_token: String,
    /// The token that the cluster takes.
    pub cluster_token: String,
    /// Seconds that an access token lives.
    pub token_life: i64,
}

impl AzureConfig {
    /// The registry `drydock` and the cluster `drydock` in the group `drydock`, and a federated
    /// credential for deployments to the environment `production` of `octo-org/app`.
    pub fn new(tenant: &str, client: &str, subscription: &str) -> Self {
        let subject = "repo:octo-org/app:environment:production";
        Self {
            tenant: tenant.into(),
            client: client.into(),
            client_secret: None,
            subject: subject.into(),
            run_subject: subject.into(),
            subscription: subscription.into(),
            resource_group: "drydock".into(),
            registry: "drydock".into(),
            login_server: "drydock.azurecr.io".into(),
            cluster: "drydock".into(),
            kubeconfig: None,
            authorized_ranges: Vec::new(),
            oidc_request_token: "oidc-request-token".into(),
            cluster_token: "cluster-token".into(),
            token_life: 3599,
        }
    }
}

/// The server: OIDC issuer, Entra and Resource Manager at one address.
pub struct Azure {
    server: Server,
    shared: Shared,
    desk: Desk,
}

#[derive(Clone)]
struct Shared(Arc<Inner>);

struct Inner {
    config: AzureConfig,
    signer: Signer,
}

/// The issuer of GitHub's OIDC tokens.
const ISSUER: &str = "https://token.actions.githubusercontent.com";

impl Azure {
    /// A server for a test.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn start(config: AzureConfig) -> anyhow::Result<Self> {
        Self::at(([127, 0, 0, 1], 0).into(), config).await
    }

    /// A server at `address`.
    ///
    /// # Errors
    /// When the port is taken.
    pub async fn at(address: SocketAddr, config: AzureConfig) -> anyhow::Result<Self> {
        let shared = Shared(Arc::new(Inner {
            config,
            signer: Signer::new()?,
        }));
        let desk = Desk::default();
        let router = Router::new()
            .route("/oidc/token", get(oidc))
            .route("/{tenant}/oauth2/v2.0/token", post(entra::token))
            .merge(resources::router())
            .with_state(shared.clone());
        let server = start(address, watched(router, &desk)).await?;
        Ok(Self {
            server,
            shared,
            desk,
        })
    }

    /// The base of Entra and of Resource Manager.
    pub fn url(&self) -> String {
        format!("http://{}", self.server.address)
    }

    /// `ACTIONS_ID_TOKEN_REQUEST_URL` of a run.
    pub fn oidc_url(&self) -> String {
        format!("{}/oidc/token?api-version=2.0", self.url())
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

fn bearer(headers: &HeaderMap) -> &str {
    let value = headers
        .get("authorization")
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    value
        .split_once(' ')
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map_or("", |(_, token)| token)
}

#[derive(Deserialize)]
struct OidcQuery {
    audience: Option<String>,
}

async fn oidc(
    State(shared): State<Shared>,
    Query(query): Query<OidcQuery>,
    headers: HeaderMap,
) -> Response {
    let config = &shared.0.config;
    if bearer(&headers) != config.oidc_request_token {
        return (
            StatusCode::UNAUTHORIZED,
            Json(json!({"message": "not authorized"})),
        )
            .into_response();
    }
    let now = now();
    let claims = json!({
        "iss": ISSUER, "sub": config.run_subject, "aud": query.audience.unwrap_or_else(|| "https://github.com/octo-org".into()),
        "iat": now, "nbf": now - 5, "exp": now + 300, "jti": uuid::Uuid::new_v4().to_string(),
        "repository": "octo-org/app", "ref": "refs/heads/main", "environment": "production",
        "job_workflow_ref": "octo-org/app/.github/workflows/azure-deploy.yml@refs/heads/main",
    });
    match shared.0.signer.sign(&claims) {
        Ok(token) => Json(json!({"count": token.len(), "value": token})).into_response(),
        Err(e) => (StatusCode::INTERNAL_SERVER_ERROR, e.to_string()).into_response(),
    }
}
