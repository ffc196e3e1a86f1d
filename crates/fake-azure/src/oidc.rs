//! GitHub's OIDC issuer.
//!
//! Source: docs.github.com/actions/reference/security/oidc.

use axum::Json;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Shared, bearer};
use crate::jwt::now;

/// Its name in tokens, as federated credentials have it.
pub(super) const ISSUER: &str = "https://token.actions.githubusercontent.com";

#[derive(Deserialize)]
pub(super) struct Parameters {
    audience: Option<String>,
}

/// A token for the run.
pub(super) async fn token(
    State(shared): State<Shared>,
    Query(parameters): Query<Parameters>,
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
    let life = config.run_token_life;
    let workflow = "octo-org/app/.github/workflows/azure-deploy.yml@refs/heads/main";
    let claims = json!({
        "iss": ISSUER, "sub": config.run_subject,
        "aud": parameters.audience.unwrap_or_else(|| "https://github.com/octo-org".into()),
        "iat": now + life.min(0) - 1, "nbf": now + life.min(0) - 300, "exp": now + life,
        "jti": uuid::Uuid::new_v4().to_string(),
        "repository": "octo-org/app", "repository_owner": "octo-org", "repository_visibility": "public",
        "ref": "refs/heads/main", "ref_type": "branch", "sha": "0123456789abcdef0123456789abcdef01234567",
        "environment": "production", "event_name": "push", "actor": "octocat", "run_id": "42",
        "run_number": "1", "run_attempt": "1", "runner_environment": "github-hosted",
        "workflow": "azure-deploy", "workflow_ref": workflow, "job_workflow_ref": workflow,
    });
    match shared.0.signer.sign(&claims) {
        Ok(token) => Json(json!({"count": token.len(), "value": token})).into_response(),
        Err(e) => (StatusCode::INTERNAL_SERVER_ERROR, e.to_string()).into_response(),
    }
}

/// Where the keys are.
pub(super) async fn configuration(headers: HeaderMap) -> Json<Value> {
    let host = headers.get("host").and_then(|host| host.to_str().ok());
    Json(json!({
        "issuer": ISSUER, "jwks_uri": format!("http://{}/.well-known/jwks", host.unwrap_or_default()),
        "subject_types_supported": ["public", "pairwise"], "response_types_supported": ["id_token"],
        "id_token_signing_alg_values_supported": ["ES256"], "scopes_supported": ["openid"],
        "claims_supported": ["sub", "aud", "exp", "iat", "iss", "jti", "nbf", "ref", "sha", "repository", "environment", "job_workflow_ref"],
    }))
}

/// The keys with which tokens are verified.
pub(super) async fn keys(State(shared): State<Shared>) -> Json<Value> {
    Json(json!({"keys": [shared.0.signer.public()]}))
}
